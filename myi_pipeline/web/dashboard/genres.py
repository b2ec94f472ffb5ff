"""Genres of a year, of all time and over the years, decades of the music, and the share of plays with a known genre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.charts import Stacks, stacks_of
from myi_pipeline.web.dashboard.inputs import missing, year_in_path
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads import genres as reads
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import START_OF_ALL, Period
from myi_pipeline.web.reads.timeline import timeline
from myi_pipeline.web.site import TheSite

router = APIRouter()

_TOP = 25
# As many as there are colours.
_LAYERS = 10


@router.get("/genres")
async def genres(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    given = request.query_params.get("year", "").strip()
    year = year_in_path(given) if given else None

    async def build(marts: Marts) -> Mapping[str, object]:
        years = [row.starts_on.year for row in await timeline(marts, grain="year")]
        if year is not None and year not in years:
            raise missing(f"Nothing was heard in {year}.")
        period, start = (Period.ALL, START_OF_ALL) if year is None else (Period.YEAR, date(year, 1, 1))
        over_years = await reads.genre_years(marts, limit=_LAYERS)
        return {
            "years": years,
            "year": year,
            "known": await reads.known_genres(marts, period=period, start=start),
            "top": await reads.top_genres(marts, period=period, start=start, limit=_TOP),
            "stacks": _stacks(over_years),
            "decades": await reads.decades(marts, start=start),
        }

    are_on = site.settings.musicbrainz_contact is not None
    return await show_marts(request, person, site, "genres.html", build, are_on=are_on)


def _stacks(rows: Sequence[reads.GenreYearRow]) -> Stacks | None:
    """From the first year with a known genre to the last, the most heard genre at the bottom;

    None for a single year.
    """
    shares: dict[int, dict[str, float]] = {}
    weights: dict[str, int] = {}
    for row in rows:
        shares.setdefault(row.year, {})[row.name] = row.share
        weights[row.name] = weights.get(row.name, 0) + row.counted_plays
    if len(shares) < 2:
        return None
    names = sorted(weights, key=lambda name: (-weights[name], name))
    return stacks_of([(f"{year}", shares[year]) for year in sorted(shares)], names)
