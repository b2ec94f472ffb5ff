"""What a page of the last plays shows, compared with the poll before: which plays are new or late, or may be missing.

Spotify takes a window of the 50 latest plays by `played_at` and filters entries (episodes) out of it afterwards, so a
page of 43 may be as full as one of 50. Plays that surface in order can leave the window unseen only if nothing on the
page is known. Plays heard offline surface hours later, anywhere in the window, even between plays that another device
made online: some may have left it again by the time the others are seen, which are then among its oldest. An offline
session that never appeared on any page leaves no trace; only an archive reports it, and what is covered by polling
alone is marked as such (`polled_only` in fct_coverage_gaps).

Between two polls, a track may get another id (it was relinked, or another release replaces it), and the time of a play
may move by milliseconds. One account cannot begin two recordings of a song within a second, so entries that are closer
than that and share any name of the song are one play. The models `int_plays__polled_again` and `int_plays__paired`
apply the same rule to raw.

Invariants: plays that surfaced in order and were on no page are in a gap; so are the missing plays of an offline
session if any page showed part of it among its oldest plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from myi_pipeline.catalogue.plays import Content

# No listening user is polled less often than this: a longer interval cannot be explained by the window alone.
OUTAGE = timedelta(hours=3)
# Clocks of two machines never agree to the second.
_CLOCK_TOLERANCE = timedelta(minutes=1)
# A play is reported within half a minute of its end, and some devices report its start. If a long pause makes a play
# look late, that costs a poll; a sync that is not recognised as late loses plays (with 45 minutes, it did).
LATE = timedelta(minutes=10)
# Spotify's window, and the shortest page that may be a complete one: pages of 43 to 45 entries are common.
WINDOW, SHORTEST_FULL_PAGE = 50, 40
# A late play among the ten oldest, or within 20 minutes of the oldest, may follow others that were cut off.
_AMONG_THE_OLDEST, _NEAR_THE_OLDEST = 10, timedelta(minutes=20)
# Another device's known plays do not show when an overlapping offline session began: allow for a long flight.
LONGEST_OFFLINE = timedelta(hours=12)
# Plays exactly a second apart are two.
ONE_PLAY_WITHIN: Final = timedelta(seconds=1)


class GapReason(StrEnum):
    """Why plays may be missing. PAUSED and LOGIN_ENDED begin when a login changes, the others with a poll."""

    WINDOW_OVERFLOW = "window_overflow"
    OUTAGE = "outage"
    LOGIN_ENDED = "login_ended"
    PAUSED = "paused"
    LATE_PLAYS = "late_plays"
    REFUSED_ITEMS = "refused_items"


@dataclass(frozen=True, kw_only=True)
class PollState:
    """The stored state of a user's polls.

    Of the last page: `was_full`, `oldest_played_at`, `late_from` (the oldest play that surfaced late) and `refused`. Of
    all pages: `newest_played_at`, `new_seen_at` (when a poll last brought a new play) and `fill` (how long this user
    takes to fill a window when fast). `failures` are consecutive; `last_error` says why the last poll failed.
    """

    polled_at: datetime | None = None
    due_at: datetime | None = None
    was_full: bool = False
    oldest_played_at: datetime | None = None
    newest_played_at: datetime | None = None
    new_seen_at: datetime | None = None
    fill: timedelta | None = None
    late_from: datetime | None = None
    refused: int = 0
    failures: int = 0
    last_error: str | None = None

    @property
    def was_empty(self) -> bool:
        """The last page showed no play although some were known."""
        return self.oldest_played_at is None and self.newest_played_at is not None


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page as times of plays: `known` were in raw before, `new` were not.

    `refused`: for each unreadable item, the times of the good items around it (None if it is the first or the last).
    `is_full` counts the items of the answer, which may be fewer than the window had.

    A play dated ahead of the poll is left out of `known` and `new`: otherwise it would remain the newest until its time
    has come, and make all later plays look late, an overflow look known and a silent listener look busy.
    """

    polled_at: datetime
    is_full: bool
    known: Sequence[datetime] = ()
    new: Sequence[datetime] = ()
    refused: Sequence[tuple[datetime | None, datetime | None]] = ()

    def __post_init__(self) -> None:
        latest = self.polled_at + _CLOCK_TOLERANCE
        object.__setattr__(self, "known", tuple(each for each in self.known if each <= latest))
        object.__setattr__(self, "new", tuple(each for each in self.new if each <= latest))
        refused = tuple(tuple(each if each and each <= latest else None for each in around) for around in self.refused)
        object.__setattr__(self, "refused", refused)

    @property
    def times(self) -> list[datetime]:
        """Oldest first."""
        return sorted([*self.known, *self.new])

    @property
    def oldest(self) -> datetime | None:
        return min([*self.known, *self.new], default=None)

    @property
    def newest(self) -> datetime | None:
        return max([*self.known, *self.new], default=None)


@dataclass(frozen=True)
class Gap:
    start: datetime
    end: datetime
    reason: GapReason


@dataclass(frozen=True)
class Comparison:
    """The result of a comparison.

    `late`: how many new plays surfaced late, `late_from` the oldest of them. `connects`: between the previous poll and
    this one, no play can have left the window unseen, except late ones. `is_empty`: the page shows no play, or only
    plays dated ahead of now, although some were known: it says nothing about what was played.
    """

    late: int = 0
    late_from: datetime | None = None
    connects: bool = True
    is_empty: bool = False
    gaps: tuple[Gap, ...] = ()


