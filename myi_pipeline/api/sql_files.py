"""Statements of routes: one .sql file each, beside this module in `sql/`.

What several statements have in common is a file of its own that the others include; values never come in this way.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

_FILES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "sql"),
    # Nothing of a request is in a file: these are statements, and their parts.
    autoescape=False,
    undefined=jinja2.StrictUndefined,
)


@cache
def load_sql(name: str) -> str:
    """The text of `sql/<name>.sql`; `name` may hold one folder, as in `access/find_token`."""
    return _FILES.get_template(f"{name}.sql").render()
