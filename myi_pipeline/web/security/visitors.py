"""Who asks, and who was recognised a moment ago, which spares a burst of requests one query each.

What ended in this process is unknown to its next request; what ended elsewhere (`myi token revoke`) is unknown after
REMEMBERED_S.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from myi_pipeline.people.manage_access import TOKEN_PREFIX
from myi_pipeline.web.reads.spans import zones_of

REMEMBERED_S = 1.0
_MOST = 2_000
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}\Z")


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who asks. Exactly one of `session_id` (a browser) and `token_id` (a program) is there."""

    user_id: int
    user_key: str
    display_name: str | None
    time_zone: str
    session_id: int | None = None
    token_id: int | None = None
    # Of the token.
    scope: str | None = None
    # Each former time zone with the moment at which it ended, in order.
    earlier_zones: tuple[tuple[str, datetime], ...] = ()

    @property
    def zones(self) -> tzinfo:
        """The clock of local dates and hours, now and at any time before."""
        return zones_of(self.time_zone, self.earlier_zones)


class KnownVisitors:
    """By the hash of what they showed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[bytes, tuple[float, Visitor]] = {}
        self._forgettings = 0

    def find(self, shown: bytes) -> Visitor | None:
        at, visitor = self._known.get(shown, (0.0, None))
        return visitor if visitor is not None and self._clock() - at < REMEMBERED_S else None

    def begin(self) -> tuple[int, float]:
        """Taken before the database is asked, handed to `remember` after."""
        return self._forgettings, self._clock()

    def remember(self, shown: bytes, visitor: Visitor, begun: tuple[int, float]) -> None:
        # What was looked up before something ended may be what ended.
        if begun[0] == self._forgettings:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[shown] = (begun[1], visitor)

    def forget_all(self) -> None:
        """A session or token ended, or a user changed."""
        self._forgettings += 1
        self._known.clear()


def is_secret(text: str) -> bool:
    """Whether a text could be a session's reference or a link's secret at all; anything else is not looked up."""
    return _SECRET.match(text) is not None


def is_token(text: str) -> bool:
    return text.startswith(TOKEN_PREFIX) and is_secret(text.removeprefix(TOKEN_PREFIX))
