"""The days that a page or a report is about: a week, a month, a year, all of time or any days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY, Period, last_day_of, period_start
from myi_pipeline.web.shown.formats import days, month


@dataclass(frozen=True)
class Span:
    """`period` is None for any other range."""

    period: Period | None
    first: date
    last: date

    @classmethod
    def of(cls, period: Period, at: date) -> Span:
        """The period that contains `at`."""
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
        """The query that means the same days tomorrow."""
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
        """The previous period, or as many days; None if there is none."""
        if self.is_everything or self.first <= FIRST_DAY + (self.last - self.first) + timedelta(days=1):
            return None
        if self.period is not None:
            return Span.of(self.period, self.first - timedelta(days=1))
        return Span(None, self.first - (self.last - self.first) - timedelta(days=1), self.first - timedelta(days=1))

    def after(self) -> Span | None:
        """The next period, or as many days; None if there is none."""
        if self.is_everything or self.last >= LAST_DAY - (self.last - self.first) - timedelta(days=1):
            return None
        if self.period is not None:
            return Span.of(self.period, self.last + timedelta(days=1))
        return Span(None, self.last + timedelta(days=1), self.last + (self.last - self.first) + timedelta(days=1))
