"""When messages are sent: outside a person's quiet hours, with retries after failures for three days.

The delays are those suggested by https://www.standardwebhooks.com, each randomly extended by up to a quarter, so that a
receiver that comes back does not get everything at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta, tzinfo

DELAYS = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400))
LONGEST_WISH = timedelta(days=1)
_JITTER = 0.25


def next_try(
    attempts: int, *, now: datetime, chance: Callable[[], float], wished: timedelta | None = None
) -> datetime | None:
    """When to retry after this many attempts, or None to give up. `wished`: the receiver's Retry-After."""
    if attempts > len(DELAYS):
        return None
    delay = DELAYS[attempts - 1] * (1 + _JITTER * chance())
    if wished is not None:
        delay = max(delay, min(wished, LONGEST_WISH))
    return now + delay


def after_quiet(now: datetime, *, zone: tzinfo, quiet_from: time | None, quiet_until: time | None) -> datetime:
    """`now`, or the end of the current quiet hours, which may span midnight."""
    if quiet_from is None or quiet_until is None or quiet_from == quiet_until:
        return now
    there = now.astimezone(zone)
    clock = there.time()
    if quiet_from < quiet_until:
        is_quiet = quiet_from <= clock < quiet_until
    else:
        is_quiet = clock >= quiet_from or clock < quiet_until
    if not is_quiet:
        return now
    day = there.date() + timedelta(days=clock >= quiet_until)
    return datetime.combine(day, quiet_until, zone).astimezone(UTC)
