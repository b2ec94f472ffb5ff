"""The parts of an export for sharing. They are not imported: a report would become public again under a new link, and
an agreement is between two listeners of one installation. They name neither links nor other listeners.
"""

from __future__ import annotations

from typing import Final

from myi_pipeline.postgres.parts import Part

PARTS: Final = (
    Part(name="sharing/reports", tables=("app.shares",), read="sharing/parts/reports"),
    Part(name="sharing/agreements", tables=("app.agreements",), read="sharing/parts/agreements"),
)
