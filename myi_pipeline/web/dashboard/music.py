"""One track, artist or album: how much of it was heard, when first, when last, and what of it most.

Belongs here: which figures stand there. Not here: lists of several (top_lists). Invariant: what this user never played
is answered 404, whether the catalogue knows it or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listening_reads import (
    entity_names,
    entity_periods,
    entity_rank,
    evident_gaps,
    last_plays_of,
    most_heard_of,
    spotify_ranks,
)
from myi_pipeline.api.listing import Row
from myi_pipeline.api.page_addresses import id_in_path, missing
from myi_pipeline.api.page_months import every_month, months_back
from myi_pipeline.api.page_reads import Entity, spans_of
from myi_pipeline.api.routes.pages.reader import Person, show_marts
from myi_pipeline.api.routes.reading import today_of
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.api.spans import FIRST_DAY, LAST_DAY, Period, period_start

router = APIRouter()

_TOP = 10
_LAST_PLAYS = 10
# A chart of one bar says nothing: at least a year of months.
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
    id = id_in_path(text, what=entity)
    today = today_of(person)

    async def build(marts: Snapshot) -> Mapping[str, object]:
        rows = await entity_periods(marts, entity, id)
        whole = _row(rows, Period.ALL, today)
        if whole is None:
            raise missing(f"You have heard no such {entity}.")
        year = _row(rows, Period.YEAR, today)
        this_year = period_start(Period.YEAR, today)
        in_all, in_year = await spans_of(marts, [("all", FIRST_DAY, LAST_DAY), ("year", this_year, LAST_DAY)])
        tracks, albums = await most_heard_of(marts, entity, id, limit=_TOP)
        return {
            "names": await entity_names(marts, entity, id),
            "whole": whole,
            "year": year,
            "in_all": in_all,
            "in_year": in_year,
            "rank": await entity_rank(marts, entity, id, whole),
            "rank_of_year": await entity_rank(marts, entity, id, year) if year else None,
            "months": _months(rows, today),
            "years": [row for row in rows if row["period"] == Period.YEAR],
            "tracks": tracks,
            "albums": albums,
            "ranks": await spotify_ranks(marts, entity, id),
            "plays": await last_plays_of(marts, entity, id, limit=_LAST_PLAYS),
            "gaps": await evident_gaps(marts),
        }

    return await show_marts(request, person, site, "music.html", build, entity=entity, id=id, today=today)


def _row(rows: Sequence[Row], period: Period, today: date) -> Row | None:
    wanted = (period.value, period_start(period, today))
    return next((row for row in rows if (row["period"], row["period_start"]) == wanted), None)


def _months(rows: Sequence[Row], today: date) -> list[Row]:
    """From the first month with a play to this one."""
    heard = [{**row, "starts_on": row["period_start"]} for row in rows if row["period"] == Period.MONTH]
    first = min([row["starts_on"] for row in heard] + [months_back(today, _FEWEST_MONTHS - 1)])
    return every_month(heard, first=first, last=max([today] + [row["starts_on"] for row in heard]))
