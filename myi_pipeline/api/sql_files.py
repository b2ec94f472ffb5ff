"""Statements of routes: one .sql file each, beside this module in `sql/`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_sql(name: str) -> str:
    """The text of `sql/<name>.sql`; `name` may hold one folder, as in `access/find_token`."""
    return files("myi_pipeline.api").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
