"""A replica of the database that reads marts: how far behind it is, and which reads may go there.

A replica shows what the primary was some moments ago. Whoever has seen something newer is not shown what is older:

- after a change of their own, a person's reads go to the primary until the replica has replayed its write-ahead log to
  where that change ended (a position), known by a cookie to every process and by the user to this one; and for a while
  after that, as what follows from it (a refresh) is waited for, whenever the last look found the replica behind at all;
- a client that names an answer (If-None-Match) or the next page of a list (a cursor) has seen a version of the marts,
  and reads the primary where the replica's is older.

Nothing here is guessed from clocks alone: of every second it is known where the primary's log ended, so a replica that
has replayed it to there lacks nothing that is older than that second.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from myi_pipeline.postgres import sql_files

# How often it is looked at; what was seen counts for a few looks.
LOOK_EVERY_S = 1.0
_COUNTS_FOR_S = 5.0
# How long the ends of the primary's log are kept: of longer lags the replica's own clock tells.
_KEPT_S = 600
# For how long a person's own change is remembered, and of how many people in one process.
OWN_CHANGE_S = 1_800
_MOST_PEOPLE = 10_000
# When nobody could say where a change ended.
_UNKNOWN_POSITION, _UNKNOWN_S = 2**63 - 1, 30.0

LOOK = sql_files.load_sql("postgres/position").encode()
POSITION = b"select (pg_current_wal_insert_lsn() - '0/0')::bigint"


# What serves a read, or why the primary does: the replica does not serve; the request changes something; the user's own
# change is not replayed; the client has seen newer marts; replaying took what the read needed; the replica failed.
REPLICA = "replica"
REASONS = ("lost", "change", "own_change", "behind", "overtaken", "failed")


@dataclass
class Seen:
    """What whoever makes a request has seen, so that its reads show nothing older; and what the request read."""

    # A request that changes something, or asks how far a change is, goes by what is, not by what was.
    primary_alone: bool = False
    position: int = 0
    # By user, whose marts' versions they are: what a read needs at least, and what reads saw.
    needed: dict[int, int] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)
    # Since when figures that were read may be outdated, where that is longer than the limit.
    as_of: datetime | None = None

    def need(self, user_id: int, version: int) -> None:
        self.needed[user_id] = max(version, self.needed.get(user_id, 0))


# What a request has seen goes with its context: between the cursor that names a version and the read that needs it
# there are a dozen calls.
current: ContextVar[Seen | None] = ContextVar("seen", default=None)


def need_version(user_id: int, version: int) -> None:
    """The reads of this request that follow show at least this version of the user's marts."""
    if (seen := current.get()) is not None:
        seen.need(user_id, version)


def read_the_primary() -> None:
    """The reads of this request that follow go to the primary: they stand beside what it said."""
    if (seen := current.get()) is not None:
        seen.primary_alone = True


def version_seen(user_id: int) -> int:
    """The version of the user's marts that this request has read; 0 where it has not."""
    seen = current.get()
    return seen.versions.get(user_id, 0) if seen is not None else 0


@dataclass(frozen=True)
class Look:
    """What a server said of itself: where its log ends, on which timeline if it is a primary, the seconds since the
    last change that a replica replayed was made, which cluster's copy it is, and the timeline of what it holds."""

    position: int
    timeline: str | None
    idle_s: float | None
    system: int
    follows: str


class Replica:
    """What is known about the replica."""

    def __init__(self, *, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._ends: deque[tuple[float, int]] = deque()
        self._position = 0
        self._looked_at: float | None = None
        self._primary: Look | None = None
        self._own_changes: dict[int, tuple[int, float]] = {}
        self.lag_s: float | None = None
        self.lag_bytes: int | None = None
        # It failed a read, or is no replica; it serves again once a look finds it less behind than the limit.
        self._is_out = True
        # Reads by REPLICA and REASONS.
        self.reads: Counter[str] = Counter()

    @property
    def is_up(self) -> bool:
        return (
            not self._is_out and self._looked_at is not None and self._clock() - self._looked_at < _COUNTS_FOR_S
        )  # fmt: skip

    def note(self, primary: Look | None, replica: Look | None, *, began: float) -> None:
        """What a look found that began then: first at the primary, then at the replica. None: it does not answer."""
        now = self._clock()
        if primary is not None:
            self._primary = primary
            # Whatever was committed before the look began ends before this.
            self._ends.append((began, primary.position))
            while self._ends[0][0] < now - _KEPT_S:
                self._ends.popleft()
        if replica is None or not _is_of(self._primary, replica, is_heard=primary is not None):
            self.lost()
            return
        self._position, self._looked_at = replica.position, now
        self.lag_bytes = max(0, primary.position - replica.position) if primary is not None else None
        self.lag_s = self._lag(now, replica, is_caught_up=self.lag_bytes == 0)
        if self.lag_s is None:
            self._is_out = True
        elif self.lag_s <= self._limit_s:
            self._is_out = False

    def _lag(self, now: float, replica: Look, *, is_caught_up: bool) -> float | None:
        """Seconds; what is older the replica has.

        Its own clock counts only where the lag began before our watching did. None where that does not tell either: a
        replica that was started again may be behind by days.
        """
        if is_caught_up:
            return 0.0
        reached = next((at for at, end in reversed(self._ends) if end <= replica.position), None)
        if reached is not None:
            return now - reached
        return max(0.0, replica.idle_s) if replica.idle_s is not None else None

    def lost(self) -> None:
        self._is_out = True
        self._looked_at = self.lag_s = self.lag_bytes = None

    def why_not(self, user_id: int, seen: Seen | None) -> str | None:
        """Why a read goes to the primary; None: the replica serves it."""
        if not self.is_up:
            return "lost"
        if seen is not None and seen.primary_alone:
            return "change"
        position, until = self._own_changes.get(user_id, (0, 0.0))
        if until < self._clock():
            self._own_changes.pop(user_id, None)
            position = 0
        position = max(position, seen.position if seen is not None else 0)
        return "own_change" if position and (self._position < position or self.lag_bytes != 0) else None

    def remember_change(self, user_id: int, position: int | None) -> None:
        """The user has changed something, which ended there; None: nobody knows where."""
        if len(self._own_changes) >= _MOST_PEOPLE:
            self._own_changes.clear()
        found = (position, OWN_CHANGE_S) if position is not None else (_UNKNOWN_POSITION, _UNKNOWN_S)
        self._own_changes[user_id] = (found[0], self._clock() + found[1])

    def note_read(self, seen: Seen | None) -> None:
        """The replica has served a read of this request."""
        self.reads[REPLICA] += 1
        if seen is not None and self.lag_s is not None and self.lag_s > self._limit_s:
            seen.as_of = datetime.now(UTC) - timedelta(seconds=self.lag_s)


def _is_of(primary: Look | None, replica: Look, *, is_heard: bool) -> bool:
    """A replica, or the primary under another name; not one that was promoted and now goes its own way, nor another
    server's. `primary` is what it last said, and `is_heard` whether it just did."""
    if primary is None or (primary.system, primary.timeline) != (replica.system, replica.follows):
        return False
    return replica.timeline is None or is_heard
