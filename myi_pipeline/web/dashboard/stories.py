"""A year or a month as a story: cards, each a picture to keep.

The page draws them in itself, and each is a file of its own. What a card says is what the pages say: the same reads,
the same rules for what is compared and what is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from starlette.requests import Request

from myi_pipeline.web.dashboard import cards
from myi_pipeline.web.dashboard.charts import months_back
from myi_pipeline.web.dashboard.coverage import KnownPart, known_part
from myi_pipeline.web.dashboard.formats import count, counted, days, heard, hours, weekday
from myi_pipeline.web.dashboard.formats import day as spelt
from myi_pipeline.web.dashboard.formats import hour as clock_hour
from myi_pipeline.web.dashboard.formats import month as month_name
from myi_pipeline.web.dashboard.inputs import missing, year_in_path
from myi_pipeline.web.dashboard.pages import picture, show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.dashboard.years import comparison_of, is_late, same_day_before
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import evident_gaps
from myi_pipeline.web.reads.database import Marts
from myi_pipeline.web.reads.insights import RepeatRow, longest_repeats, new_within
from myi_pipeline.web.reads.on_this_day import heard_on
from myi_pipeline.web.reads.spans import Period, last_day_of, moment, next_month, today_in
from myi_pipeline.web.reads.streaks import longest_streak_within
from myi_pipeline.web.reads.summary import SpanRow, heard_span, sums_of
from myi_pipeline.web.reads.timeline import BucketRow, timeline
from myi_pipeline.web.reads.top import TopRow, TopTrackRow, top_of_period
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import TheSite

router = APIRouter()

_TOP = 5
# A month whose first play comes later than this is one in which the history itself begins.
_LATE_DAYS_OF_MONTH = 4
_MONTH = re.compile(r"([1-9]\d{3})-(0[1-9]|1[0-2])\Z", re.ASCII)
_CARD = re.compile(r"[a-z]{1,20}\Z", re.ASCII)


@dataclass(frozen=True)
class Asked:
    """A year or a month: `end` its last day, `last` the last of those that there have been."""

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
        """The like days of the period before."""
        if self.period is Period.YEAR:
            return same_day_before(self.first), same_day_before(self.last)
        first, end = months_back(self.first, 1), self.first - timedelta(days=1)
        return first, end if self.is_over else min(first.replace(day=1) + (self.last - self.first), end)


def asked_year(text: str, today: date) -> Asked:
    """Raises Problem 404."""
    first = date(year_in_path(text), 1, 1)
    return Asked(Period.YEAR, first, max(first, min(last_day_of(Period.YEAR, first), today)))


def asked_month(text: str, today: date) -> Asked:
    """Raises Problem 404."""
    found = _MONTH.match(text)
    if found is None:
        raise missing("There is no such month.")
    first = date(year_in_path(found[1]), int(found[2]), 1)
    return Asked(Period.MONTH, first, max(first, min(last_day_of(Period.MONTH, first), today)))


@router.get("/year/{year}/story")
async def story_of_year(request: Request, person: Person, site: TheSite, year: str) -> HTMLResponse:
    return await _page(request, person, site, asked_year(year, today_in(person.time_zone)))


@router.get("/month/{month}/story")
async def story_of_month(request: Request, person: Person, site: TheSite, month: str) -> HTMLResponse:
    return await _page(request, person, site, asked_month(month, today_in(person.time_zone)))


@router.get("/year/{year}/story/{card}.svg")
async def card_of_year(request: Request, person: Person, site: TheSite, year: str, card: str) -> Response:
    return await _picture(request, person, site, asked_year(year, today_in(person.time_zone)), card)


@router.get("/month/{month}/story/{card}.svg")
async def card_of_month(request: Request, person: Person, site: TheSite, month: str, card: str) -> Response:
    return await _picture(request, person, site, asked_month(month, today_in(person.time_zone)), card)


async def _page(request: Request, person: Visitor, site: TheSite, asked: Asked) -> HTMLResponse:
    async def build(marts: Marts) -> Mapping[str, object]:
        return vars(await _story(marts, asked, person))

    return await show_marts(request, person, site, "story.html", build, asked=asked, today=today_in(person.time_zone))


async def _picture(request: Request, person: Visitor, site: TheSite, asked: Asked, name: str) -> Response:
    """One card as a file."""

    async def read(marts: Marts) -> cards.Card:
        if (await marts.version()).number is not None and _CARD.match(name):
            found = await _story(marts, asked, person)
            for card in found.cards:
                if card.name == name:
                    return card
        raise missing("There is no such picture.")

    card = await site.pools.read(person.user_id, read)
    return picture(card, f"{asked.label} {name}".lower().replace(" ", "-"))


@dataclass(frozen=True)
class _Facts:
    """What the cards of a story are made of."""

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
class _Story:
    """`months` are those of a year."""

    cards: Sequence[cards.Card]
    known: KnownPart
    earlier: Asked | None
    later: Asked | None
    months: Sequence[Asked]


async def _story(marts: Marts, asked: Asked, person: Visitor) -> _Story:
    zone = person.zones
    heard_days = await heard_span(marts)
    whole, before = await sums_of(marts, ("whole", asked.first, asked.end), ("before", *asked.before()))
    if heard_days is None or whole.plays == 0:
        raise missing(f"Nothing was heard in {asked.label}.")
    gaps = await evident_gaps(marts)
    since = _begins(heard_days[0], asked)
    known = known_part(gaps, first=asked.first, last=asked.last, since=since, zone=zone)
    is_sure = not any(gap.days_within(first=before.first_day, last=before.last_day, zone=zone) for gap in gaps)
    facts = await _facts(marts, asked, whole, before, zone, _frame(asked, person, known), heard_days[0])
    return _Story(
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
    within = {"from_at": moment(asked.first, zone), "to_at": moment(asked.end, zone, is_end=True)}
    by_day = await timeline(marts, grain="day", first_day=asked.first, last_day=asked.end)
    busiest = max(by_day, key=lambda row: (row.ms_played, row.plays))
    (busiest_day,) = await heard_on(marts, [busiest.starts_on])
    by_hour = [0] * 24
    for row in await clock(marts, first_day=asked.first, last_day=asked.end):
        by_hour[row.hour] += row.ms_played
    new = await new_within(marts, **within, limit=_TOP)
    repeats = await longest_repeats(marts, **within, limit=1)
    return _Facts(
        asked=asked,
        frame=frame,
        whole=whole,
        before=before,
        change=_change(asked, whole, before, history_from),
        artists=await top_of_period(marts, "artist", period=asked.period, start=asked.first, limit=_TOP),
        tracks=await top_of_period(marts, "recording", period=asked.period, start=asked.first, limit=_TOP),
        busiest=busiest,
        busiest_track=busiest_day.track_name,
        streak=await longest_streak_within(marts, first_day=asked.first, last_day=asked.end),
        new=[(row.name or "Unknown artist", f"since {spelt(row.first_local_date)}") for row in new],
        new_artists=new[0].found if new else 0,
        hours=by_hour,
        repeat=repeats[0] if repeats else None,
    )


def _begins(history_from: date, asked: Asked) -> date | None:
    """The day on which the history begins, if it does so in these days and not with them."""
    late = timedelta(days=_LATE_DAYS_OF_MONTH) if asked.period is Period.MONTH else None
    is_begun = asked.first <= history_from <= asked.end
    begins_late = is_late(history_from, asked.first) if late is None else history_from - asked.first >= late
    return history_from if is_begun and begins_late else None


def _change(asked: Asked, whole: SpanRow, before: SpanRow, history_from: date) -> int | None:
    """By how many per cent of time it is more than before; None where there is nothing to compare with."""
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
    """The cards that there is something to say on, in the order in which they are told."""
    frame, whole = facts.frame, facts.whole
    made: list[cards.Card | None] = [
        cards.hours_card(
            frame,
            figure=hours(whole.ms_played),
            notes=[
                f"{counted(whole.plays, 'play')} on {counted(whole.days, 'day')}",
                f"{heard(whole.ms_played // max(1, whole.days))} on a day with plays",
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
    unit = "day with plays" if length == 1 else "days in a row"
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
    """The period before or after, if the history reaches into it."""
    if asked.period is Period.YEAR:
        first = asked.first.replace(year=asked.first.year + step)
    else:
        first = months_back(asked.first, 1) if step < 0 else next_month(asked.first)
    found = Asked(asked.period, first, last_day_of(asked.period, first))
    return found if found.end >= heard_days[0] and found.first <= heard_days[1] else None


def _months(asked: Asked, heard_days: tuple[date, date]) -> list[Asked]:
    """The months of a year that the history reaches into."""
    months = (date(asked.first.year, number, 1) for number in range(1, 13))
    every = [Asked(Period.MONTH, first, last_day_of(Period.MONTH, first)) for first in months]
    return [each for each in every if each.end >= heard_days[0] and each.first <= heard_days[1]]
