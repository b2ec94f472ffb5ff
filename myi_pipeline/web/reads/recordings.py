"""Which tracks are one recording to a listener, and what brought them together.

Tracks that this user never played are left out, whether others in the household played them or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.sql_files import load_sql


@dataclass(frozen=True)
class RecordingTrackRow:
    """One track of a recording. `reason` is the code of the rule that put it there, or `decided`; `confidence` from 0
    to 1, None if a person decided."""

    recording_id: int
    track_id: int
    uri: str | None
    name: str | None
    artist_id: int | None
    artist_name: str | None
    album_id: int | None
    album_name: str | None
    duration_ms: int | None
    isrc: str | None
    plays: int
    counted_plays: int
    ms_played: int
    confidence: float | None
    reason: str


@dataclass(frozen=True)
class TrackNameRow:
    track_id: int
    name: str | None
    artist_name: str | None


@dataclass(frozen=True)
class _Recording:
    recording_id: int | None


async def recording_of(marts: Marts, track_id: int) -> int | None:
    """The recording of a track, for this user; None for a track that nobody knows."""
    (found,) = await marts.fetch(_Recording, load_sql("recording_of"), id=track_id)
    return found.recording_id


async def tracks_of_recording(marts: Marts, recording_id: int) -> list[RecordingTrackRow]:
    """Those that this user has heard, the most heard first."""
    return await marts.fetch(RecordingTrackRow, load_sql("recording_tracks"), id=recording_id)


async def names_of_tracks(marts: Marts, ids: Sequence[int]) -> dict[int, TrackNameRow]:
    """Of those that this user has heard."""
    rows = await marts.fetch(TrackNameRow, load_sql("track_names"), ids=list(ids))
    return {row.track_id: row for row in rows}
