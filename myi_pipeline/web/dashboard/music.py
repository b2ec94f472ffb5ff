"""One track, artist or album: how much of it was heard, when, and what most.

Anything this user never played is answered with 404, whether or not it is in the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.charts import calendar_of, clock_of
from myi_pipeline.web.dashboard.inputs import choice_of, id_in_path, missing
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.periods import asked_span, kept_query
from myi_pipeline.web.dashboard.recordings import REASONS, decisions_of, read_song
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.coverage import completeness, coverage_gaps
from myi_pipeline.web.reads.genres import genres_of_artist
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.music import (
    DayRow,
    PeriodRow,
    entity_days,
    entity_names,
    entity_rank,
    entity_years,
    last_plays_of,
    most_heard_of,
)
from myi_pipeline.web.reads.ranks import TERMS, RankRow, Term, ranks_of_entity
from myi_pipeline.web.reads.spans import LAST_DAY, Period, months_back, period_start, today_in
from myi_pipeline.web.reads.summary import EVERYTHING, sums_of
from myi_pipeline.web.reads.timeline import BucketRow, MonthSum, every_month, timeline
from myi_pipeline.web.reads.top import Entity, Listed
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.spans import Span
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

_TOP = 10
# Limit for an artist; except on compilations, nobody has more.
_MOST_ALBUMS = 200
_LAST_PLAYS = 10
# A chart with a single bar is useless, so at least a year of months is shown.
_FEWEST_MONTHS = 12


@router.get("/tracks/{track_id}")
async def track(request: Request, person: Person, site: TheSite, track_id: str) -> HTMLResponse:
    return await _show(request, person, site, "track", track_id)


@router.get("/artists/{artist_id}")
async def artist(request: Request, person: Person, site: TheSite, artist_id: str) -> HTMLResponse:
    return await _show(request, person, site, "artist", artist_id)


@router.get("/albums/{album_id}")
async def album(request: Request, person: Person, site: TheSite, album_id: str) -> HTMLResponse:
    return await _show(request, person, site, "album", album_id)


async def _show(request: Request, person: Visitor, site: Site, entity: Entity, text: str) -> HTMLResponse:
    asked_id = id_in_path(text, what=entity)
    by = choice_of(request, "by", tuple(Listed)) or Listed.RECORDING
    is_song = entity == "track" and by is Listed.RECORDING
    read_as: Entity = "recording" if is_song else entity
    decisions = await decisions_of(site, person) if entity == "track" else ()
    asked_year = request.query_params.get("year", "")
    today = today_in(person.time_zone)
    span = _chosen(request, today)

    async def build(marts: Marts) -> Mapping[str, object]:
        song = await read_song(marts, request, asked_id, decisions) if entity == "track" else None
        id = song.recording_id if song is not None and is_song else asked_id
        rows = await entity_years(marts, read_as, id)
        whole = _row(rows, Period.ALL, today)
        if whole is None:
            raise missing(f"You have not heard this {entity}.")
        year = _row(rows, Period.YEAR, today)
        this_year = period_start(Period.YEAR, today)
        days = (span.first, span.last) if span else EVERYTHING[1:]
        in_all, in_year, in_span = await sums_of(marts, EVERYTHING, ("year", this_year, LAST_DAY), ("span", *days))
        tracks, albums = await most_heard_of(marts, entity, id, by=by, limit=_TOP, most_albums=_MOST_ALBUMS)
        years = _years(rows, await timeline(marts, grain="year"))
        last_day = whole.last_played_at.astimezone(person.zones).date()
        wanted = (asked_year, f"{min(span.last, today).year}" if span else "")
        found = [each.year for text in wanted for each in years if each.is_heard and text == f"{each.year}"]
        shown = found[0] if found else last_day.year
        heard = await entity_days(marts, read_as, id, year=shown, span=days)
        months = _months(heard.months, today)
        return {
            "names": await entity_names(marts, entity, song.own_track(asked_id) if song is not None else asked_id),
            "genres": await genres_of_artist(marts, id) if entity == "artist" else [],
            "whole": whole,
            "year": year,
            "in_all": in_all,
            "in_year": in_year,
            "in_span": in_span,
            "within": heard.within,
            "rank": await entity_rank(marts, read_as, id, whole),
            "rank_of_year": await entity_rank(marts, read_as, id, year) if year else None,
            "months": months,
            "best": max(months, key=lambda each: (each.counted_plays, each.ms_played)),
            "absence": heard.absence,
            "silent_days": (today - last_day).days,
            "years": years,
            "shown_year": shown,
            "calendar": calendar_of(
                heard.days, first=date(shown, 1, 1), last=min(max(today, last_day), date(shown, 12, 31))
            ),
            "clock": clock_of(heard.hours),
            "tracks": tracks,
            "albums": albums,
            "ranks": await _spotify_ranks(marts, read_as, id),
            "plays": await last_plays_of(marts, read_as, id, limit=_LAST_PLAYS),
            "known": completeness(await coverage_gaps(marts), last_heard=None, zone=person.zones),
            "song": song,
        }

    return await show_marts(
        request, person, site, "music.html", build,
        entity=entity, id=asked_id, is_song=is_song, reasons=REASONS, today=today, few=_TOP, span=span,
    )  # fmt: skip


def _chosen(request: Request, today: date) -> Span | None:
    """The days shown on the overview that the person came from; an invalid address means none."""
    if not kept_query(request):
        return None
    span = asked_span(request, today)
    return None if span.is_everything else span


@dataclass(frozen=True)
class YearOf:
    """One year of it, next to the total of that year."""

    year: int
    is_heard: bool
    ms_played: int
    of_ms: int


def _years(rows: Sequence[PeriodRow], all_years: Sequence[BucketRow]) -> list[YearOf]:
    """From the first year in which it was heard to the last, including years without it."""
    own = {row.period_start.year: row for row in rows if row.period == Period.YEAR}
    heard = {row.starts_on.year: row.ms_played for row in all_years}
    found = []
    for year in range(min(own), max(own) + 1):
        row = own.get(year)
        found.append(YearOf(year, row is not None, row.ms_played if row else 0, heard.get(year, 0)))
    return found


async def _spotify_ranks(marts: Marts, entity: Entity, id: int) -> dict[Term, list[RankRow]]:
    """Its ranks in Spotify's own lists by term, oldest first; terms without it are left out."""
    if entity == "album":
        return {}
    found = {term: await ranks_of_entity(marts, entity=entity, id=id, term=term) for term in TERMS}
    return {term: rows[::-1] for term, rows in found.items() if rows}


def _row(rows: Sequence[PeriodRow], period: Period, today: date) -> PeriodRow | None:
    wanted = (period.value, period_start(period, today))
    return next((row for row in rows if (row.period, row.period_start) == wanted), None)


def _months(heard: Sequence[DayRow], today: date) -> list[MonthSum]:
    """From the first month with a play to the current one."""
    sums = [MonthSum(row.starts_on, row.plays, row.counted_plays, row.ms_played) for row in heard]
    first = min([row.starts_on for row in sums] + [months_back(today, _FEWEST_MONTHS - 1)])
    return every_month(sums, first=first, last=max([today] + [row.starts_on for row in sums]))
