"""When a user is polled next.

Belongs here: the turn, as a function of what the pages said. Not here: comparing pages (poll_windows), batches
(poll_batches), how long what failed waits (retries).

Plays are lost when 50 new ones come between two polls. So what a user needs depends on how fast they fill the window:
an album takes 3 hours for it, skipping through tracks or a short one in a loop 25 minutes, and most of the day nobody
listens at all. Two paces are known: the present one, from the last ten plays, and the fastest one of late, from the
densest stretch of twenty, which is forgotten by a twentieth a day.

- Listening now: after two fifths of the time that the present pace fills the window in, at least of 0.6 of the fastest.
- Silent: whoever starts again now, at the fastest pace, has not filled it after four fifths of that time.
- The page is full and half of it new, or plays surface late (the rest of a sync follows): soon.
- Nothing is known yet: after an hour, which is also the longest that anybody waits who is listening.
- Silent for a week and more: a 28th of the silence, at most a day.

Measured over a month of 200 mixed listeners (benchmarks/polling_month): a tenth fewer calls than once an hour, and half
of the losses.
A window that is stale (nothing new for hours while plays go on) looks like silence, and no poll could see more of it;
paces are taken from the times of plays, never from the times of polls, so what it then shows at once is no burst.
Invariants: nobody waits longer than a day, nobody is asked twice within the cool-down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from myi_pipeline.core.poll_windows import Comparison, Page, PollState
from myi_pipeline.core.retries import try_again_at

WINDOW = 50
COOL_DOWN = timedelta(minutes=5)
USUAL = timedelta(hours=1)
SOON = timedelta(minutes=15)
LONGEST_SILENT = timedelta(hours=2)
LATEST = timedelta(hours=24)
# A turn further ahead was written by a clock that was wrong.
LATEST_TURN = LATEST + timedelta(hours=1)
CLOCK_TOLERANCE = timedelta(minutes=1)

_SHARE_LISTENING, _SHARE_SILENT, _LEAST_OF_FASTEST = 0.4, 0.8, 0.6
_LISTENING_WITHIN = timedelta(minutes=45)
_LAST_PLAYS, _STRETCH = 10, 20
_LAST_PLAYS_WITHIN = timedelta(hours=3)
_FORGOTTEN_A_DAY = 0.05
_LONG_SILENCE, _SHARE_OF_SILENCE = timedelta(days=7), 1 / 28
_JITTER = 0.1


def is_cooling_down(polled_at: datetime | None, now: datetime) -> bool:
    """Whether the last poll is so young that another one can bring nothing. A poll in the future is a wrong clock's."""
    return polled_at is not None and polled_at - CLOCK_TOLERANCE <= now < polled_at + COOL_DOWN


def turn_has_come(*, due_at: datetime | None, polled_at: datetime | None, now: datetime) -> bool:
    """Whether the turn is now or past, or was written by a clock that was wrong."""
    is_wrong = polled_at is not None and polled_at > now + CLOCK_TOLERANCE
    return due_at is None or due_at <= now or due_at > now + LATEST_TURN or is_wrong


def after_poll(before: PollState, page: Page, found: Comparison, *, jitter: float) -> PollState:
    """What is kept of a poll, with the next turn. `jitter` from 0 to 1 takes up to a tenth of the wait."""
    newest = [moment for moment in (before.newest_played_at, page.newest) if moment is not None]
    is_first = before.polled_at is None
    state = PollState(
        polled_at=page.polled_at,
        was_full=page.is_full,
        oldest_played_at=page.oldest,
        newest_played_at=max(newest, default=None),
        new_seen_at=page.polled_at if page.new or is_first else before.new_seen_at,
        fill=_fastest(before, page),
        late_from=found.late_from,
        refused=len(page.refused),
    )
    wait = _wait(state, page)
    is_burst = page.is_full and not is_first and len(page.new) * 2 >= WINDOW
    if is_burst or found.late:
        wait = min(wait, SOON)
    wait = min(max(wait, COOL_DOWN), LATEST)
    return replace(state, due_at=page.polled_at + max(wait - wait * (_JITTER * jitter), COOL_DOWN))


def after_failure(before: PollState, error: Exception, *, now: datetime, jitter: float) -> PollState:
    """A poll that failed changes the turn alone. Circuits leave users alone for longer; here an hour is the most,
    unless the error knows its own time.
    """
    failures = before.failures + 1
    due_at = try_again_at(error, failures=failures, now=now, jitter=jitter)
    if due_at is None or getattr(error, "retry_at", None) is None:
        due_at = min(due_at or now + USUAL, now + USUAL)
    return replace(before, failures=failures, due_at=due_at)


def _wait(state: PollState, page: Page) -> timedelta:
    assert state.polled_at is not None
    quiet_for = state.polled_at - (state.new_seen_at or state.polled_at)
    if quiet_for >= _LONG_SILENCE:
        return quiet_for * _SHARE_OF_SILENCE
    if state.fill is None:
        return USUAL
    if page.newest is not None and state.polled_at - page.newest < _LISTENING_WITHIN:
        present = _present_fill(page.times, state.polled_at) or LONGEST_SILENT
        return min(max(present, state.fill * _LEAST_OF_FASTEST) * _SHARE_LISTENING, USUAL)
    return min(state.fill * _SHARE_SILENT, LONGEST_SILENT)


def _present_fill(times: Sequence[datetime], now: datetime) -> timedelta | None:
    """In what time the pace of the last ten plays fills a window; None when they are not of this sitting."""
    if len(times) < _LAST_PLAYS or now - times[-_LAST_PLAYS] > _LAST_PLAYS_WITHIN:
        return None
    return (times[-1] - times[-_LAST_PLAYS]) * (WINDOW / (_LAST_PLAYS - 1))


def _fastest(before: PollState, page: Page) -> timedelta | None:
    times = page.times
    spans = [later - earlier for earlier, later in zip(times, times[_STRETCH - 1 :], strict=False)]
    # Plays that are said to have been at one time (a sync) are no pace.
    shown = max(min(spans) * (WINDOW / (_STRETCH - 1)), COOL_DOWN) if spans else None
    if before.fill is None or before.polled_at is None:
        return shown
    days = max((page.polled_at - before.polled_at) / timedelta(days=1), 0.0)
    kept: timedelta = min(before.fill * float((1 + _FORGOTTEN_A_DAY) ** min(days, 60.0)), LATEST * 7)
    return kept if shown is None else min(kept, shown)
