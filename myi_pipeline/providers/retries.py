"""Which kind of failure an error is, and when to try again.

No wait inside a process is longer than LONGEST_SLEEP; whatever takes longer is put off.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from myi_pipeline.errors import (
    AuthRevoked,
    Busy,
    CircuitOpen,
    Forbidden,
    Gone,
    LoginDoubted,
    RateLimited,
    TokenRejected,
    Transient,
    UnexpectedAnswer,
    Unfit,
)

LONGEST_SLEEP = timedelta(seconds=30)
# Two more tries mend what a lost connection or a restarting server causes; more would hold a batch up.
WAITS_IN_PROCESS = (timedelta(seconds=1), timedelta(seconds=4))


class FailureKind(StrEnum):
    """What a failure says about the future."""

    PUT_OFF = "put_off"  # nothing failed: a quota, a lock, a circuit or a doubt says later
    AUTHORISATION = "authorisation"
    NETWORK = "network"
    UNKNOWN = "unknown"
    GONE = "gone"


# Put off: first wait, and the longest. Each further failure doubles the wait.
_LATER: Mapping[FailureKind, tuple[timedelta, timedelta]] = {
    FailureKind.PUT_OFF: (timedelta(minutes=1), timedelta(hours=1)),
    FailureKind.NETWORK: (timedelta(minutes=5), timedelta(hours=6)),
    FailureKind.AUTHORISATION: (timedelta(hours=6), timedelta(days=7)),
    FailureKind.UNKNOWN: (timedelta(hours=2), timedelta(days=7)),
}


def failure_kind(error: BaseException) -> FailureKind:
    """The kind of an error that a request to Spotify ended with."""
    if isinstance(error, (RateLimited, CircuitOpen, LoginDoubted, Busy)):
        return FailureKind.PUT_OFF
    if isinstance(error, (AuthRevoked, TokenRejected, Forbidden)):
        return FailureKind.AUTHORISATION
    if isinstance(error, (Gone, Unfit)):
        return FailureKind.GONE
    if isinstance(error, Transient) and not isinstance(error, UnexpectedAnswer):
        return FailureKind.NETWORK
    return FailureKind.UNKNOWN


def is_worth_another_try(error: BaseException) -> bool:
    """Whether the same request may succeed within seconds."""
    return isinstance(error, Transient) and failure_kind(error) in (FailureKind.NETWORK, FailureKind.UNKNOWN)


def try_again_at(
    error: BaseException, *, failures: int, now: datetime, jitter: float = 0.0
) -> datetime | None:  # fmt: skip
    """When work that failed `failures` times in a row (from 1) is due again; None: never.

    An error that knows its own time (a quota) decides, unless that has passed. `jitter` from 0 to 1 adds up to a tenth,
    so that what failed together is not retried together.
    """
    kind = failure_kind(error)
    if kind is FailureKind.GONE:
        return None
    retry_at: datetime | None = getattr(error, "retry_at", None)
    if retry_at is not None and retry_at > now:
        return retry_at
    first, longest = _LATER[kind]
    wait = doubled(first, times=failures - 1, longest=longest)
    return now + wait + wait * (0.1 * jitter)


def doubled(first: timedelta, *, times: int, longest: timedelta) -> timedelta:
    """`first` doubled `times` times, at most `longest`."""
    # 2^20 of the shortest first wait is far beyond any cap; a counter in a database may be anything.
    return min(first * (1 << min(max(times, 0), 20)), longest)
