"""When a user is polled next: as often as the client id can afford.

Plays are lost if 50 new ones come between two polls. Skipping through tracks, or a short one in a loop, fills the
window in 25 minutes, an album in 3 hours. Past behaviour does not predict when someone will listen: a user who has been
silent for a month may skip through tracks for ten hours today. So no habit of a user makes polls rarer; only the budget
of the client id, which all its users share, does:

- Every user is polled once per silent period: the time in which three fifths of the affordable polls reach every user
  once. For five users of a client id, that is a quarter of an hour; with 32 polls a day for each user, 80 minutes.
- A user who listens is polled three times as often: with five users, every five minutes.
- A user who fills the window faster than that is polled before two fifths of it are full. So is a silent user who was
  that fast lately, as long as there is plenty left.
- The rest of the day's polls pays for that. What is left is computed such that, at any moment, the silent period can be
  kept up for another 24 hours. As it runs out, users who listen slowly wait longer, then fast ones; the silent period
  remains.

Turns are at common points in time, one SLOT apart, so that one run polls everybody who is due. Users are in groups of
GROUP, each with shifted points, so that ten thousand users are spread over the period. Two polls are at most LONGEST
apart, unless a 429 has shown that this cannot be afforded; with up to five users of a client id and without a 429, at
most 18 minutes; and never less than LEAST.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from myi_pipeline.polling.windows import WINDOW, Comparison, Page, PollState
from myi_pipeline.providers.quota_rules import DAY, HOURS_A_DAY, Means
from myi_pipeline.providers.retries import try_again_at

SLOT = timedelta(minutes=5)
# The silent periods, in slots. There are few, so that a small change in what is affordable moves no turn.
PERIODS = (3, 4, 5, 6, 8, 10, 12, 16, 20, 24)
LONGEST = timedelta(hours=2)
# Between two turns: a run that starts two minutes late must not skip the next slot.
LEAST = timedelta(minutes=3)
GROUP = 50
# A 429 may have shown that longer waits are needed; an outage or a quota delays a poll by up to an hour.
LATEST, LATEST_AFTER_FAILURE = timedelta(hours=24), timedelta(hours=1)
# A turn further ahead was set by a wrong clock.
LATEST_TURN = LATEST + timedelta(hours=1)
CLOCK_TOLERANCE = timedelta(minutes=1)

_SHARE_OF_SILENT = 0.6
_LISTENING_IS_FASTER = 3
# A track of ten minutes is reported when it ends, by some devices with the time at which it began.
_LISTENING_WITHIN = timedelta(minutes=10)
_SHARE_OF_FILL, _SHARE_OF_KNOWN_FILL = 0.4, 0.8
# Shares of the day's spare polls: below _SCARCE, everybody who listens waits longer; if silent periods are long, slow
# listeners begin to wait at _RESERVED + _SCARCE; silent users are favoured only above _NEARLY_SPENT.
_SCARCE, _RESERVED, _NEARLY_SPENT = 0.25, 0.5, 0.1
_LONG_PERIOD = 4 * SLOT
_LAST_PLAYS, _STRETCH = 10, 20
_LAST_PLAYS_WITHIN = timedelta(hours=3)
_FORGOTTEN_A_DAY = 0.05
_LONGEST_FILL = timedelta(days=7)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


def after_poll(before: PollState, page: Page, found: Comparison, *, means: Means, place: int) -> PollState:
    """The state after a poll, with the next turn. `place` is the user's number: neighbours share their turns."""
    # A state stored by an older version may name a play that is dated ahead of now.
    known = min(before.newest_played_at, page.polled_at) if before.newest_played_at is not None else None
    newest = [moment for moment in (known, page.newest) if moment is not None]
    is_first = before.polled_at is None
    state = PollState(
        polled_at=page.polled_at,
        was_full=page.is_full,
        oldest_played_at=page.oldest,
        newest_played_at=max(newest, default=None),
        new_seen_at=page.polled_at if page.new or is_first else before.new_seen_at,
        fill=_fastest(before, page),
        late_from=before.late_from if found.is_empty else found.late_from,
        refused=before.refused if found.is_empty else len(page.refused),
    )
    # Late plays are followed by the rest of the sync; a full page of which half is new may be half of a burst.
    is_under_way = found.late > 0 or (page.is_full and not is_first and len(page.new) * 2 >= WINDOW)
    period = _period(state, page, means, is_under_way=is_under_way)
    return replace(state, due_at=next_turn(page.polled_at, period, place=place))