def span_start(page: Page) -> datetime:
    """The time from which the first poll covers plays: anything before its oldest play is unknown."""
    return page.oldest or page.polled_at


def compare(
    before: PollState, page: Page, *, known_before: Callable[[datetime], datetime | None] = lambda _: None
) -> Comparison:
    """Compare a page with what the poll before saw.

    `known_before(moment)` is the last play before a moment that raw had without this page; it is called at most once
    per gap.
    """
    refused = tuple(_around_refused(page, older, newer, known_before) for older, newer in page.refused)
    if before.polled_at is None:
        return Comparison(gaps=refused)
    if page.oldest is None:
        is_empty = before.newest_played_at is not None
        return Comparison(connects=not is_empty, is_empty=is_empty, gaps=refused)
    late = [played_at for played_at in page.new if _is_late(before, page, played_at)]
    late_from = min(late, default=None)
    if not page.known:
        had_plays = before.newest_played_at is not None
        if not had_plays and len(page.times) + len(page.refused) < SHORTEST_FULL_PAGE:
            return Comparison(len(late), late_from, gaps=refused)  # the first plays of this account
        return Comparison(len(late), late_from, connects=False, gaps=(_overflow(before, page), *refused))
    # The previous page may have shown the beginning of a sync, this one its end.
    reach = min((each for each in (late_from, before.late_from) if each is not None), default=None)
    cut = _behind_the_oldest(before, page, late, reach, known_before) if reach is not None else None
    return Comparison(len(late), late_from, gaps=(cut, *refused) if cut is not None else refused)


def _behind_the_oldest(
    before: PollState,
    page: Page,
    late: Sequence[datetime],
    reach: datetime,
    known_before: Callable[[datetime], datetime | None],
) -> Gap | None:
    """The gap before the page's oldest play, if a late one, at `reach`, is among the oldest and the page was cut."""
    times = page.times
    oldest = times[0]
    if reach > times[min(_AMONG_THE_OLDEST, len(times)) - 1] and reach - oldest > _NEAR_THE_OLDEST:
        return None
    first = min(reach, oldest)
    last_known = known_before(first)
    if last_known is None and not page.is_full:
        return None  # no known play has left the page: it shows everything there is
    start = last_known or first
    newest = _newest_known(before)
    if newest is not None and reach < newest:
        last_out_of_order = max((each for each in late if each < newest), default=reach)
        if any(each <= last_out_of_order for each in page.known):
            start = min(start, oldest - LONGEST_OFFLINE)
    return Gap(start, oldest, GapReason.LATE_PLAYS)


def _overflow(before: PollState, page: Page) -> Gap:
    assert before.polled_at is not None
    assert page.oldest is not None
    assert page.newest is not None
    was_away = page.polled_at - before.polled_at > OUTAGE
    reason = GapReason.OUTAGE if was_away else GapReason.WINDOW_OVERFLOW
    newest = _newest_known(before) or before.polled_at
    if newest <= page.oldest:
        return Gap(newest, page.oldest, reason)
    # A known, newer play is not shown: the window is in the order of surfacing, or was emptied.
    return Gap(page.oldest, max(newest, page.newest), reason)


def _newest_known(before: PollState) -> datetime | None:
    if before.newest_played_at is None or before.polled_at is None:
        return before.newest_played_at
    return min(before.newest_played_at, before.polled_at)


def _around_refused(
    page: Page,
    older: datetime | None,
    newer: datetime | None,
    known_before: Callable[[datetime], datetime | None],
) -> Gap:
    end = max(newer or page.polled_at, older or page.polled_at) if newer is None else newer
    start = older or known_before(end) or end
    return Gap(min(start, end), end, GapReason.REFUSED_ITEMS)


def _is_late(before: PollState, page: Page, played_at: datetime) -> bool:
    newest = _newest_known(before)
    if newest is not None and played_at < newest:
        return True
    if before.was_empty:
        return False  # what that page did not show proves nothing
    # A previous poll in the future was made with a wrong clock.
    return before.polled_at is not None and played_at < before.polled_at - LATE and before.polled_at <= page.polled_at


class PolledPlay(NamedTuple):
    """One entry: its time, and everything that identifies its song. A removed track has no names at all."""

    played_at: datetime
    names: frozenset[str]


def names_of(content: Content | None, *, isrc: str | None = None) -> frozenset[str]:
    """What identifies a content's song: its key, the key of its names if it has a title, its recording code."""
    if content is None:
        return frozenset()
    names = [content.key, content.match_key if content.match_title else None, isrc and f"isrc {isrc.upper()}"]
    return frozenset(name for name in names if name)


def is_one_play(one: PolledPlay, other: PolledPlay) -> bool:
    if abs(one.played_at - other.played_at) >= ONE_PLAY_WITHIN:
        return False
    return not one.names or not other.names or not one.names.isdisjoint(other.names)


def is_among(play: PolledPlay, others: Iterable[PolledPlay]) -> bool:
    """Whether one of `others` is the same play."""
    return any(is_one_play(play, other) for other in others)
