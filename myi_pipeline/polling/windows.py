"""What a page of the last plays says when it is compared with the poll before: what is new, late, or may be missing.

Spotify cuts a window of the 50 latest plays by `played_at` and filters entries (episodes) out of it afterwards, so a
page of 43 may be as full as one of 50. Plays that surface in order can only leave the window unseen when nothing of the
page is known. Plays that were heard offline surface hours later, somewhere inside the window, also between plays that
another device played online: some of them may have left it again when others are seen, and then the seen ones are among
its oldest. An offline session of which no page ever showed anything leaves no trace; only an archive reports it, and
what polling alone covers is called so (`polled_only` in fct_coverage_gaps).

Between two polls a track may get another id (it was relinked, or another release answers for it), and the time of a
play may move by milliseconds. One account cannot begin two recordings of one song within a second, so entries that are
closer than that and agree in any name of the song are one play. The models `int_plays__polled_again` and
`int_plays__paired` apply the same rule to what raw holds.

Invariants: plays that surfaced in order and were in no page lie in a gap; so does what is missing of an offline session
of which any page showed a part among its oldest plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from myi_pipeline.catalogue.plays import Content

# No user is polled less often than this while they listen: what happened meanwhile was no matter of the window alone.
OUTAGE = timedelta(hours=3)
# Clocks of two machines never agree to the second.
_CLOCK_TOLERANCE = timedelta(minutes=1)
# A play is reported within half a minute of its end, and some devices report its start. What is taken for late only
# because of a long pause costs a poll; a sync that is not taken for one costs its plays (with 45 minutes it did).
LATE = timedelta(minutes=10)
# Spotify's window, and the shortest page that may be a whole one: pages of 43 to 45 entries are common.
WINDOW, SHORTEST_FULL_PAGE = 50, 40
# A late play among the ten oldest, or within 20 minutes of the oldest, may follow others that were cut off.
_AMONG_THE_OLDEST, _NEAR_THE_OLDEST = 10, timedelta(minutes=20)
# Where an offline session overlaps what another device played, known plays do not show when it began; as long as a
# long flight.
LONGEST_OFFLINE = timedelta(hours=12)
# Exactly a second apart are two plays.
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
    """What is kept of a user's polls. Of the last page: `was_full`, `oldest_played_at`, `late_from` (the oldest play
    that surfaced late) and `refused`. Of all pages: `newest_played_at`, `new_seen_at` (when a poll last brought a new
    play) and `fill` (in what time this user fills a window when fast). `failures` are in a row; `last_error` says why
    the last poll failed.
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
        """The last page showed no play although plays were known."""
        return self.oldest_played_at is None and self.newest_played_at is not None


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page as times: of plays that raw had before, of those that are new to it. `refused`: for each item that could
    not be understood, the times of the good items around it (None: it is the first or the last). `is_full` counts the
    items of the answer, which may be fewer than the window had.

    A play that is dated ahead of the poll is left out of `known` and `new`: it stays the newest until its time has
    come, and would make all that follows look late, an overflow look known and a silent listener look busy.
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
    """`late`: how many new plays surfaced late, `late_from` the oldest of them. `connects`: between the poll before and
    this one no play can have left the window unseen, but for late ones. `is_empty`: the page shows no play, or none
    but such as are dated ahead of now, although plays were known: it says nothing about what was played.
    """

    late: int = 0
    late_from: datetime | None = None
    connects: bool = True
    is_empty: bool = False
    gaps: tuple[Gap, ...] = ()


def span_start(page: Page) -> datetime:
    """From when on the first poll vouches for plays: what came before its oldest play is unknown."""
    return page.oldest or page.polled_at


def compare(
    before: PollState, page: Page, *, known_before: Callable[[datetime], datetime | None] = lambda _: None
) -> Comparison:
    """Hold a page against what the poll before saw.

    `known_before(moment)` is the last play before a moment that raw had without this page; asked at most once a gap.
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
    # The page before may have shown the beginning of a sync, this one its end.
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
    """The gap behind the page's oldest play when a late one, at `reach`, is among the oldest and the page was cut."""
    times = page.times
    oldest = times[0]
    if reach > times[min(_AMONG_THE_OLDEST, len(times)) - 1] and reach - oldest > _NEAR_THE_OLDEST:
        return None
    first = min(reach, oldest)
    last_known = known_before(first)
    if last_known is None and not page.is_full:
        return None  # nothing that was known has left the page: it shows all that there is
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
    # What is known is not shown although it is younger: the window is in the order of surfacing, or was emptied.
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
        return False  # what that page did not show says nothing
    # A poll before that lies in the future was a wrong clock's.
    return before.polled_at is not None and played_at < before.polled_at - LATE and before.polled_at <= page.polled_at


class PolledPlay(NamedTuple):
    """One entry: its time, and everything that says which song it is. No names at all: a track that was removed."""

    played_at: datetime
    names: frozenset[str]


def names_of(content: Content | None, *, isrc: str | None = None) -> frozenset[str]:
    """What says which song a content is: its key, the key of its names if it has a title, its recording code."""
    if content is None:
        return frozenset()
    names = [content.key, content.match_key if content.match_title else None, isrc and f"isrc {isrc.upper()}"]
    return frozenset(name for name in names if name)


def is_one_play(one: PolledPlay, other: PolledPlay) -> bool:
    if abs(one.played_at - other.played_at) >= ONE_PLAY_WITHIN:
        return False
    return not one.names or not other.names or not one.names.isdisjoint(other.names)


def is_told(play: PolledPlay, told: Iterable[PolledPlay]) -> bool:
    """Whether one of `told` is the same play."""
    return any(is_one_play(play, other) for other in told)
