"""How many requests a client id may make, their precedence, and how many polls per day that leaves.

Never more than the limit in any 60 seconds; a bucket that Spotify blocked makes no request before its time, and does
not block others; the polls of five users and the catalogue's calls together fit into one day of a client id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from myi_pipeline.providers.retries import doubled


class Bucket(StrEnum):
    """The purpose of a request, in order of precedence."""

    POLLS = "polls"
    TOKENS = "tokens"
    NOW_PLAYING = "now_playing"
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
    now_playing: int = 0
    first_of_now_playing_leaves_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Block:
    """Spotify asked to wait in one bucket; `in_a_row` counts such answers without a success in between."""

    blocked_at: datetime
    blocked_until: datetime
    in_a_row: int = 1


@dataclass(frozen=True)
class Decision:
    """Granted if `retry_at` is None; otherwise with the reason."""

    retry_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class Learnt:
    """The polls per day that a client id could afford when Spotify last answered a poll with 429."""

    polls_a_day: float
    learnt_at: datetime


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a client id has for polls: the users who share it, the affordable polls per day, and those spent in each of
    the last 24 hours, latest hour first (missing hours are empty).
    """

    users: int
    polls_a_day: float
    spent: Sequence[int] = ()


DAY = timedelta(hours=24)
HOURS_A_DAY = 24
# Polling every quarter of an hour takes 96 polls a day; the rest is for hours in which somebody listens. Five users
# spend 800 this way, which with 400 catalogue calls is half of the 2,300 to 2,600 calls a day that were observed to
# pass.
POLLS_A_USER = 160
# Spotify gives an app more than five users only with an extended quota of unpublished size: whatever the settings say,
# this many polls are planned for each user until a 429 shows otherwise. Every two hours takes 12.
LEAST_POLLS_A_USER = 32
# What is playing, for open pages: of the 2,300 to 2,600 calls a day that were observed to pass, polls, catalogue and
# top lists leave more.
NOW_PLAYING_CALLS_A_DAY = 600
# Top lists: two kinds of three terms, once a day.
PERSONAL_CALLS_A_USER = 6
# Polls may use two thirds of the sliding window; the rest lets a late run catch up.
SHARE_OF_WINDOW = Fraction(2, 3)
# What a single 429 shows about a client id, and how much of the plan recovers per day without another.
_LEFT_AFTER_429, _LEAST_LEFT_AFTER_429, _RECOVERED_A_DAY = 0.8, 0.4, 1 / 40
# Five users every two hours. Less would not be polling.
FEWEST_POLLS_A_DAY = 60.0
# A longer Retry-After means that the day is used up, a shorter one that the sliding window is full.
_LONGEST_WINDOW_WAIT = timedelta(minutes=5)
# Spotify counts over rolling 30 s windows, so half the minute's requests is the maximum for half a minute.
WINDOWS = ((timedelta(seconds=30), Fraction(1, 2)), (timedelta(seconds=60), Fraction(1)))
LONGEST_WINDOW = WINDOWS[-1][0]
# Polls come first: other requests stop while part of the window is still free for polls.
SHARES: Mapping[Bucket, Fraction] = {
    Bucket.POLLS: Fraction(1),
    # Without a token there is no poll.
    Bucket.TOKENS: Fraction(1),
    Bucket.NOW_PLAYING: Fraction(4, 5),
    Bucket.PERSONAL: Fraction(4, 5),
    Bucket.CATALOGUE: Fraction(1, 2),
}
# If the clock was set back by more than this, stored times are meaningless and are ignored.
CLOCK_TOLERANCE = timedelta(minutes=1)
# Waits without Retry-After: for a full rolling window, and for a used-up day.
_UNTOLD_WAIT, _LONGEST_UNTOLD_WAIT = timedelta(seconds=30), timedelta(hours=1)
_UNTOLD_QUOTA_WAIT, _LONGEST_UNTOLD_QUOTA_WAIT = timedelta(hours=1), timedelta(hours=24)
# The longest observed is 85,771 s. After a week, one request finds out.
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
    """Whether one more request may be made now.

    `recent` covers LONGEST_WINDOW; `day` is for buckets with a daily share.
    """
    if block is not None and is_blocked(block, now):
        return Decision(block.blocked_until, "Spotify asked to wait")
    if bucket is Bucket.CATALOGUE and day is not None:
        held = _day_is_full(limits, day, now)
        if held is not None:
            return held
    if bucket is Bucket.NOW_PLAYING and day is not None and day.now_playing >= NOW_PLAYING_CALLS_A_DAY:
        return Decision(_later(day.first_of_now_playing_leaves_at, now), "the requests for what is playing are used up")
    slots = sorted(
        (slot for slot in recent if slot.called_at <= now + CLOCK_TOLERANCE), key=lambda slot: slot.called_at
    )
    retry_at = max((_free_at(slots, window, allowance(limits, bucket, part), now) for window, part in WINDOWS))
    return Decision(retry_at, "the requests of this minute are used up") if retry_at > now else Decision()


