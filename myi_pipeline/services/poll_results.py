"""What became of a poll, for doors.

Belongs here: the shape. Invariant: a reason is a sentence without any secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Outcome = Literal["new", "known", "gap", "none", "skipped", "failed"]
POLLED = ("new", "known", "gap", "none")


@dataclass(frozen=True, kw_only=True)
class PollResult:
    """One user's poll. `gap_start` and `gap_end` span all gaps that this poll found; `retry_at` is the next turn."""

    user_id: int
    user_key: str
    outcome: Outcome
    items: int = 0
    new_plays: int = 0
    known_plays: int = 0
    late_plays: int = 0
    refused_items: int = 0
    oldest_played_at: datetime | None = None
    newest_played_at: datetime | None = None
    gap_start: datetime | None = None
    gap_end: datetime | None = None
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def polled(self) -> bool:
        """Whether Spotify was asked and answered."""
        return self.outcome in POLLED

    @classmethod
    def skipped(cls, user_id: int, user_key: str, reason: str, *, retry_at: datetime | None = None) -> PollResult:
        return cls(user_id=user_id, user_key=user_key, outcome="skipped", reason=reason, retry_at=retry_at)

    @classmethod
    def failed(cls, user_id: int, user_key: str, reason: str, *, retry_at: datetime | None = None) -> PollResult:
        return cls(user_id=user_id, user_key=user_key, outcome="failed", reason=reason, retry_at=retry_at)
