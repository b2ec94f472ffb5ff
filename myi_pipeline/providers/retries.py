"""Classifies failures, and decides when to retry.

No wait inside a process is longer than LONGEST_SLEEP; longer ones are postponed.
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
# Two retries suffice after a lost connection or a server restart; more would delay a batch.
WAITS_IN_PROCESS = (timedelta(seconds=1), timedelta(seconds=4))


class FailureKind(StrEnum):
    """What a failure implies for later requests."""

    PUT_OFF = "put_off"  # nothing failed: a quota, a lock, a circuit or a doubted login only postpones it
    AUTHORISATION = "authorisation"
    NETWORK = "network"
    UNKNOWN = "unknown"
    GONE = "gone"


# Postponed work: the first wait and the longest. Each further failure doubles it.
_LATER: Mapping[FailureKind, tuple[timedelta, timedelta]] = {
    FailureKind.PUT_OFF: (timedelta(minutes=1), timedelta(hours=1)),
    FailureKind.NETWORK: (timedelta(minutes=5), timedelta(hours=6)),
    FailureKind.AUTHORISATION: (timedelta(hours=6), timedelta(days=7)),
    FailureKind.UNKNOWN: (timedelta(hours=2), timedelta(days=7)),
}


def failure_kind(error: BaseException) -> FailureKind:
    """The kind of a request's error."""
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
    """When work that failed `failures` consecutive times (from 1) is due again, or None for never.

    An error with its own time (a quota) decides, unless that has passed. `jitter` from 0 to 1 adds up to a tenth, so
    that work that failed together is not retried together.
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
    # 2^20 times the shortest first wait is far beyond any cap; a stored counter may have any value.
    return min(first * (1 << min(max(times, 0), 20)), longest)
