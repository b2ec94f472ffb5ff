"""Spans of days: every day once, whatever the range."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.web.reads.spans import Period, last_day_of, moment, parts_of, period_start

DAYS = st.dates(date(2006, 1, 1), date(2030, 12, 31))


def days_of(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


@given(DAYS, DAYS)
def test_the_parts_of_a_range_hold_each_day_once(one: date, other: date) -> None:
    first, last = min(one, other), max(one, other)
    parts = parts_of(first, last)
    held = Counter(day for span in parts.days for day in days_of(*span))
    held += Counter(day for start in parts.years for day in days_of(start, last_day_of(Period.YEAR, start)))
    assert held == Counter(days_of(first, last))


@given(DAYS, DAYS)
def test_few_parts_make_the_longest_range(one: date, other: date) -> None:
    parts = parts_of(min(one, other), max(one, other))
    assert len(parts.days) <= 2
    # Less than a year at each end.
    assert sum((last - first).days + 1 for first, last in parts.days) <= 2 * 365
    assert len(parts.years) <= 25


@given(st.sampled_from(Period), DAYS)
def test_a_day_lies_in_its_period(period: Period, day: date) -> None:
    start = period_start(period, day)
    assert start <= day <= last_day_of(period, start)
    assert period_start(period, start) == start


def test_weeks_are_iso_weeks() -> None:
    assert period_start(Period.WEEK, date(2025, 1, 1)) == date(2024, 12, 30)


@pytest.mark.parametrize(
    ("value", "is_end", "at"),
    [
        (date(2024, 3, 31), False, datetime(2024, 3, 30, 23, tzinfo=UTC)),
        # The day on which clocks go forward has 23 hours.
        (date(2024, 3, 31), True, datetime(2024, 3, 31, 22, tzinfo=UTC)),
        (datetime(2024, 3, 31, 12, tzinfo=UTC), True, datetime(2024, 3, 31, 12, tzinfo=UTC)),
    ],
)
def test_days_begin_in_the_zone_and_instants_are_themselves(value: date, is_end: bool, at: datetime) -> None:
    assert moment(value, ZoneInfo("Europe/Berlin"), is_end=is_end) == at
