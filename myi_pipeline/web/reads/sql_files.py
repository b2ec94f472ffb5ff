"""The statements of the reads: files in `sql/`, some of which are written for several questions and say so in Jinja."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2

_SQL = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "sql"),
    # These are statements and parts of statements; nothing of a request is ever rendered into them.
    autoescape=False,
    undefined=jinja2.StrictUndefined,
)


@cache
def load_sql(name: str, **parts: str) -> bytes:
    """The text of `sql/<name>.sql`; `name` may hold one folder, as in `access/find_token`. `parts` choose among what a
    file is written for, such as `entity="track"`."""
    return _SQL.get_template(f"{name}.sql").render(parts).encode()
