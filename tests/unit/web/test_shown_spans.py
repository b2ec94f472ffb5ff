"""What two listeners show each other is of a week at least, whatever day it is."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.spans import Period
from myi_pipeline.web.shown.agreements import shown_span
from myi_pipeline.web.shown.spans import Span

DAYS = [date(2024, 2, 25) + timedelta(days=number) for number in range(320)]


@pytest.mark.parametrize("period", [Period.WEEK, Period.MONTH, Period.YEAR])
def test_a_period_that_has_just_begun_is_the_one_before_it(period: Period) -> None:
    for today in DAYS:
        for at in (today, today + timedelta(days=9), today - timedelta(days=40)):
            span = shown_span(Span.of(period, at), today)
            assert span.period is period
            assert (min(span.last, today) - span.first).days >= 6, (today, at)
            assert shown_span(span, today) == span
    assert shown_span(Span.of(Period.WEEK, date(2024, 3, 10)), date(2024, 3, 10)).last == date(2024, 3, 10)
    assert shown_span(Span.of(Period.MONTH, date(2024, 3, 6)), date(2024, 3, 6)).first == date(2024, 2, 1)


def test_any_other_days_are_not_shown() -> None:
    with pytest.raises(Problem):
        shown_span(Span(None, date(2024, 1, 1), date(2024, 6, 30)), date(2024, 7, 1))
