"""Days in a row with plays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from myi_pipeline.web.reads.cursors import FIRST_PAGE, MOST_INT, After, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY
from myi_pipeline.web.reads.sql_files import load_sql

STREAKS = Order({"streak_start": LAST_DAY})


@dataclass(frozen=True)
class StreakRow:
    streak_start: date
    streak_end: date
    days: int
    plays: int


@dataclass(frozen=True)
class _Mark(StreakRow):
    mark: str


@dataclass(frozen=True)
class StreakMarks:
    """`current` still goes on: its last day is today or yesterday."""

    current: StreakRow | None
    longest: StreakRow | None


async def streaks(
    marts: Marts,
    *,
    first_day: date = FIRST_DAY,
    last_day: date = LAST_DAY,
    after: After = FIRST_PAGE,
    limit: int = MOST_INT,
) -> list[StreakRow]:
    """Those that touch the span, newest first."""
    return await marts.fetch(
        StreakRow, load_sql("streaks"), first_day=first_day, last_day=last_day, limit=limit, **STREAKS.values(after)
    )


async def streak_marks(marts: Marts, today: date) -> StreakMarks:
    found = await marts.fetch(_Mark, load_sql("streak_marks"), yesterday=today - timedelta(days=1))
    marks = {row.mark: StreakRow(row.streak_start, row.streak_end, row.days, row.plays) for row in found}
    return StreakMarks(marks.get("current"), marks.get("longest"))


async def longest_streaks(marts: Marts, *, limit: int) -> list[StreakRow]:
    return await marts.fetch(StreakRow, load_sql("longest_streaks"), limit=limit)


async def longest_streak_within(marts: Marts, *, first_day: date, last_day: date) -> tuple[date, date] | None:
    """The most days in a row with plays inside a span, as its first and last day; of equals the first."""
    found = await streaks(marts, first_day=first_day, last_day=last_day)
    within = [(max(row.streak_start, first_day), min(row.streak_end, last_day)) for row in found]
    return max(within, key=lambda days: (days[1] - days[0], -days[0].toordinal()), default=None)
