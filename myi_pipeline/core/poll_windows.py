"""What a page of the last plays says when it is held against the poll before: what is new, late, or may be missing.

Belongs here: the comparison, on times alone. Not here: when to poll next (polling_policy), storing.

Spotify shows the 50 latest plays by `played_at`. Plays that surface in order can only leave the window unseen when
nothing of a full page is known. Plays that were heard offline surface hours later, somewhere inside the window: some of
them may have left it again when others are seen, and then the seen ones lie at its old end. An offline session of which
no page ever showed anything leaves no trace; only an archive tells of it, and what polling alone covers is called so
(`polled_only` in fct_coverage_gaps).
Invariants: plays that surfaced in order and were in no page lie in a gap; so does what is missing of an offline session
of which any page showed a part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# Nobody is polled less often than this while they listen: what happened meanwhile was no matter of the window alone.
OUTAGE = timedelta(hours=3)
# A play is told of within half a minute of its end, and some devices tell its start. What is taken for late only
# because of a long pause costs a poll; a sync that is not taken for one costs its plays (with 45 minutes it did).
LATE = timedelta(minutes=10)


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
    play) and `fill` (in what time this user fills a window when fast). `failures` are in a row.
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


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page as times: of plays that raw had before, of those that are new to it. `refused`: for each item that could
    not be understood, the times of the good items around it (None: it is the first or the last).
    """

    polled_at: datetime
    is_full: bool
    known: Sequence[datetime] = ()
    new: Sequence[datetime] = ()
    refused: Sequence[tuple[datetime | None, datetime | None]] = ()

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
    this one no play can have left the window unseen, but for late ones.
    """

    late: int = 0
    late_from: datetime | None = None
    connects: bool = True
    gaps: tuple[Gap, ...] = ()


def span_start(page: Page) -> datetime:
    """From when on the first poll vouches for plays: what lay before its oldest play nobody can say."""
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
    late = [played_at for played_at in page.new if _is_late(before, page, played_at)]
    late_from = min(late, default=None)
    if not page.is_full or page.oldest is None:
        return Comparison(len(late), late_from, gaps=refused)
    if not page.known:
        return Comparison(len(late), late_from, connects=False, gaps=(_overflow(before, page), *refused))
    # The page before may have shown the beginning of a sync, this one its end.
    reach = min((each for each in (late_from, before.late_from) if each is not None), default=None)
    if reach is None or reach > page.oldest:
        return Comparison(len(late), late_from, gaps=refused)
    cut = Gap(known_before(reach) or reach, page.oldest, GapReason.LATE_PLAYS)
    return Comparison(len(late), late_from, gaps=(cut, *refused))


def _overflow(before: PollState, page: Page) -> Gap:
    assert before.polled_at is not None
    assert page.oldest is not None
    assert page.newest is not None
    was_away = page.polled_at - before.polled_at > OUTAGE
    reason = GapReason.OUTAGE if was_away else GapReason.WINDOW_OVERFLOW
    newest = before.newest_played_at or before.polled_at
    if newest <= page.oldest:
        return Gap(newest, page.oldest, reason)
    # What is known is not shown although it is younger: the window is in the order of surfacing, or was emptied.
    return Gap(page.oldest, max(newest, page.newest), reason)


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
    if before.newest_played_at is not None and played_at < before.newest_played_at:
        return True
    # A poll before that lies in the future was a wrong clock's.
    return before.polled_at is not None and played_at < before.polled_at - LATE and before.polled_at <= page.polled_at
