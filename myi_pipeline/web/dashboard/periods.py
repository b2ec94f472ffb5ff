"""The days that a page covers, from its address: a week, a month, a year, all time or any days.

An address without a period means all time; `period` alone means the current one.
"""

from __future__ import annotations

from datetime import date
from urllib.parse import urlencode

from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import choice_of, day_of, days_of
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.spans import Period
from myi_pipeline.web.reads.top import OLDEST
from myi_pipeline.web.shown.spans import Span

NAMES = {Period.WEEK: "Week", Period.MONTH: "Month", Period.YEAR: "Year", Period.ALL: "All time"}


def asked_span(request: Request, today: date) -> Span:
    """The days in the request's address. Raises Problem 422."""
    period = choice_of(request, "period", tuple(Period)) or Period.ALL
    at = day_of(request, "date") or today
    first, last = days_of(request)
    if first is None and last is None:
        return Span.of(period, at)
    # One end is enough: from that day on, or up to it.
    return Span(None, first or min(OLDEST, last or OLDEST), last or max(today, first or today))


def period_tabs(span: Span, path: str, today: date, **more: str) -> list[tuple[str, str, bool]]:
    """Each period with its address and whether it is the current tab.

    A month leads to its year, a year to its latest month that has begun."""
    at = today if span.is_everything else min(span.last, today)
    holds_today = span.first <= today <= span.last

    def address(period: Period) -> str:
        if period is Period.ALL or holds_today:
            # Today's without a date, so that the address still means the current period tomorrow.
            return f"{path}?{urlencode({'period': period.value, **more})}"
        return Span.of(period, at).address(path, **more)

    return [(address(each), name, each is span.period) for each, name in NAMES.items()]


def kept_query(request: Request) -> str:
    """The chosen period as a query for links to the overview and the top lists; empty without a period."""
    given = request.query_params
    wanted = {name: given[name] for name in ("period", "date", "from", "to", "ranked") if given.get(name)}
    if not wanted.keys() & {"period", "from", "to"}:
        return ""
    try:
        asked_span(request, OLDEST)
    except Problem:
        return ""
    return f"?{urlencode(wanted)}"
