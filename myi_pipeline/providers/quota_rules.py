"""How many requests a client id may make, and who comes first.

Belongs here: the arithmetic of the sliding window, of the rolling day and of Retry-After. Not here: counting across
processes (warehouse/quota_ledger), sleeping (services/govern_quota). Invariants: never more than the limit in any 60
seconds; a bucket that Spotify blocked makes no request before its time, and blocks no other bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from myi_pipeline.core.retries import doubled


class Bucket(StrEnum):
    """What a request is for. In order of precedence."""

    POLLS = "polls"
    PERSONAL = "personal"
    CATALOGUE = "catalogue"


@dataclass(frozen=True, kw_only=True)
class QuotaLimits:
    """Limits of one client id; the names of the settings MYI_SPOTIFY_..."""

    requests_per_minute: int = 150
    calls_per_day: int = 2_000
    catalogue_calls_per_day: int = 400


@dataclass(frozen=True)
class Slot:
    """Requests of all buckets at one moment."""

    called_at: datetime
    calls: int


@dataclass(frozen=True, kw_only=True)
class DayUsage:
    """Calls of the last 24 hours, and when the first of them leaves that window."""

    total: int
    catalogue: int
    first_leaves_at: datetime | None
    first_of_catalogue_leaves_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Block:
    """Spotify asked for silence in one bucket; `in_a_row` counts such answers without a success between."""

    blocked_at: datetime
    blocked_until: datetime
    in_a_row: int = 1


@dataclass(frozen=True)
class Decision:
    """Granted when `retry_at` is None; else why not."""

    retry_at: datetime | None = None
    reason: str = ""


DAY = timedelta(hours=24)
# Spotify counts over rolling 30 s windows, so half the minute's requests is the most for half a minute.
WINDOWS = ((timedelta(seconds=30), Fraction(1, 2)), (timedelta(seconds=60), Fraction(1)))
LONGEST_WINDOW = WINDOWS[-1][0]
# Polls come first: others stop while a part of the window is still free for them.
SHARES: Mapping[Bucket, Fraction] = {
    Bucket.POLLS: Fraction(1),
    Bucket.PERSONAL: Fraction(4, 5),
    Bucket.CATALOGUE: Fraction(1, 2),
}
# A clock that was set back by more than this makes stored times meaningless: they are then left out.
CLOCK_TOLERANCE = timedelta(minutes=1)
# Without Retry-After: what the rolling window needs to pass, and what a used-up day needs.
_UNTOLD_WAIT, _LONGEST_UNTOLD_WAIT = timedelta(seconds=30), timedelta(hours=1)
_UNTOLD_QUOTA_WAIT, _LONGEST_UNTOLD_QUOTA_WAIT = timedelta(hours=1), timedelta(hours=24)
# The longest seen is 85,771 s. After a week one request finds out.
LONGEST_BLOCK = timedelta(days=7)


def decide(
    *,
    bucket: Bucket,
    limits: QuotaLimits,
    recent: Iterable[Slot],
    block: Block | None,
    day: DayUsage | None,
    now: datetime,
) -> Decision:
    """Whether one more request may be made now. `recent` reaches LONGEST_WINDOW back; `day` is for the catalogue."""
    if block is not None and is_blocked(block, now):
        return Decision(block.blocked_until, "Spotify asked to wait")
    if bucket is Bucket.CATALOGUE and day is not None:
        held = _day_is_full(limits, day, now)
        if held is not None:
            return held
    slots = sorted(
        (slot for slot in recent if slot.called_at <= now + CLOCK_TOLERANCE), key=lambda slot: slot.called_at
    )
    retry_at = max((_free_at(slots, window, allowance(limits, bucket, part), now) for window, part in WINDOWS))
    return Decision(retry_at, "the requests of this minute are used up") if retry_at > now else Decision()


def allowance(limits: QuotaLimits, bucket: Bucket, part: Fraction = Fraction(1)) -> int:
    """Most requests of all buckets in a window at which this bucket may still add one; `part` of a minute's."""
    whole = limits.requests_per_minute * SHARES[bucket] * part
    return max(1, -(-whole.numerator // whole.denominator))


def is_blocked(block: Block, now: datetime) -> bool:
    return block.blocked_at - CLOCK_TOLERANCE <= now < block.blocked_until


def next_block(
    previous: Block | None, *, retry_after: timedelta | None, quota_exceeded: bool, now: datetime
) -> Block:  # fmt: skip
    """The block that follows from a 429. Without Retry-After the wait doubles with each answer in a row."""
    in_a_row = previous.in_a_row + 1 if previous is not None else 1
    if retry_after is not None:
        # One second more: the header is cut off to whole seconds.
        wait = min(max(retry_after, timedelta(0)) + timedelta(seconds=1), LONGEST_BLOCK)
    elif quota_exceeded:
        wait = doubled(_UNTOLD_QUOTA_WAIT, times=in_a_row - 1, longest=_LONGEST_UNTOLD_QUOTA_WAIT)
    else:
        wait = doubled(_UNTOLD_WAIT, times=in_a_row - 1, longest=_LONGEST_UNTOLD_WAIT)
    until = now + wait
    if previous is not None and is_blocked(previous, now):
        until = max(until, previous.blocked_until)  # an answer that was under way knows less
    return Block(blocked_at=now, blocked_until=until, in_a_row=in_a_row)


def _day_is_full(limits: QuotaLimits, day: DayUsage, now: datetime) -> Decision | None:
    if day.catalogue >= limits.catalogue_calls_per_day:
        return Decision(_later(day.first_of_catalogue_leaves_at, now), "the catalogue's calls of this day are used up")
    if day.total >= limits.calls_per_day:
        return Decision(_later(day.first_leaves_at, now), "polls need the calls of this day")
    return None


def _later(moment: datetime | None, now: datetime) -> datetime:
    """`moment`, but at least a minute from now; with nothing to wait for, a day."""
    return max(moment, now + timedelta(minutes=1)) if moment is not None else now + DAY


def _free_at(slots: list[Slot], window: timedelta, most: int, now: datetime) -> datetime:
    """When fewer than `most` calls lie in the window."""
    inside = [slot for slot in slots if slot.called_at + window > now]
    used = sum(slot.calls for slot in inside)
    free_at = now
    for slot in inside:
        if used < most:
            break
        used -= slot.calls
        free_at = slot.called_at + window
    return free_at
