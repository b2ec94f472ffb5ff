"""Statements that are too long for a Python string: one .sql file each, beside this module in `sql/`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_sql(name: str) -> str:
    """The text of `sql/<name>.sql`; `name` may hold one folder, as in `load/load_chunk`."""
    return files("myi_pipeline.warehouse").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


@cache
def load_statements(name: str) -> tuple[str, ...]:
    """The statements of a file of several; each ends with a semicolon at the end of a line, and none contains one."""
    return tuple(part.strip() for part in load_sql(name).split(";\n") if part.strip())
