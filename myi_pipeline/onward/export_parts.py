"""The parts of an export for plays sent on. They are not imported: an installation sends nothing for a user who has not
linked the account there."""

from __future__ import annotations

from typing import Final

from myi_pipeline.postgres.parts import Part

PARTS: Final = (
    Part(name="onward/wishes", tables=("app.onward_wishes",), read="onward/parts/wishes"),
    Part(name="onward/sent", tables=("app.onward_plays",), read="onward/parts/sent"),
)
