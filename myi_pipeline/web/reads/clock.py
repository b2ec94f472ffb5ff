"""Listening by weekday and hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.sql_files import load_sql


@dataclass(frozen=True)
class HourRow:
    """`weekday` 1 is Monday; `hour` is local."""

    weekday: int
    hour: int
    plays: int
    counted_plays: int
    ms_played: int


async def clock(marts: Marts, *, first_day: date, last_day: date) -> list[HourRow]:
    """At most 168 rows; an hour in which nothing was heard is left out."""
    return await marts.fetch(HourRow, load_sql("clock"), first_day=first_day, last_day=last_day)
