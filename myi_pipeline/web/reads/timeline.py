"""Listening by day, week, month or year."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from myi_pipeline.web.reads.cursors import FIRST_PAGE, After, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY, next_month
from myi_pipeline.web.reads.sql_files import load_sql

Grain = Literal["day", "week", "month", "year"]
BUCKETS = Order({"starts_on": FIRST_DAY})
_MANY = 1_000_000


@dataclass(frozen=True)
class BucketRow:
    starts_on: date
    days: int
    plays: int
    counted_plays: int
    ms_played: int
    unknown_plays: int


async def timeline(
    marts: Marts,
    *,
    grain: Grain,
    first_day: date = FIRST_DAY,
    last_day: date = LAST_DAY,
    after: After = FIRST_PAGE,
    limit: int = _MANY,
) -> list[BucketRow]:
    """The oldest bucket first; one without a play is left out, and one at an end of the span holds the days inside."""
    return await marts.fetch(
        BucketRow, load_sql("timeline"),
        grain=grain, first_day=first_day, last_day=last_day, limit=limit, **BUCKETS.values(after),
    )  # fmt: skip


@dataclass(frozen=True)
class MonthSum:
    """Totals of one month; zeros if nothing was heard."""

    starts_on: date
    plays: int = 0
    counted_plays: int = 0
    ms_played: int = 0


def every_month(heard: Iterable[MonthSum], *, first: date, last: date) -> list[MonthSum]:
    """One total per month from that of `first` to that of `last`, without gaps."""
    by_start = {each.starts_on: each for each in heard}
    found: list[MonthSum] = []
    month = first.replace(day=1)
    while month <= last:
        found.append(by_start.get(month, MonthSum(month)))
        month = next_month(month)
    return found


def month_sums(buckets: Iterable[BucketRow]) -> list[MonthSum]:
    return [MonthSum(each.starts_on, each.plays, each.counted_plays, each.ms_played) for each in buckets]
