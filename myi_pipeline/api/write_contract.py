"""Writing docs/openapi.json: `scripts/write-openapi`.

Belongs here: the file's form, and refusing what would break a program. Invariant: needs no database and no settings.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import orjson

from myi_pipeline.api.app import create_app
from myi_pipeline.api.contract import Document, breaking_changes, describe_app
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Role, Warehouse

FILE = Path(__file__).parents[2] / "docs" / "openapi.json"
_NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


def current() -> Document:
    """The contract as the code has it."""
    nowhere = Warehouse(urls=dict.fromkeys(Role, _NOWHERE), dagster_url=_NOWHERE)
    with tempfile.TemporaryDirectory() as home:
        document = describe_app(create_app(Settings(home=Path(home)), nowhere))
    # As the file holds it: a default that is an enumeration becomes its text.
    return dict(orjson.loads(orjson.dumps(document)))


def as_text(document: Document) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def main(arguments: list[str]) -> int:
    new = current()
    broken = breaking_changes(orjson.loads(FILE.read_bytes()), new) if FILE.exists() else []
    for text in broken:
        sys.stderr.write(f"breaks programs: {text}\n")
    if broken and "--break" not in arguments:
        return 1
    FILE.write_bytes(as_text(new))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
