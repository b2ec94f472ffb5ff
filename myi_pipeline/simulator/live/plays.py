"""One live play: what truly happened, what the API says of it, and what the archive says of it."""

from __future__ import annotations

from typing import NamedTuple


class LivePlay(NamedTuple):
    """Times are unix milliseconds, `archived_s` unix seconds.

    `reported_ms` is the API's played_at: start or end plus latency, by the device's clock. `surfaces_ms` is when the
    API begins to show it; `is_listed` is False for what it never shows (private sessions, episodes, local files,
    plays too short). `context` is 'album', 'playlist' or None. `lot` is the play's own piece of chance.
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
