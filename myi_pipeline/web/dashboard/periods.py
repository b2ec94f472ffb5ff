"""The days that a page is about: a week, a month, a year, all of time or any days, as its address says.

An address without a period is about all of time; `period` alone is the one that holds today.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from starlette.requests import Request

from myi_pipeline.web.dashboard.formats import days, month
from myi_pipeline.web.dashboard.inputs import choice_of, day_of, days_of
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY, Period, last_day_of, period_start
from myi_pipeline.web.reads.top import OLDEST

NAMES = {Period.WEEK: "Week", Period.MONTH: "Month", Period.YEAR: "Year", Period.ALL: "All time"}


@dataclass(frozen=True)
class Span:
    """`period` is None for any other days."""

    period: Period | None
    first: date
    last: date

    @classmethod
    def of(cls, period: Period, at: date) -> Span:
        """The period that holds `at`."""
        start = period_start(period, at)
        return cls(period, start, last_day_of(period, start))

    @property
    def is_everything(self) -> bool:
        return self.period is Period.ALL

    @property
    def label(self) -> str:
        match self.period:
            case Period.MONTH:
                return month(self.first)
            case Period.YEAR:
                return str(self.first.year)
            case Period.ALL:
                return "All time"
            case _:
                return days(self.first, self.last)

    @property
    def query(self) -> dict[str, str]:
        """What asks for the same days tomorrow."""
        match self.period:
            case None:
                return {"from": self.first.isoformat(), "to": self.last.isoformat()}
            case Period.ALL:
                return {"period": self.period.value}
            case _:
                return {"period": self.period.value, "date": self.first.isoformat()}

    def address(self, path: str, **more: str) -> str:
        return f"{path}?{urlencode({**self.query, **more})}"

    def before(self) -> Span | None:
        """The period before it, or as many days; None before everything."""
        if self.is_everything or self.first <= FIRST_DAY + (self.last - self.first) + timedelta(days=1):
            return None
        if self.period is not None:
            return Span.of(self.period, self.first - timedelta(days=1))
        return Span(None, self.first - (self.last - self.first) - timedelta(days=1), self.first - timedelta(days=1))

    def after(self) -> Span | None:
        """The period after it, or as many days; None after everything."""
        if self.is_everything or self.last >= LAST_DAY - (self.last - self.first) - timedelta(days=1):
            return None
        if self.period is not None:
            return Span.of(self.period, self.last + timedelta(days=1))
        return Span(None, self.last + timedelta(days=1), self.last + (self.last - self.first) + timedelta(days=1))


def asked_span(request: Request, today: date) -> Span:
    """The days in the request's address. Raises Problem 422."""
    period = choice_of(request, "period", tuple(Period)) or Period.ALL
    at = day_of(request, "date") or today
    first, last = days_of(request)
    if first is None and last is None:
        return Span.of(period, at)
    # One end is enough: from then on, or up to then.
    return Span(None, first or min(OLDEST, last or OLDEST), last or max(today, first or today))


def period_tabs(span: Span, path: str, today: date, **more: str) -> list[tuple[str, str, bool]]:
    """Each period with its address and whether it is this one: from a month to the year around it, from a year to its
    last month that has begun."""
    at = today if span.is_everything else min(span.last, today)
    holds_today = span.first <= today <= span.last

    def address(period: Period) -> str:
        if period is Period.ALL or holds_today:
            # Of today without its date, so that the address is about today tomorrow too.
            return f"{path}?{urlencode({'period': period.value, **more})}"
        return Span.of(period, at).address(path, **more)

    return [(address(each), name, each is span.period) for each, name in NAMES.items()]


def kept_query(request: Request) -> str:
    """What of this address the overview and the top lists go on with, as a query; empty where no period is chosen."""
    given = request.query_params
    wanted = {name: given[name] for name in ("period", "date", "from", "to", "ranked") if given.get(name)}
    if not wanted.keys() & {"period", "from", "to"}:
        return ""
    try:
        asked_span(request, OLDEST)
    except Problem:
        return ""
    return f"?{urlencode(wanted)}"
