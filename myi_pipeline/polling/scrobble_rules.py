"""Which part of a linked account's history is read next, how often, and which of its scrobbles are new: pure rules.

A scrobble may arrive late: Last.fm accepts plays up to 14 days old (a player that was offline during a holiday),
ListenBrainz accepts any age, and people import old histories there. So each poll reads back one day from the newest
known scrobble, once a day 15 days, and once in 30 days everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

EACH_POLL = timedelta(days=1)
# https://www.last.fm/api/scrobbling: at most two weeks old; one more day because of clocks.
A_LONG_LOOK = timedelta(days=15)
LONG_LOOK_EVERY = timedelta(days=1)
WHOLE_EVERY = timedelta(days=30)
# Last.fm shows 200 per page: 8,000 scrobbles, some 20 s of requests. The rest is read at the next turn.
PAGES_A_POLL = 40
# Users who are listening are polled every five minutes, others every quarter of an hour, those who have been silent for
# a week once an hour. An unfinished stretch is continued after a minute.
LISTENING, USUAL, SILENT = timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1)
GO_ON = timedelta(minutes=1)
_LISTENING_WITHIN, _SILENT_AFTER = timedelta(minutes=30), timedelta(days=7)


@dataclass(frozen=True)
class Stretch:
    """A span that is read backwards, and has been read from `read_down_to` on. `since` None: it begins with the
    account.

    `stretch_id` None: none of it has been read yet.
    """

    stretch_id: int | None
    since: datetime | None
    read_down_to: datetime | None
    opened_at: datetime


@dataclass(frozen=True, kw_only=True)
class LinkState:
    """What is known about an account's polling. `failures` are consecutive."""

    polled_at: datetime | None = None
    due_at: datetime | None = None
    newest_at: datetime | None = None
    new_seen_at: datetime | None = None
    looked_back_at: datetime | None = None
    read_whole_at: datetime | None = None
    failures: int = 0
    last_error: str | None = None


def next_stretch(state: LinkState, standing: Sequence[Stretch], *, now: datetime) -> Stretch:
    """What a poll reads first, from now backwards; unfinished stretches are continued afterwards."""
    is_walking = any(each.since is None for each in standing)
    if state.newest_at is None and not is_walking:
        return Stretch(None, None, None, now)
    # A time ahead of now comes from a wrong clock.
    newest = min(state.newest_at or now, now)
    recent = newest - EACH_POLL
    if is_walking:
        return Stretch(None, recent, None, now)
    if state.read_whole_at is None or not _is_within(state.read_whole_at, WHOLE_EVERY, now):
        return Stretch(None, None, None, now)
    far = min(recent, now - A_LONG_LOOK)
    is_looking = any(each.since is not None and each.since <= far + LONG_LOOK_EVERY for each in standing)
    is_due = state.looked_back_at is None or not _is_within(state.looked_back_at, LONG_LOOK_EVERY, now)
    return Stretch(None, far if is_due and not is_looking else recent, None, now)


def is_long_look(stretch: Stretch) -> bool:
    """Whether this stretch, which has been read to its end, covered the last 15 days, or everything."""
    return stretch.since is None or stretch.since <= stretch.opened_at - A_LONG_LOOK


def next_due(*, newest_at: datetime | None, is_playing: bool, is_unfinished: bool, now: datetime) -> datetime:
    """When an account that was polled now is polled again."""
    if is_unfinished:
        return now + GO_ON
    silent_for = now - newest_at if newest_at is not None else timedelta.max
    if is_playing or silent_for < _LISTENING_WITHIN:
        return now + LISTENING
    return now + (USUAL if silent_for < _SILENT_AFTER else SILENT)


@dataclass(frozen=True)
class NamedScrobble:
    """A scrobble by its second and its names; `names` are keys for everything its content is known by."""

    listened_at: datetime
    names: frozenset[str] = field(default_factory=frozenset)


def find_new(seen: Sequence[NamedScrobble], stored: Iterable[NamedScrobble]) -> tuple[int, ...]:
    """Which of `seen` are new, compared with `stored`: indexes of `seen`, in order.

    Within one second, a scrobble with the same names is the same one. One with other names is also the same as long as
    there are as many stored as seen: services correct names afterwards.
    """
    left: dict[datetime, list[frozenset[str]]] = {}
    for each in stored:
        left.setdefault(each.listened_at, []).append(each.names)
    unmatched: list[int] = []
    met: set[tuple[datetime, str]] = set()
    for place, each in enumerate(seen):
        known = left.get(each.listened_at, [])
        found = next((names for names in known if names & each.names), None)
        if found is not None:
            known.remove(found)
            met.update((each.listened_at, name) for name in found | each.names)
        elif any((each.listened_at, name) in met for name in each.names):
            continue  # twice in one page
        else:
            met.update((each.listened_at, name) for name in each.names)
            unmatched.append(place)
    spare = Counter({moment: len(names) for moment, names in left.items()})
    new = []
    for place in unmatched:
        moment = seen[place].listened_at
        if spare[moment] > 0:
            spare[moment] -= 1
        else:
            new.append(place)
    return tuple(new)


def _is_within(moment: datetime, span: timedelta, now: datetime) -> bool:
    """False if the moment is ahead of now: a clock was wrong."""
    return moment - timedelta(minutes=1) <= now < moment + span
