"""A page of last plays, taken apart and held against what raw has of it.

Belongs here: which items are plays, which of them are new, and what could not be understood. Not here: storing, gaps.
Invariant: each item of a page is a known play, a new one or refused; a play that the page names twice is new once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from myi_pipeline.core.catalogue import PolledTrack
from myi_pipeline.core.plays import PlayRecord, QuarantinedRow
from myi_pipeline.services.connection_pool import Connection
from myi_pipeline.spotify.catalogue import polled_track
from myi_pipeline.spotify.models import RecentlyPlayedPage
from myi_pipeline.spotify.plays import play_records
from myi_pipeline.warehouse import poll_store


@dataclass(frozen=True)
class ReadPage:
    """A page taken apart. `new` are those that raw did not have when it was read."""

    items: int
    is_full: bool
    records: list[PlayRecord]
    refused: list[QuarantinedRow]
    new: list[PlayRecord]
    tracks: list[PolledTrack]

    @property
    def around_refused(self) -> list[tuple[datetime | None, datetime | None]]:
        """For each refused item the times of the good ones after it (older) and before it (newer) in the page."""
        times = {record.row_index: record.played_at for record in self.records}
        return [
            (
                next((times[index] for index in range(row.row_index, self.items) if index in times), None),
                next((times[index] for index in range(row.row_index, -1, -1) if index in times), None),
            )
            for row in self.refused
        ]


def read_page(connection: Connection, page: RecentlyPlayedPage, *, user_id: int, now: datetime) -> ReadPage:
    results = play_records(page, now=now)
    refused = [result for result in results if isinstance(result, QuarantinedRow)]
    records = [result for result in results if isinstance(result, PlayRecord)]
    times = [record.played_at for record in records]
    known: set[tuple[datetime, str | None]] = set()
    if times:
        known = poll_store.known_plays(connection, user_id=user_id, oldest=min(times), newest=max(times))
    new: dict[tuple[datetime, str | None], PlayRecord] = {}
    for record in records:
        key = (record.played_at, record.content.key if record.content else None)
        if key not in known:
            new.setdefault(key, record)
    chosen = {record.row_index: record for record in new.values()}
    entries = [entry for entry in page.entries if entry.index in chosen]
    made = [polled_track(entry.play.track, chosen[entry.index].played_at) for entry in entries]
    return ReadPage(
        items=page.count,
        is_full=page.is_full,
        records=records,
        refused=refused,
        new=list(new.values()),
        tracks=[track for track in made if track is not None],
    )


def as_document(row: QuarantinedRow) -> dict[str, Any]:
    return {"index": row.row_index, "reason": row.reason, "detail": row.detail, "row": row.row}
