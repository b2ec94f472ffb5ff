"""Where bars, lines and labels of a chart stand."""

from __future__ import annotations

import re
from datetime import date

import pytest

from myi_pipeline.web.dashboard.pages import _environment
from myi_pipeline.web.dashboard.plots import DEEP, TOP, Plot, Point, plot, step_of
from myi_pipeline.web.reads.spans import next_month


def months(*values: float | None, first: date = date(2023, 1, 1)) -> list[Point]:
    found: list[Point] = []
    month = first
    for value in values:
        found.append((month, value, (f"{month:%B %Y}", "–" if value is None else f"{value:,g}")))
        month = next_month(month)
    return found


def heights(made: Plot) -> list[float]:
    return [round(mark.height / DEEP, 3) for mark in made.marks]


@pytest.mark.parametrize(
    ("most", "is_whole", "step"),
    [
        (0.04, False, 0.01),
        (1, False, 0.2),
        (3, True, 1),
        (5, True, 1),
        (6, True, 2),
        (61.3, False, 20),
        (1_204, True, 500),
    ],
)
def test_lines_stand_at_round_numbers_and_are_few(most: float, is_whole: bool, step: float) -> None:
    assert step_of(most, is_whole=is_whole) == pytest.approx(step)


def test_bars_stand_on_zero_on_one_scale_with_the_axis() -> None:
    made = plot("bars", months(0, 30, 61.5, None), "Hours")
    assert [tick.text for tick in made.values] == ["0", "20", "40", "60", "80"]
    assert [tick.at for tick in made.values] == [TOP + DEEP, TOP + DEEP * 0.75, TOP + DEEP / 2, TOP + DEEP / 4, TOP]
    assert heights(made) == [0, 0.375, round(61.5 / 80, 3), 0]
    assert made.marks[3].y is None
    assert [mark.label for mark in made.marks[1:3]] == ["February 2023: 30 hours", "March 2023: 61.5 hours"]
    assert made.desc == "January 2023 to April 2023. Most: March 2023, 61.5 hours."
    assert all(mark.x >= 0 and mark.x + mark.width <= 100 for mark in made.marks)


def test_a_value_is_never_too_small_to_be_seen_and_a_play_is_one_play() -> None:
    made = plot("bars", months(1, 100_000), "Plays")
    assert made.marks[0].height == 2
    assert made.marks[0].label == "January 2023: 1 play"
    assert "100,000" in [tick.text for tick in made.values]


def test_charts_side_by_side_share_a_scale() -> None:
    assert heights(plot("bars", months(10), "Plays", most=40)) == [0.25]


def test_the_first_rank_is_on_top_and_days_stand_where_they_are() -> None:
    days = [date(2024, 6, 1), date(2024, 6, 2), date(2024, 6, 11)]
    ranks = zip(days, (3, 1, 21), strict=True)
    made = plot("ranks", [(day, rank, (f"{day.day} June", f"#{rank}")) for day, rank in ranks], "Rank")
    assert [mark.y for mark in made.marks] == [pytest.approx(TOP + DEEP * 0.1), TOP, TOP + DEEP]
    assert [mark.middle for mark in made.marks] == [0, 10, 100]
    assert [tick.text for tick in made.values] == ["#1", "#5", "#10", "#15", "#20"]
    assert made.lines == ["0.00,36.0 10.00,18.0 100.00,198.0"]
    assert made.desc.endswith("Best: 2 June, #1.")


def test_a_line_breaks_where_nothing_is_known() -> None:
    assert len(plot("line", months(1, 2, None, 3, 4), "Plays").lines) == 2


@pytest.mark.parametrize(
    ("count", "labels"),
    [
        (12, ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]),
        (24, ["2023", "Apr", "Jul", "Oct", "2024", "Apr", "Jul", "Oct"]),
        (72, ["2023", "2024", "2025", "2026", "2027", "2028"]),
        (12 * 30, [str(year) for year in range(2023, 2053, 3)]),
    ],
)
def test_months_are_labelled_as_far_as_there_is_room(count: int, labels: list[str]) -> None:
    assert [tick.text for tick in plot("bars", months(*range(count)), "Plays").places] == labels


def test_nothing_at_all_is_a_chart_too() -> None:
    assert plot("bars", [], "Plays").desc == "Nothing yet."
    made = plot("bars", months(0, 0), "Plays")
    assert (heights(made), made.desc) == ([0, 0], "January 2023 to February 2023: nothing.")
    assert plot("ranks", [(date(2024, 6, 1), 1, ("1 June", "#1"))], "Rank").marks[0].middle == 50


def test_a_month_that_stands_alone_is_no_day() -> None:
    """A year in which the history began this month had one bar, of "1 Nov"."""
    november = months(3, first=date(2026, 11, 1))
    assert [tick.text for tick in plot("bars", november, "Hours", is_by_month=True).places] == ["Nov"]
    assert [tick.text for tick in plot("bars", november, "Hours").places] == ["1 Nov"]


@pytest.mark.parametrize(
    ("ms", "axis", "says"),
    [
        ((200_000, 0), ["0", "1", "2", "3", "4"], "3 minutes"),
        ((20_000, 0), ["0.0", "0.1", "0.2", "0.3", "0.4"], "under 1 minute"),
        ((3_540_000, 60_000), ["0", "20", "40", "60"], "59 minutes"),
        ((3_600_000, 60_000), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"], "1.0 hours"),
    ],
)
def test_time_below_an_hour_is_drawn_in_minutes(ms: tuple[int, int], axis: list[str], says: str) -> None:
    """Three minutes stood on an axis of 0.00 to 0.06 hours."""
    template = '{% import "parts/charts.html" as charts %}{{ charts.heard("month", rows) }}'
    days = (date(2026, 10, 1), date(2026, 11, 1))
    rows = [(day, heard, f"{day:%B %Y}") for day, heard in zip(days, ms, strict=True)]
    drawn = _environment().from_string(template).render(rows=rows)
    said = says.partition(" ")[2].split()[-1]
    assert re.findall(r'<text x="\d+" y="[\d.]+">([^<]+)</text>', drawn)[: len(axis)] == axis
    assert f"<title>October 2026: {says}</title>" in drawn
    assert f'aria-label="{said.removesuffix("s").capitalize()}s heard by month"' in drawn


def test_a_month_that_has_not_come_has_no_time() -> None:
    template = '{% import "parts/charts.html" as charts %}{{ charts.heard("month", rows, labelled=true) }}'
    rows = [(date(2026, 11, 1), 60_000, "November 2026"), (date(2026, 12, 1), None, "December 2026")]
    drawn = _environment().from_string(template).render(rows=rows)
    assert "December 2026: –" in drawn
    assert drawn.count('class="column"') == 1
