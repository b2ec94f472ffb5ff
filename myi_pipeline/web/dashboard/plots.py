"""Positions of the bars, lines and labels of a chart, which templates/parts/charts.html draws.

Horizontal positions are per cent of the width and vertical ones pixels, so that a chart is as wide as its column while
its text keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, log10
from typing import Literal

Kind = Literal["bars", "line", "ranks"]
# (date or text, number or None, (what it is called, what it reads as))
Point = tuple[date | str, float | str | None, tuple[str, str]]

# Heights: above the highest value, of the values, and of the labels below.
TOP, DEEP, BELOW = 18, 180, 26
_MOST_STEPS = 5
_PX_OF_DIGIT, _PX_BESIDE = 7, 10
_SHARE_OF_BAR = 0.78
_LEAST_BAR_PX = 2.0
# With more points than this, only the line is drawn.
_MOST_DOTS = 60
_YEAR_LABELS = 12
_LONGEST_SPAN_OF_DAYS = 70


@dataclass(frozen=True)
class Tick:
    """A label of an axis. `is_minor`: left out on narrow screens."""

    at: float
    text: str
    anchor: str = "middle"
    is_minor: bool = False


@dataclass(frozen=True)
class Mark:
    """One value: its share of the width, and its position. `y` is None if the value is unknown."""

    x: float
    width: float
    middle: float
    y: float | None
    height: float
    label: str
    said: str
    is_most: bool


@dataclass(frozen=True)
class Plot:
    """`lines` are points of polylines, in per cent and pixels; `desc` describes the chart in a sentence."""

    marks: Sequence[Mark]
    lines: Sequence[str]
    values: Sequence[Tick]
    places: Sequence[Tick]
    axis_px: int
    has_dots: bool
    desc: str

    height = TOP + DEEP + BELOW
    base = TOP + DEEP


def step_of(most: float, *, is_whole: bool) -> float:
    """The distance between grid lines: 1, 2 or 5 times a power of ten, so that at most five reach `most`."""
    least = most / _MOST_STEPS
    power = 10.0 ** floor(log10(least)) if least > 0 else 1.0
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= least * (1 - 1e-9))
    return max(step, 1.0) if is_whole else step


def plot(
    kind: Kind, points: Sequence[Point], unit: str, *, most: float | None = None, is_by_month: bool = False
) -> Plot:
    """`most` is the highest value (for ranks: the last) of charts that share a scale. `is_by_month`: a first of a month
    is a month even if it stands alone; of several it is seen."""
    values = [None if value is None or value == "" else float(value) for _, value, _ in points]
    known = [value for value in values if value is not None]
    highest = max([*known, most or 0.0])
    is_whole = all(value == int(value) for value in known)
    ticks, end = _rank_ticks(highest) if kind == "ranks" else _value_ticks(highest, is_whole=is_whole)
    middles = _middles(kind, [at for at, _, _ in points])
    width = 100 / max(1, len(points))
    best = (min if kind == "ranks" else max)(known, default=None)
    marks = []
    for (_, _, (name, said)), value, middle in zip(points, values, middles, strict=True):
        y = None if value is None else _down(kind, value, end)
        if kind == "bars" and value:
            y = min(y or 0.0, TOP + DEEP - _LEAST_BAR_PX)
        share = width * (_SHARE_OF_BAR if kind == "bars" else 1)
        marks.append(
            Mark(
                x=max(0.0, middle - share / 2),
                width=min(100.0, middle + share / 2) - max(0.0, middle - share / 2),
                middle=middle,
                y=y,
                height=0.0 if y is None else TOP + DEEP - y,
                label=f"{name}: {_with_unit(said, unit, kind)}",
                said=said,
                is_most=value is not None and value == best and value != 0,
            )
        )
    longest = max((len(tick.text) for tick in ticks), default=1)
    return Plot(
        marks=marks,
        lines=[] if kind == "bars" else _lines(marks),
        values=ticks,
        places=_places([at for at, _, _ in points], middles, is_by_month=is_by_month),
        axis_px=longest * _PX_OF_DIGIT + _PX_BESIDE,
        has_dots=len(points) <= _MOST_DOTS,
        desc=_desc(points, marks, unit, kind),
    )


def _down(kind: Kind, value: float, end: float) -> float:
    share = (value - 1) / (end - 1) if kind == "ranks" else 1 - value / end
    return TOP + DEEP * share


def _value_ticks(highest: float, *, is_whole: bool) -> tuple[list[Tick], float]:
    """Ticks from zero up, and the value of the highest line."""
    if highest <= 0:
        return [Tick(TOP + DEEP, "0")], 1.0
    step = step_of(highest, is_whole=is_whole)
    lines = ceil(highest / step - 1e-9)
    end = lines * step
    digits = max(0, -floor(log10(step)))
    ticks = [Tick(_down("bars", number * step, end), f"{number * step:,.{digits}f}") for number in range(lines + 1)]
    return ticks, end


def _rank_ticks(last: float) -> tuple[list[Tick], float]:
    """Ticks with the first place on top."""
    end = max(5.0, last)
    step = step_of(end, is_whole=True)
    ranks = [1, *(int(number * step) for number in range(1, int(end // step) + 1) if number * step > 1)]
    return [Tick(_down("ranks", rank, end), f"#{rank}") for rank in ranks], end


def _middles(kind: Kind, ats: Sequence[date | str]) -> list[float]:
    """Centres in per cent: bars side by side, points of a line at their days."""
    days = [at for at in ats if isinstance(at, date)]
    if kind == "bars" or len(days) < len(ats):
        return [100 * (number + 0.5) / len(ats) for number in range(len(ats))]
    first, whole = days[0], (days[-1] - days[0]).days
    return [100 * (day - first).days / whole if whole else 50.0 for day in days]


def _lines(marks: Sequence[Mark]) -> list[str]:
    """One polyline for each run of known values."""
    runs: list[list[str]] = [[]]
    for mark in marks:
        if mark.y is None:
            runs.append([])
        else:
            runs[-1].append(f"{mark.middle:.2f},{mark.y:.1f}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _places(ats: Sequence[date | str], middles: Sequence[float], *, is_by_month: bool) -> list[Tick]:
    """Labels below: months, or years if there are many, or some of the days."""
    days = [at for at in ats if isinstance(at, date)]
    if len(days) < len(ats):
        return [Tick(middle, str(at)) for at, middle in zip(ats, middles, strict=True)]
    if not days:
        return []
    if all(day.day == 1 for day in days) and (is_by_month or len(days) > 1):
        return _months(days, middles)
    if (days[-1] - days[0]).days <= _LONGEST_SPAN_OF_DAYS:
        wanted = sorted({0, len(days) // 2, len(days) - 1} if len(days) > 2 else set(range(len(days))))
        return [Tick(middles[n], f"{days[n].day} {days[n]:%b}", _anchor(middles[n])) for n in wanted]
    found: dict[tuple[int, int], Tick] = {}
    for day, middle in zip(days, middles, strict=True):
        found.setdefault((day.year, day.month), Tick(middle, f"{day:%b %Y}", _anchor(middle)))
    every = ceil(len(found) / 4)
    return list(found.values())[::every]


def _months(days: Sequence[date], middles: Sequence[float]) -> list[Tick]:
    is_one_year = days[0].year == days[-1].year
    if len(days) > 3 * 12:
        years = days[-1].year - days[0].year + 1
        every = ceil(years / _YEAR_LABELS)
        januaries = [(day, middle) for day, middle in zip(days, middles, strict=True) if day.month == 1]
        return [
            Tick(middle, str(day.year), is_minor=years > _YEAR_LABELS / 2 and number % 2 == 1)
            for number, (day, middle) in enumerate(januaries[::every])
        ]
    every = 1 if len(days) <= 12 else 3
    return [
        Tick(
            middle,
            f"{day:%b}" if day.month > 1 or is_one_year else str(day.year),
            is_minor=every == 1 and number % 2 == 1,
        )
        for number, (day, middle) in enumerate(zip(days, middles, strict=True))
        if (day.month - 1) % every == 0
    ]


def _anchor(middle: float) -> str:
    """Keeps labels inside the chart."""
    return "start" if middle < 5 else "end" if middle > 95 else "middle"


def _with_unit(said: str, unit: str, kind: Kind) -> str:
    if kind == "ranks":
        return said
    name = unit.lower()
    return f"{said} {name.removesuffix('s') if said in ('1', 'under 1') else name}"


def _desc(points: Sequence[Point], marks: Sequence[Mark], unit: str, kind: Kind) -> str:
    if not points:
        return "Nothing yet."
    (_, _, (first, _)), (_, _, (last, _)) = points[0], points[-1]
    span = first if first == last else f"{first} to {last}"
    best = next((number for number, mark in enumerate(marks) if mark.is_most), None)
    if best is None:
        return f"{span}: nothing."
    name, said = points[best][2]
    return f"{span}. {'Best' if kind == 'ranks' else 'Most'}: {name}, {_with_unit(said, unit, kind)}."
