"""One live play: what really happened, and what the API and the archives report."""

from __future__ import annotations

from typing import NamedTuple


class LivePlay(NamedTuple):
    """Times are unix milliseconds, `archived_s` unix seconds.

    `reported_ms` is the API's played_at: start or end plus latency, by the device's clock. `surfaces_ms` is when the
    API begins to show it; `is_listed` is False for plays that it never shows (private sessions, episodes, local
    files, plays that are too short). `context` is 'album', 'playlist' or None. `lot` is a random number of the play.
    """

    start_ms: int
    end_ms: int
    ms_played: int
    thing: int
    device: int
    reported_ms: int
    surfaces_ms: int
    archived_s: int
    is_listed: bool
    is_offline: bool
    is_private: bool
    context: str | None
    reason_start: str
    reason_end: str
    shuffle: bool
    skipped: bool
    lot: float
