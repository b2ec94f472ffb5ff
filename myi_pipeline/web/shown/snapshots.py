"""What is shown to others, read from one user's marts: nothing but what was chosen goes into it.

The page, the preview, the API and what two listeners show each other all take it from here. The reads are those of the
user's own pages, so hidden plays and corrections hold here as they do there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Literal

from myi_pipeline.sharing.rules import PARTS, Kind, Part
from myi_pipeline.sharing.snapshots import (
    Bar,
    Figures,
    OverTime,
    Row,
    Snapshot,
    StoryCard,
    TopList,
)
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.coverage import evident_gaps, known_part
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, today_in
from myi_pipeline.web.reads.summary import heard_span, sums_of
from myi_pipeline.web.reads.timeline import every_month, month_sums, timeline
from myi_pipeline.web.reads.top import (
    By,
    Entity,
    TopArtistRow,
    TopRow,
    on_top,
    top_by_time,
    top_of_period,
    top_of_range,
)
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.spans import Span
from myi_pipeline.web.shown.stories import Asked, read_story

What = Literal["artists", "tracks", "albums"]
WHATS: tuple[What, ...] = ("artists", "tracks", "albums")
_ENTITIES: Mapping[What, Entity] = {"artists": "artist", "tracks": "recording", "albums": "album"}
_ROWS_OF_OVERVIEW = 10
# Bars of days up to here, then of months, then of years: each is a part of the page.
_MOST_DAYS, _MOST_MONTHS = 62, 60
# A year whose first play comes later than this, or a month, is one in which the history itself begins.
_LATE_DAYS = {Period.MONTH: 4}
_LATE_DAYS_OTHERWISE = 31


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is to be shown, of which days. `cards` are those of a story by name, None: all of them; the last three are
    of a top list. Without the part `figures` no count and no time is told."""

    kind: Kind
    span: Span
    parts: frozenset[Part] = frozenset(PARTS)
    cards: frozenset[str] | None = None
    with_name: bool = False
    what: What = "artists"
    ranked: By = "plays"
    limit: int = 25


async def take_snapshot(marts: Marts, chosen: Chosen, person: Visitor) -> Snapshot:
    """Raises Problem 404 where nothing was heard in these days."""
    today = today_in(person.time_zone)
    heard = await heard_span(marts)
    span = chosen.span
    if heard is None or (await marts.version()).number is None:
        raise Problem(404, "not-found", "Nothing was heard yet.")
    first = heard[0] if span.is_everything else span.first
    last = max(first, min(span.last, today, *([heard[1]] if span.is_everything else [])))
    (sums,) = await sums_of(marts, ("whole", span.first, last))
    if sums.plays == 0:
        raise Problem(404, "not-found", f"Nothing was heard in {span.label}.")
    made = Snapshot(
        kind=chosen.kind,
        label=span.label,
        first_day=first,
        last_day=last if span.is_everything else span.last,
        known_to=last if last < span.last and not span.is_everything else None,
        taken_on=today,
        owner=person.display_name if chosen.with_name else None,
    )
    if chosen.kind == "story":
        return made.model_copy(update={"cards": await _cards(marts, chosen, person, last)})
    has_figures = "figures" in chosen.parts
    if chosen.kind == "top":
        top = await _list(marts, chosen.what, span, last, chosen.ranked, chosen.limit, has_figures=has_figures)
        return made.model_copy(update={"lists": (top,) if top.rows else ()})
    lists = [
        await _list(marts, what, span, last, "plays", _ROWS_OF_OVERVIEW, has_figures=has_figures)
        for what in WHATS
        if what in chosen.parts
    ]
    found: dict[str, object] = {"lists": tuple(each for each in lists if each.rows)}
    if has_figures:
        late = timedelta(days=_LATE_DAYS.get(span.period or Period.ALL, _LATE_DAYS_OTHERWISE))
        since = heard[0] if first <= heard[0] <= last and heard[0] - first >= late else None
        known = known_part(await evident_gaps(marts), first=first, last=last, since=since, zone=person.zones)
        found["figures"] = Figures(
            ms_played=sums.ms_played, plays=sums.plays, days=sums.days, unknown_plays=sums.unknown_plays,
            known_days=known.known_days, asked_days=known.asked_days,
        )  # fmt: skip
    if "over_time" in chosen.parts:
        found["over_time"] = await _over_time(marts, first, last)
    if "clock" in chosen.parts:
        by_hour = [0] * 24
        for row in await clock(marts, first_day=first, last_day=last):
            by_hour[row.hour] += row.ms_played
        found["clock"] = tuple(by_hour) if any(by_hour) else None
    return made.model_copy(update=found)


def usual_title(chosen: Chosen, person: Visitor) -> str:
    """What a report is called whose maker says nothing."""
    owner = f"{person.display_name}’s" if chosen.with_name and person.display_name else "My"
    what = f"top {chosen.what}, " if chosen.kind == "top" else ""
    return f"{owner} {what}{chosen.span.label}"


async def _cards(marts: Marts, chosen: Chosen, person: Visitor, last: date) -> tuple[StoryCard, ...]:
    asked = Asked(chosen.span.period or Period.YEAR, chosen.span.first, last)
    told_of = person if chosen.with_name else replace(person, display_name=None)
    story = await read_story(marts, asked, told_of)
    wanted = [each for each in story.cards if chosen.cards is None or each.name in chosen.cards]
    return tuple(StoryCard.model_validate(asdict(each)) for each in wanted)


async def _list(
    marts: Marts, what: What, span: Span, last: date, ranked: By, limit: int, *, has_figures: bool
) -> TopList:
    entity = _ENTITIES[what]
    found: Sequence[TopRow]
    if ranked == "time":
        found = await top_by_time(marts, entity, first_day=span.first, last_day=last, limit=limit)
    elif span.period is not None:
        found = await top_of_period(marts, entity, period=span.period, start=span.first, limit=limit)
    else:
        found = await top_of_range(marts, entity, first_day=span.first, last_day=last, limit=limit)
    return TopList(
        what=what, ranked_by=ranked, rows=tuple(_row(row, has_figures=has_figures) for row in on_top(found, ranked))
    )


def _row(row: TopRow, *, has_figures: bool) -> Row:
    return Row(
        rank=row.rank,
        name=row.name,
        artist=None if isinstance(row, TopArtistRow) else row.artist_name,
        plays=row.counted_plays if has_figures else None,
        ms_played=row.ms_played if has_figures else None,
    )


async def _over_time(marts: Marts, first: date, last: date) -> OverTime:
    days = (last - first).days + 1
    if days <= _MOST_DAYS:
        found = await timeline(marts, grain="day", first_day=first, last_day=last)
        heard = {row.starts_on: row.ms_played for row in found}
        every = [first + timedelta(days=number) for number in range(days)]
        return OverTime(by="day", bars=tuple(Bar(starts_on=each, ms_played=heard.get(each, 0)) for each in every))
    rows = await timeline(marts, grain="month", first_day=first, last_day=last)
    begins = max(first, min((row.starts_on for row in rows), default=first))
    months = every_month(month_sums(rows), first=begins, last=last)
    if len(months) <= _MOST_MONTHS:
        bars = tuple(Bar(starts_on=each.starts_on, ms_played=each.ms_played) for each in months)
        return OverTime(by="month", bars=bars)
    years: dict[date, int] = {}
    for each in months:
        year = each.starts_on.replace(month=1)
        years[year] = years.get(year, 0) + each.ms_played
    return OverTime(by="year", bars=tuple(Bar(starts_on=year, ms_played=ms) for year, ms in years.items()))
