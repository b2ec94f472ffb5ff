"""Listening by day, week, month or year."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from myi_pipeline.web.reads.cursors import FIRST_PAGE, After, Order
from myi_pipeline.web.reads.database import Marts, load_sql
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY

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
