"""A year or a month as a story: cards, each a picture to download.

What a card says is what the pages say: the same reads, the same rules for what is compared and what is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from typing import Any

from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import KnownPart, evident_gaps, known_part
from myi_pipeline.web.reads.insights import RepeatRow, longest_repeats, new_within
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.on_this_day import heard_on
from myi_pipeline.web.reads.spans import Period, last_day_of, moment, months_back, next_month
from myi_pipeline.web.reads.streaks import longest_streak_within
from myi_pipeline.web.reads.summary import SpanRow, comparison_of, heard_span, is_late, same_day_before, sums_of
from myi_pipeline.web.reads.timeline import BucketRow, timeline
from myi_pipeline.web.reads.top import TopRow, TopTrackRow, on_top, top_of_period
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown import cards
from myi_pipeline.web.shown.formats import count, counted, days, heard, hours, weekday
from myi_pipeline.web.shown.formats import day as spelt
from myi_pipeline.web.shown.formats import hour as clock_hour
from myi_pipeline.web.shown.formats import month as month_name

_TOP = 5


# If the first play of a month is later than this, the history itself begins in that month.
_LATE_DAYS_OF_MONTH = 4


@dataclass(frozen=True)
class Asked:
    """A year or a month: `end` is its last day, `last` the latest of them that has begun."""

    period: Period
    first: date
    last: date

    @property
    def end(self) -> date:
        return last_day_of(self.period, self.first)

    @property
    def is_over(self) -> bool:
        return self.last == self.end

    @property
    def label(self) -> str:
        return str(self.first.year) if self.period is Period.YEAR else month_name(self.first)

    @property
    def address(self) -> str:
        return f"/year/{self.first.year}/story" if self.period is Period.YEAR else f"/month/{self.first:%Y-%m}/story"

    def before(self) -> tuple[date, date]:
        """The corresponding days of the previous period."""
        if self.period is Period.YEAR:
            return same_day_before(self.first), same_day_before(self.last)
        first, end = months_back(self.first, 1), self.first - timedelta(days=1)
        return first, end if self.is_over else min(first.replace(day=1) + (self.last - self.first), end)


@dataclass(frozen=True)
class _Facts:
    """The data of the cards of a story."""

    asked: Asked
    frame: cards.Frame
    whole: SpanRow
    before: SpanRow
    change: int | None
    artists: Sequence[TopRow]
    tracks: Sequence[TopRow]
    busiest: BucketRow
    busiest_track: str | None
    streak: tuple[date, date] | None
    new: Sequence[tuple[str, str]]
    new_artists: int
    hours: Sequence[int]
    repeat: RepeatRow | None


@dataclass(frozen=True)
class Story:
    """`months` are those of a year."""

    cards: Sequence[cards.Card]
    known: KnownPart
    earlier: Asked | None
    later: Asked | None
    months: Sequence[Asked]


async def read_story(marts: Marts, asked: Asked, person: Visitor) -> Story:
    """The story of a year or a month; the cards name the person. Raises Problem 404 if nothing was heard."""
    zone = person.zones
    heard_days = await heard_span(marts)
    whole, before = await sums_of(marts, ("whole", asked.first, asked.end), ("before", *asked.before()))
    if heard_days is None or whole.plays == 0:
        raise Problem(404, "not-found", f"Nothing was heard in {asked.label}.")
    gaps = await evident_gaps(marts)
    since = _begins(heard_days[0], asked)
    known = known_part(gaps, first=asked.first, last=asked.last, since=since, zone=zone)
    is_sure = not any(gap.days_within(first=before.first_day, last=before.last_day, zone=zone) for gap in gaps)
    facts = await _facts(marts, asked, whole, before, zone, _frame(asked, person, known), heard_days[0])
    return Story(
        cards=_cards_of(facts, is_sure=is_sure, is_first=since is not None),
        known=known,
        earlier=_neighbour(asked, -1, heard_days),
        later=_neighbour(asked, 1, heard_days),
        months=_months(asked, heard_days) if asked.period is Period.YEAR else [],
    )


async def _facts(
    marts: Marts,
    asked: Asked,
    whole: SpanRow,
    before: SpanRow,
    zone: tzinfo,
    frame: cards.Frame,
    history_from: date,
) -> _Facts:
    within: dict[str, Any] = {"from_at": moment(asked.first, zone), "to_at": moment(asked.end, zone, is_end=True)}
    by_day = await timeline(marts, grain="day", first_day=asked.first, last_day=asked.end)
    busiest = max(by_day, key=lambda row: (row.ms_played, row.plays))
    (busiest_day,) = await heard_on(marts, [busiest.starts_on])
    by_hour = [0] * 24
    for row in await clock(marts, first_day=asked.first, last_day=asked.end):
        by_hour[row.hour] += row.ms_played
    new = await new_within(marts, **within, limit=_TOP)
    repeats = await longest_repeats(marts, from_at=within["from_at"], to_at=within["to_at"], limit=1)
    return _Facts(
        asked=asked,
        frame=frame,
        whole=whole,
        before=before,
        change=_change(asked, whole, before, history_from),
        artists=on_top(await top_of_period(marts, "artist", period=asked.period, start=asked.first, limit=_TOP)),
        tracks=on_top(await top_of_period(marts, "recording", period=asked.period, start=asked.first, limit=_TOP)),
        busiest=busiest,
        busiest_track=busiest_day.track_name,
        streak=await longest_streak_within(marts, first_day=asked.first, last_day=asked.end),
        new=[(row.name or "Unknown artist", f"since {spelt(row.first_local_date)}") for row in new],
        new_artists=new[0].found if new else 0,
        hours=by_hour,
        repeat=repeats[0] if repeats else None,
    )


def _begins(history_from: date, asked: Asked) -> date | None:
    """The day on which the history begins, if that is after the first of these days."""
    late = timedelta(days=_LATE_DAYS_OF_MONTH) if asked.period is Period.MONTH else None
    is_begun = asked.first <= history_from <= asked.end
    begins_late = is_late(history_from, asked.first) if late is None else history_from - asked.first >= late
    return history_from if is_begun and begins_late else None


def _change(asked: Asked, whole: SpanRow, before: SpanRow, history_from: date) -> int | None:
    """The change in time heard, in per cent; None if there is nothing to compare with."""
    if asked.period is Period.MONTH:
        is_partly = history_from > before.first_day + timedelta(days=_LATE_DAYS_OF_MONTH)
        return None if is_partly or not before.ms_played else _per_cent(whole.ms_played, before.ms_played)
    found = comparison_of(whole, before, oldest=history_from.replace(month=1, day=1), is_sure=True)
    return found.change if found is not None else None


def _per_cent(now: int, before: int) -> int:
    return round(100 * (now - before) / before)


def _frame(asked: Asked, person: Visitor, known: KnownPart) -> cards.Frame:
    said = [] if asked.is_over else [f"Up to {spelt(asked.last)}"]
    if known.since is not None:
        said.append(f"Known since {spelt(known.since)}")
    if known.known_days < known.asked_days:
        said.append(f"{count(known.known_days)} of {counted(known.asked_days, 'day')} known")
    owner = f"{person.display_name}’s" if person.display_name else "My"
    return cards.Frame(f"{owner} {asked.label}", " · ".join(said))


def _cards_of(facts: _Facts, *, is_sure: bool, is_first: bool) -> list[cards.Card]:
    """The cards that have content, in order."""
    frame, whole = facts.frame, facts.whole
    minutes = round(whole.ms_played / 60_000)
    is_short = whole.ms_played > 0 and minutes < 60
    made: list[cards.Card | None] = [
        cards.hours_card(
            frame,
            figure=count(minutes) if is_short else hours(whole.ms_played),
            unit=("minute" if minutes == 1 else "minutes") if is_short else "hours",
            notes=[
                f"{counted(whole.plays, 'play')} on {counted(whole.days, 'day')}",
                f"{_spelt_out(whole.ms_played // max(1, whole.days))} on a listening day",
            ],
        ),
        cards.artists_card(frame, [_listed(row) for row in facts.artists]) if facts.artists else None,
        cards.tracks_card(frame, [_listed(row) for row in facts.tracks]) if facts.tracks else None,
        _obsession(facts),
        cards.busiest_card(
            frame,
            day=f"{facts.busiest.starts_on.day} {facts.busiest.starts_on:%B}",
            weekday=weekday(facts.busiest.starts_on),
            notes=[
                f"{heard(facts.busiest.ms_played)}, {counted(facts.busiest.plays, 'play')}",
                f"Most of all {facts.busiest_track}" if facts.busiest_track else "",
            ],
        ),
        _streak(facts),
        _discoveries(facts) if not is_first else None,
        _clock(facts),
        _comparison(facts, is_sure=is_sure),
    ]
    return [card for card in made if card is not None]


def _spelt_out(ms: int) -> str:
    """`24 minutes`, `1 hour 5 minutes`: a card has room for words."""
    minutes = round(ms / 60_000)
    whole, rest = divmod(minutes, 60)
    said = [counted(whole, "hour")] if whole else []
    return " ".join([*said, *([counted(rest, "minute")] if rest or not whole else [])])


def _listed(row: TopRow) -> tuple[str, str]:
    said = f"{counted(row.counted_plays, 'play')}, {heard(row.ms_played)}"
    if isinstance(row, TopTrackRow):
        return row.name or "Unknown track", f"{row.artist_name or 'Unknown artist'} · {said}"
    return row.name or "Unknown artist", said


def _obsession(facts: _Facts) -> cards.Card | None:
    if facts.repeat is None:
        return None
    return cards.obsession_card(
        facts.frame,
        track=facts.repeat.name or "Unknown track",
        artist=facts.repeat.artist_name or "Unknown artist",
        figure=count(facts.repeat.times),
        notes=[f"on {spelt(facts.repeat.local_date)}"],
    )


def _streak(facts: _Facts) -> cards.Card | None:
    if facts.streak is None:
        return None
    length = (facts.streak[1] - facts.streak[0]).days + 1
    unit = "listening day" if length == 1 else "days in a row"
    return cards.streak_card(facts.frame, figure=count(length), unit=unit, notes=[days(*facts.streak)])


def _discoveries(facts: _Facts) -> cards.Card | None:
    if not facts.new:
        return None
    title = counted(facts.new_artists, "new artist")
    return cards.discoveries_card(facts.frame, title=title, rows=facts.new)


def _clock(facts: _Facts) -> cards.Card | None:
    most = max(facts.hours)
    if most == 0:
        return None
    hour, late = facts.hours.index(most), sum(facts.hours[:5])
    share = 100 * late / sum(facts.hours)
    return cards.clock_card(
        facts.frame,
        hours=facts.hours,
        notes=[
            f"Most between {clock_hour(hour)} and {clock_hour(hour + 1)}",
            f"{share:.0f} % between midnight and {clock_hour(5)}" if share >= 1 else "",
        ],
    )


def _comparison(facts: _Facts, *, is_sure: bool) -> cards.Card | None:
    if facts.change is None:
        return None
    asked, change = facts.asked, facts.change
    first = facts.before.first_day
    name = str(first.year) if asked.period is Period.YEAR else month_name(first)
    more = f"{count(abs(change))} % {'more' if change > 0 else 'less'}" if change else "As much"
    than = f"{'than' if change else 'as'} in {'' if asked.is_over else 'the same days of '}{name}"
    return cards.comparison_card(
        facts.frame,
        change=more,
        than=than,
        now=(asked.label, facts.whole.ms_played, f"{hours(facts.whole.ms_played)} hours"),
        before=(name, facts.before.ms_played, f"{hours(facts.before.ms_played)} hours"),
        note="" if is_sure else f"Not everything of {name} is known.",
    )


def _neighbour(asked: Asked, step: int, heard_days: tuple[date, date]) -> Asked | None:
    """The previous or next period, if it overlaps the history."""
    if asked.period is Period.YEAR:
        first = asked.first.replace(year=asked.first.year + step)
    else:
        first = months_back(asked.first, 1) if step < 0 else next_month(asked.first)
    found = Asked(asked.period, first, last_day_of(asked.period, first))
    return found if found.end >= heard_days[0] and found.first <= heard_days[1] else None


def _months(asked: Asked, heard_days: tuple[date, date]) -> list[Asked]:
    """The months of a year that overlap the history."""
    months = (date(asked.first.year, number, 1) for number in range(1, 13))
    every = [Asked(Period.MONTH, first, last_day_of(Period.MONTH, first)) for first in months]
    return [each for each in every if each.end >= heard_days[0] and each.first <= heard_days[1]]
