"""The polling rules alone, applied to what Spotify's page would show, for any number of users of one client id.

Who listens how is in polling_listeners. A play is lost if it was on the page after polling began and on none of the
pages that were read; nothing else counts as lost.
"""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from myi_pipeline.polling.pace import SLOT, after_poll
from myi_pipeline.polling.windows import WINDOW, Gap, Page, PollState, compare, span_start
from myi_pipeline.providers.quota_rules import HOURS_A_DAY, Means, QuotaLimits, planned_polls

START = datetime(2026, 3, 2, tzinfo=UTC)
SLOTS_AN_HOUR = timedelta(hours=1) // SLOT
# The run that polls starts some seconds after its slot began, and one user comes after the other.
_LATEST_START_S = 40.0


@dataclass
class Timeline:
    """One person's listed plays, in the order in which they surface. Times are unix milliseconds; `stale` are spans in
    which the page shows nothing that surfaced since they began.
    """

    kind: str
    reported: array[int]
    surfaces: array[int]
    stale: Sequence[tuple[int, int]] = ()
    # Offline plays may surface when 50 younger ones are on the page: then nobody can see them.
    is_shown: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        window: list[tuple[int, int]] = []
        self.is_shown = bytearray(len(self.reported))
        for place, reported in enumerate(self.reported):
            insort(window, (reported, place))
            del window[:-WINDOW]
            if window[0][0] <= reported:
                self.is_shown[place] = 1

    @classmethod
    def of(cls, kind: str, plays: Iterable[tuple[int, int]], stale: Sequence[tuple[int, int]] = ()) -> Timeline:
        """`plays` are pairs of the time that the page names and the time from which it does."""
        in_order = sorted((surfaces, reported) for reported, surfaces in plays)
        return cls(kind, array("q", (each[1] for each in in_order)), array("q", (each[0] for each in in_order)), stale)

    def seen_ms(self, now_ms: int) -> int:
        return min((start for start, end in self.stale if start <= now_ms <= end), default=now_ms)


@dataclass
class Reader:
    """Reads one timeline page by page, and remembers which plays were in any of them."""

    timeline: Timeline
    window: list[tuple[int, int]] = field(default_factory=list)
    place: int = 0
    is_kept: bytearray = field(default_factory=bytearray)
    first: int | None = None
    known: list[datetime] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    since: datetime | None = None
    last: datetime | None = None

    def __post_init__(self) -> None:
        self.is_kept = bytearray(len(self.timeline.reported))

    def page(self, now: datetime) -> Page:
        upto = bisect_right(self.timeline.surfaces, self.timeline.seen_ms(_ms(now)))
        for place in range(self.place, upto):
            insort(self.window, (self.timeline.reported[place], place))
        del self.window[:-WINDOW]
        self.place = max(upto, self.place)
        known, new = [], []
        for reported, place in self.window:
            (known if self.is_kept[place] else new).append(_moment(reported))
            self.is_kept[place] = 1
        if self.first is None:
            # What the first page could not show is nobody's loss.
            self.first = self.place
            for place in range(self.place):
                self.is_kept[place] = 1
        page = Page(polled_at=now, is_full=len(self.window) >= WINDOW, known=known, new=new)
        self.since = self.since or span_start(page)
        self.last = now
        return page

    @property
    def listed(self) -> int:
        """How many plays the page showed at some moment since the first poll."""
        return sum(self.timeline.is_shown[self.first or 0 : self.place])

    def lost_plays(self) -> set[int]:
        """Those of them that were in no page that was read."""
        return {place for place in range(self.place) if self.timeline.is_shown[place] and not self.is_kept[place]}


# From the state after a poll to the next turn, for a rule that is none of ours: state, page, now.
Rule = Callable[[PollState, Page, datetime], datetime]


def every(minutes: int) -> Rule:
    return lambda _, __, now: now + timedelta(minutes=minutes)


@dataclass
class Spent:
    """The polls of one client id, by slot."""

    by_slot: list[int] = field(default_factory=list)

    def note(self, slot: int, polls: int) -> None:
        self.by_slot.extend([0] * (slot + 1 - len(self.by_slot)))
        self.by_slot[slot] += polls

    def hours(self, slot: int) -> list[int]:
        """The polls of each of the last 24 hours, the latest first; this slot belongs to the latest."""
        found = []
        for hour in range(HOURS_A_DAY):
            end = slot + 1 - hour * SLOTS_AN_HOUR
            if end <= 0:
                break
            found.append(sum(self.by_slot[max(0, end - SLOTS_AN_HOUR) : end]))
        return found

    def most_in_24_hours(self) -> int:
        sums = [0, *accumulate(self.by_slot)]
        day = HOURS_A_DAY * SLOTS_AN_HOUR
        return max((sums[at] - sums[max(0, at - day)] for at in range(len(sums))), default=0)


@dataclass(frozen=True)
class Polled:
    """What became of a client id's users: their readers in order, and the polls it took."""

    readers: list[Reader]
    spent: Spent

    @property
    def polls(self) -> int:
        return sum(self.spent.by_slot)


def poll_client(
    timelines: Sequence[Timeline],
    *,
    days: float,
    rule: Rule | None = None,
    polls_a_day: float | None = None,
    begin: datetime = START,
    seed: int = 1,
    with_gaps: bool = False,
) -> Polled:
    """Poll the users of one client id for so many days, by our pace or another rule.

    `with_gaps` compares pages as polling does, which takes twice the time; without it nothing is found late.
    """
    dice = random.Random(seed)
    users = len(timelines)
    affordable = planned_polls(QuotaLimits(), users=users) if polls_a_day is None else polls_a_day
    readers, states, spent = [Reader(each) for each in timelines], [PollState()] * users, Spent()
    due: dict[int, list[int]] = {}
    for user in range(users):
        due.setdefault(dice.randrange(4), []).append(user)
    for slot in range(int(timedelta(days=days) / SLOT)):
        turns = due.pop(slot, None)
        if not turns:
            continue
        began = begin + slot * SLOT
        means = Means(users=users, polls_a_day=affordable, spent=spent.hours(slot) if rule is None else ())
        spent.note(slot, len(turns))
        for user in turns:
            now = began + timedelta(seconds=dice.random() * _LATEST_START_S)
            reader = readers[user]
            page = reader.page(now)
            before = states[user]
            found = compare(before, page, known_before=_known_before(reader))
            if with_gaps:
                reader.gaps += found.gaps
                for moment in page.new:
                    insort(reader.known, moment)
            state = after_poll(before, page, found, means=means, place=user + 1)
            states[user] = state
            turn = state.due_at if rule is None else rule(state, page, began)
            assert turn is not None
            due.setdefault(max(slot + 1, -int((begin - turn) // SLOT)), []).append(user)
    return Polled(readers, spent)


def _known_before(reader: Reader) -> Callable[[datetime], datetime | None]:
    def before(moment: datetime) -> datetime | None:
        place = bisect_left(reader.known, moment)
        return reader.known[place - 1] if place else None

    return before


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
