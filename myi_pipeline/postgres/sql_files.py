"""Statements that are too long for a Python string: one .sql file each, in the folder `sql/` of its package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_sql(name: str) -> str:
    """The text of a file: `polling/polls/record_poll` stands for `polling/sql/polls/record_poll.sql`."""
    package, _, file = name.partition("/")
    return files(f"myi_pipeline.{package}").joinpath("sql", f"{file}.sql").read_text(encoding="utf-8")


@cache
def load_statements(name: str) -> tuple[str, ...]:
    """The statements of a file with several. Each ends with a semicolon at the end of a line, and contains no other."""
    return tuple(part.strip() for part in load_sql(name).split(";\n") if part.strip())
