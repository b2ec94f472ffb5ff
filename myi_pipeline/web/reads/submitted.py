"""What scrobblers submitted, as the marts have it: a scrobbler asks what it has sent already."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from myi_pipeline.web.reads.database import Marts, load_sql

# How far back is looked where the question names no beginning.
USUAL_SPAN = timedelta(days=90)


@dataclass(frozen=True)
class SubmittedRow:
    """`played_at` is when it began; a play whose names are unknown has none."""

    played_at: datetime
    title: str | None
    creator: str | None
    collection: str | None
    uri: str | None


async def submitted(marts: Marts, *, after_at: datetime, before_at: datetime, limit: int) -> list[SubmittedRow]:
    """Those between the two moments, newest first; not one that a better source reports too: it is that one's."""
    return await marts.fetch(SubmittedRow, load_sql("submitted"), after_at=after_at, before_at=before_at, limit=limit)
