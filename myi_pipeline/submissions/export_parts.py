"""The parts of an export for submitted listens, besides plays: refused ones and waiting ones."""

from __future__ import annotations

from typing import Final

from myi_pipeline.postgres.parts import Part

PARTS: Final = (
    Part(name="submissions/waiting", tables=("ops.listen_inbox",), read="submissions/parts/waiting"),
    Part(
        name="submissions/refused",
        tables=("ops.refused_listens",),
        read="submissions/parts/refused",
        bring="submissions/parts/bring_submissions",
    ),
)
