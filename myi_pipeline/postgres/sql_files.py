"""Statements that are too long for a Python string: one .sql file each, in the folder `sql/` of the package that runs
it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_sql(name: str) -> str:
    """The text of a file: `polling/record_poll` is `polling/sql/record_poll.sql`."""
    package, _, file = name.partition("/")
    return files(f"myi_pipeline.{package}").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")


@cache
def load_statements(name: str) -> tuple[str, ...]:
    """The statements of a file of several; each ends with a semicolon at the end of a line, and none contains one."""
    return tuple(part.strip() for part in load_sql(name).split(";\n") if part.strip())