def allowance(limits: QuotaLimits, bucket: Bucket, part: Fraction = Fraction(1)) -> int:
    """The number of requests of all buckets in a window up to which this bucket may add one; `part` of a minute's."""
    whole = limits.requests_per_minute * SHARES[bucket] * part
    return max(1, -(-whole.numerator // whole.denominator))


def is_blocked(block: Block, now: datetime) -> bool:
    return block.blocked_at - CLOCK_TOLERANCE <= now < block.blocked_until


def next_block(
    previous: Block | None, *, retry_after: timedelta | None, quota_exceeded: bool, now: datetime
) -> Block:  # fmt: skip
    """The block after a 429. Without Retry-After, the wait doubles with each consecutive one."""
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
        until = max(until, previous.blocked_until)  # an answer in flight at the time knows less
    return Block(blocked_at=now, blocked_until=until, in_a_row=in_a_row)


def planned_polls(limits: QuotaLimits, *, users: int) -> float:
    """The planned polls per day for a client id about which nothing else is known."""
    shared = limits.calls_per_day - limits.catalogue_calls_per_day - PERSONAL_CALLS_A_USER * users
    wanted = max(min(POLLS_A_USER * users, shared), LEAST_POLLS_A_USER * users)
    window = limits.requests_per_minute * 60 * HOURS_A_DAY * SHARE_OF_WINDOW
    return min(float(wanted), float(window))


def affordable_polls(planned: float, learnt: Learnt | None, now: datetime) -> float:
    """The currently affordable polls per day: as planned, or as learnt from a 429 plus recovery since."""
    if learnt is None:
        return planned
    days = max((now - learnt.learnt_at) / DAY, 0.0)
    return min(planned, learnt.polls_a_day + planned * _RECOVERED_A_DAY * days)


def learn_from_429(
    previous: Learnt | None,
    *,
    planned: float,
    spent: int,
    retry_after: timedelta | None,
    quota_exceeded: bool,
    now: datetime,
) -> Learnt:
    """What a 429 to a poll implies for the polls per day, after `spent` of them in the last 24 hours."""
    before = affordable_polls(planned, previous, now)
    left = _LEFT_AFTER_429
    if quota_exceeded or (retry_after is not None and retry_after > _LONGEST_WINDOW_WAIT):
        # The day is used up, so its size is what was spent. If that is far less than planned, others used it, too.
        left = max(left * min(1.0, spent / before), _LEAST_LEFT_AFTER_429)
    return Learnt(max(before * left, min(FEWEST_POLLS_A_DAY, planned)), now)


def _day_is_full(limits: QuotaLimits, day: DayUsage, now: datetime) -> Decision | None:
    if day.catalogue >= limits.catalogue_calls_per_day:
        return Decision(_later(day.first_of_catalogue_leaves_at, now), "the catalogue's calls of this day are used up")
    if day.total >= limits.calls_per_day:
        return Decision(_later(day.first_leaves_at, now), "polls need the calls of this day")
    return None


def _later(moment: datetime | None, now: datetime) -> datetime:
    """`moment`, but at least a minute from now; a day if there is nothing to wait for."""
    return max(moment, now + timedelta(minutes=1)) if moment is not None else now + DAY


def _free_at(slots: list[Slot], window: timedelta, most: int, now: datetime) -> datetime:
    """When fewer than `most` calls will be in the window."""
    inside = [slot for slot in slots if slot.called_at + window > now]
    used = sum(slot.calls for slot in inside)
    free_at = now
    for slot in inside:
        if used < most:
            break
        used -= slot.calls
        free_at = slot.called_at + window
    return free_at