def after_failure(before: PollState, error: Exception, *, now: datetime, jitter: float) -> PollState:
    """The state after a failed poll: only the turn changes. Circuits suspend users for longer; here, an hour is the
    maximum, unless the error has its own time."""
    failures = before.failures + 1
    due_at = try_again_at(error, failures=failures, now=now, jitter=jitter)
    if due_at is None or getattr(error, "retry_at", None) is None:
        due_at = min(due_at or now + LATEST_AFTER_FAILURE, now + LATEST_AFTER_FAILURE)
    return replace(before, failures=failures, due_at=due_at)


def listening_turn(state: PollState, means: Means, *, now: datetime, has_ended: bool) -> datetime | None:
    """When to poll a user who is seen listening: at the pace of those who listen; sooner if a play has just ended and
    there is plenty left. None if the user's turn is no later than that, or nothing is left for it."""
    left = spare(means)
    if state.polled_at is None or state.due_at is None or left <= 0:
        return None
    usual = _usual_period(silent_period(means))
    wait = LEAST if has_ended and usual <= SLOT and left > _SCARCE else usual
    wanted = max(state.polled_at + wait, now)
    return wanted if wanted < state.due_at else None


def silent_period(means: Means) -> timedelta:
    """How often every user is polled, listening or not."""
    once_round = max(means.users, 1) * DAY / max(means.polls_a_day, 1.0)
    if once_round > LONGEST:
        return min(-(-once_round // SLOT) * SLOT, LATEST)
    wanted = once_round / _SHARE_OF_SILENT / SLOT
    return next((slots for slots in PERIODS if slots >= wanted - 0.001), PERIODS[-1]) * SLOT


def spare(means: Means) -> float:
    """The share that is left of the polls beyond the silent period's: 1 if none is spent, 0 or less if all are.

    For each of the next 24 hours, the client id's day must have room for the silent period's polls as well as for
    earlier ones that still count then.
    """
    an_hour = max(means.users, 1) * (_HOUR / silent_period(means))
    beyond = means.polls_a_day - HOURS_A_DAY * an_hour
    if beyond <= 0:
        return 0.0
    hours = [*means.spent, *[0] * HOURS_A_DAY][:HOURS_A_DAY]
    # Sums over the latest 0, 1, ... 24 hours.
    spent = accumulate(hours, initial=0)
    left = min(means.polls_a_day - so_far - an_hour * (HOURS_A_DAY - latest) for latest, so_far in enumerate(spent))
    # One hour of the silent period is held in reserve, for polls that are under way and requests that are repeated.
    return (left - an_hour) / beyond


def next_turn(polled_at: datetime, period: timedelta, *, place: int) -> datetime:
    """The first common point of this period that is at least LEAST away, but at most the longer of the period and
    LONGEST away.
    """
    shift = place // GROUP * SLOT
    point = -(-(polled_at + LEAST - _EPOCH - shift) // period) * period + shift + _EPOCH
    return min(point, polled_at + max(period, LONGEST))


def _period(state: PollState, page: Page, means: Means, *, is_under_way: bool) -> timedelta:
    assert state.polled_at is not None
    silent, left = silent_period(means), spare(means)
    times = _past(page)
    is_listening = bool(times) and state.polled_at - times[-1] < _LISTENING_WITHIN
    if not (is_listening or is_under_way):
        if state.fill is None or left <= _NEARLY_SPENT:
            return silent
        return min(silent, _slots(state.fill * _SHARE_OF_KNOWN_FILL))
    fill = _present_fill(times, state.polled_at) or state.fill
    usual = _usual_period(silent)
    reserved = _RESERVED if silent > _LONG_PERIOD else 0.0
    slowly = usual + (silent - usual) * (1 - min(max((left - reserved) / _SCARCE, 0.0), 1.0))
    if fill is None or left <= 0:
        return _slots(slowly)
    needed = max(_slots(fill * _SHARE_OF_FILL), usual if silent <= _LONG_PERIOD else SLOT)
    return min(_slots(slowly), needed)


def _usual_period(silent: timedelta) -> timedelta:
    """How often a listening user is polled, as long as polls are left."""
    return max(round(silent / SLOT / _LISTENING_IS_FASTER), 1) * SLOT


def _past(page: Page) -> list[datetime]:
    """The times of the page, oldest first, without those ahead of the poll: they are not evidence of listening."""
    times = page.times
    return times[: bisect_right(times, page.polled_at + CLOCK_TOLERANCE)]


def _slots(wait: timedelta) -> timedelta:
    """Whole slots, rounded down."""
    return max(wait // SLOT, 1) * SLOT


def _present_fill(times: Sequence[datetime], now: datetime) -> timedelta | None:
    """How long a window takes to fill at the pace of the last ten plays; None if they are not from this session."""
    if len(times) < _LAST_PLAYS or now - times[-_LAST_PLAYS] > _LAST_PLAYS_WITHIN:
        return None
    return (times[-1] - times[-_LAST_PLAYS]) * (WINDOW / (_LAST_PLAYS - 1))


def _fastest(before: PollState, page: Page) -> timedelta | None:
    """How long a window takes to fill when this user is fast: by the densest twenty plays, slowly forgotten."""
    times = _past(page)
    spans = [later - earlier for earlier, later in zip(times, times[_STRETCH - 1 :], strict=False)]
    # Plays that are all dated to one moment (a sync) do not show a pace.
    shown = max(min(spans) * (WINDOW / (_STRETCH - 1)), SLOT) if spans else None
    if before.fill is None or before.polled_at is None:
        return shown
    days = max((page.polled_at - before.polled_at) / DAY, 0.0)
    kept: timedelta = min(before.fill * float((1 + _FORGOTTEN_A_DAY) ** min(days, 60.0)), _LONGEST_FILL)
    return kept if shown is None else min(kept, shown)


# A run is a process that takes 4 to 8 s of a core before its first request: a small machine can do 60 of them an hour.
RUNS_AN_HOUR = 60
# Four a slot are 48 an hour. Two run at a time, each with threads for eight users at once.
RUNS_A_SLOT = 4
# From this many users on, starting a second process pays off.
USERS_A_RUN = 200


@dataclass(frozen=True)
class PollBatch:
    """The users from `first` to `last` in partition order, of whom `users` are due."""

    first: str
    last: str
    users: int
    name: str


def slot_of(moment: datetime) -> datetime:
    """When the slot containing this moment began."""
    return _EPOCH + (moment - _EPOCH) // SLOT * SLOT


def plan_batches(keys: Sequence[str], *, due: Mapping[str, datetime], now: datetime) -> tuple[PollBatch, ...]:
    """The batches for the users who are due now.

    `keys` are all partitions in order; a user without one waits for the next slot. One batch per USERS_A_RUN users, at
    most RUNS_A_SLOT, of equal size give or take one user.
    """
    waiting = [key for key in keys if key in due and due[key] <= now]
    count = min(-(-len(waiting) // USERS_A_RUN), RUNS_A_SLOT)
    edges = [len(waiting) * number // count for number in range(count + 1)] if count else []
    return tuple(
        PollBatch(
            first=waiting[edges[number]],
            last=waiting[edges[number + 1] - 1],
            users=edges[number + 1] - edges[number],
            name=f"polls-{slot_of(now):%Y%m%dT%H%M}-{number + 1}",
        )
        for number in range(count)
    )
