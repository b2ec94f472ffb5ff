"""Highlights of all time and of one year.

Eras, obsessions and forgotten favourites of all time; and for one year, what was on repeat, artists of the night and of
each hour, the number of artists, the longest sessions, and discoveries that stayed.

Queries over plays read only one year, so that the page is as quick with a million plays as with a thousand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby, pairwise

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import choice_of, missing, year_in_path
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.clock import clock
from myi_pipeline.web.reads.genres import decades
from myi_pipeline.web.reads.insights import (
    STAYED,
    CircumstanceRow,
    EraRow,
    VarietyRow,
    artists_by_month,
    artists_of_hours,
    circumstances,
    eras,
    forgotten_tracks,
    lasting_discoveries,
    late_artists,
    longest_repeats,
    most_in_a_span,
)
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.sessions import longest_sessions
from myi_pipeline.web.reads.spans import moment, months_back, next_month
from myi_pipeline.web.reads.summary import heard_span
from myi_pipeline.web.reads.timeline import timeline
from myi_pipeline.web.reads.top import Listed
from myi_pipeline.web.shown.formats import country_name, month
from myi_pipeline.web.site import TheSite

router = APIRouter()

_TOP = 5
_SESSIONS, _TRACKS_OF_A_SESSION = 3, 4
_ERAS = 10
# Beyond this, a month is too narrow to be seen.
_MOST_MONTHS = 36
_LAST_LATE_HOUR = 4
_COUNTRIES = 8
_A_YEAR = timedelta(days=365)


@router.get("/insights")
async def insights(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    given = request.query_params.get("year", "").strip()
    asked = year_in_path(given) if given else None
    by = choice_of(request, "by", tuple(Listed)) or Listed.RECORDING
    zone = person.zones

    async def build(marts: Marts) -> Mapping[str, object]:
        heard = await heard_span(marts)
        years = [row.starts_on.year for row in await timeline(marts, grain="year")]
        if heard is None:
            return {"years": years, "year": None}
        year = years[-1] if asked is None else asked
        if year not in years:
            raise missing(f"Nothing was heard in {year}.")
        first, last = date(year, 1, 1), date(year, 12, 31)
        within = {"from_at": moment(first, zone), "to_at": moment(last, zone, is_end=True)}
        # Not heard within the last known year.
        before = moment(heard[1], zone) - _A_YEAR
        bounds = _bounds(*heard)
        rows = await eras(marts, bounds=[moment(day, zone) for day in bounds], limit=_ERAS)
        hours = await clock(marts, first_day=first, last_day=last)
        return {
            "years": years,
            "year": year,
            "before": before,
            "stream": stream_of(rows, bounds),
            "ever": await longest_repeats(marts, by=by, limit=_TOP),
            "forgotten": await forgotten_tracks(marts, by=by, before=before, limit=_TOP),
            "in_a_row": await longest_repeats(marts, by=by, **within, limit=_TOP),
            "in_a_day": await most_in_a_span(marts, "day", by=by, **within, limit=_TOP),
            "in_a_week": await most_in_a_span(marts, "week", by=by, **within, limit=_TOP),
            "of_hours": await artists_of_hours(marts, **within),
            "variety": _variety(await artists_by_month(marts, **within), year, heard[1]),
            "late": await late_artists(marts, year, zone, limit=_TOP),
            "late_ms": sum(row.ms_played for row in hours if row.hour <= _LAST_LATE_HOUR),
            "all_ms": sum(row.ms_played for row in hours),
            "sessions": await longest_sessions(marts, by=by, **within, limit=_SESSIONS, tracks=_TRACKS_OF_A_SESSION),
            "stayed": await lasting_discoveries(marts, **within, limit=_TOP),
            "days_to_stay": STAYED.days,
            "six_days": timedelta(days=6),
            "habits": habits_of(await circumstances(marts, **within)),
            "decades": await decades(marts),
            "is_first": year == years[0],
        }

    return await show_marts(request, person, site, "insights.html", build, by_track=by is Listed.TRACK)


@dataclass(frozen=True)
class Habits:
    """Habits of a year.

    Milliseconds by kind of device and by name of the country, most first, as far as a source names them; and shares of
    skipped and shuffled tracks, None if no source has them."""

    devices: Sequence[tuple[str, int]]
    countries: Sequence[tuple[str, int]]
    skipped: tuple[int, int] | None
    shuffled: tuple[int, int] | None


def habits_of(rows: Sequence[CircumstanceRow]) -> Habits:
    devices: Counter[str] = Counter()
    countries: Counter[str] = Counter()
    for row in rows:
        if row.device is not None:
            devices[row.device] += row.ms_played
        if row.country is not None:
            countries[row.country] += row.ms_played
    skipped, skips_known = sum(row.skipped for row in rows), sum(row.skips_known for row in rows)
    shuffled, shuffles_known = sum(row.shuffled for row in rows), sum(row.shuffles_known for row in rows)
    return Habits(
        devices.most_common(),
        [(country_name(code), ms) for code, ms in countries.most_common(_COUNTRIES)],
        # Older exports mark every play as not skipped.
        (skipped, skips_known) if skipped else None,
        (shuffled, shuffles_known) if shuffles_known else None,
    )


def _variety(rows: Sequence[VarietyRow], year: int, last_heard: date) -> list[tuple[date, int]]:
    """Number of artists in each month, up to the last month with a play."""
    found = {row.starts_on: row.artists for row in rows}
    months = [date(year, number, 1) for number in range(1, 13)]
    return [(each, found.get(each, 0)) for each in months if each <= last_heard]


def _bounds(first: date, last: date) -> list[date]:
    """The first days of the months of a history (quarters if there are many months) and of the one after it."""
    step = 1 if (last.year - first.year) * 12 + last.month - first.month < _MOST_MONTHS else 3
    day = months_back(first, (first.month - 1) % step)
    found = [day]
    while day <= last:
        for _ in range(step):
            day = next_month(day)
        found.append(day)
    return found


# A stream graph around a centre line; layers are as wide as the number of plays.
_WIDTH, _HEIGHT, _BELOW = 960, 300, 24


@dataclass(frozen=True)
class Layer:
    """`path` is SVG path data; `plays` are per span; `best` is the index of the span with the most."""

    artist_id: int
    name: str | None
    path: str
    plays: Sequence[int]
    best: str


@dataclass(frozen=True)
class Stream:
    """`spans` are the first days of its columns, `years` the positions of the years on its axis."""

    layers: Sequence[Layer]
    spans: Sequence[date]
    years: Sequence[tuple[int, float]]
    is_by_month: bool
    width: int = _WIDTH
    height: int = _HEIGHT + _BELOW


def stream_of(rows: Sequence[EraRow], bounds: Sequence[date]) -> Stream | None:
    """Layers ordered by when their artists were heard most; None for fewer than three spans."""
    spans = bounds[:-1]
    found = [(list(group)) for _, group in groupby(rows, lambda row: row.artist_id)]
    if len(spans) < 3 or not found:
        return None
    named = [(group[0], [row.plays for row in group]) for group in found]
    named.sort(key=lambda each: (each[1].index(max(each[1])), each[0].artist_id))
    most = max(1, *(sum(column) for column in zip(*(plays for _, plays in named), strict=True)))
    step = _WIDTH / (len(spans) - 1)
    # Where the next layer begins in each column.
    reached = [_HEIGHT / 2 * (1 - sum(column) / most) for column in zip(*(plays for _, plays in named), strict=True)]
    layers = []
    for first, plays in named:
        ends = [top + _HEIGHT * each / most for top, each in zip(reached, plays, strict=True)]
        path = _between(reached, ends, step)
        layers.append(Layer(first.artist_id, first.name, path, plays, _span_name(bounds, plays.index(max(plays)))))
        reached = ends
    years = [(day.year, round(number * step, 1)) for number, day in enumerate(spans) if day.month == 1]
    return Stream(layers, spans, years, (spans[1] - spans[0]).days <= 31)


def _span_name(bounds: Sequence[date], number: int) -> str:
    """`March 2024`, or `January to March 2024`."""
    first, last = bounds[number], months_back(bounds[number + 1], 1)
    return month(first) if first == last else f"{first:%B} to {month(last)}"


def _between(tops: Sequence[float], bottoms: Sequence[float], step: float) -> str:
    """The outline of a layer: along its upper edge and back along its lower one."""
    forth = [(number * step, y) for number, y in enumerate(tops)]
    back = [(number * step, y) for number, y in reversed(list(enumerate(bottoms)))]
    return f"M{_point(*forth[0])}{_curve(forth)}L{_point(*back[0])}{_curve(back)}Z"


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """Level at each point, so that no edge crosses another between two."""
    parts = []
    for (x, y), (next_x, next_y) in pairwise(points):
        middle = (x + next_x) / 2
        parts.append(f"C{_point(middle, y)} {_point(middle, next_y)} {_point(next_x, next_y)}")
    return "".join(parts)


def _point(x: float, y: float) -> str:
    return f"{x:.1f},{y:.1f}"
