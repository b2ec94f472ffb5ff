"""What several pages read, with the statements of the API.

Belongs here: a statement's parameters as a function's. Not here: which page shows what. Invariant: nothing is computed
that a mart does not hold.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listing import MOST_BIGINT, MOST_INT, Row, fetch
from myi_pipeline.api.spans import FIRST_DAY, LAST_DAY, Period, last_day_of, period_start
from myi_pipeline.api.sql_files import load_sql

Entity = Literal["track", "artist", "album"]
_MANY = 1_000_000


async def spans(marts: Snapshot, today: date) -> list[Row]:
    """Today, the week, month and year that hold it, and everything."""
    asked = [("today", today, today)]
    for period in Period:
        start = period_start(period, today)
        asked.append((period.value, start, last_day_of(period, start)))
    return await spans_of(marts, asked)


async def spans_of(marts: Snapshot, asked: list[tuple[str, date, date]]) -> list[Row]:
    """The sums of any spans of days, each (name, first day, last day)."""
    names, first_days, last_days = (list(column) for column in zip(*asked, strict=True))
    return await fetch(
        marts, load_sql("marts/summary"), {"names": names, "first_days": first_days, "last_days": last_days}
    )


async def timeline(
    marts: Snapshot, *, grain: Literal["day", "week", "month", "year"], first: date | None, last: date | None
) -> list[Row]:
    """Sums by day, week, month or year, the oldest first; a bucket without a play is not there."""
    values = {"first_day": first or FIRST_DAY, "last_day": last or LAST_DAY, "grain": grain}
    return await fetch(marts, load_sql("marts/timeline"), {**values, "after_starts_on": FIRST_DAY, "limit": _MANY})


async def clock(marts: Snapshot, *, first: date | None, last: date) -> list[Row]:
    """Sums by weekday and hour."""
    return await fetch(marts, load_sql("marts/clock"), {"first_day": first or FIRST_DAY, "last_day": last})


async def top(marts: Snapshot, entity: Entity, *, period: Period, start: date, limit: int) -> list[Row]:
    """The first of a period's top list, with `rank` and `picture`."""
    values = {
        "period": period.value, "period_start": start, "limit": limit,
        "after_counted_plays": MOST_INT, "after_ms_played": MOST_BIGINT, f"after_{entity}_id": 0,
    }  # fmt: skip
    rows = await fetch(marts, load_sql(f"pages/top_{entity}s"), values)
    return [{"rank": rank, **row} for rank, row in enumerate(rows, start=1)]


async def coverage_gaps(marts: Snapshot) -> list[Row]:
    """Spans in which plays may be missing, the oldest first."""
    return await fetch(marts, load_sql("marts/coverage"), {})
