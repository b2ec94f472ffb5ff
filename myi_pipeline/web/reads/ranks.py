"""Spotify's own top lists, as they stood on the days on which it was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from myi_pipeline.web.reads.database import Marts, load_sql
from myi_pipeline.web.reads.spans import LAST_DAY

Term = Literal["short_term", "medium_term", "long_term"]
TERMS: tuple[Term, ...] = ("short_term", "medium_term", "long_term")
RankedKind = Literal["track", "artist"]


@dataclass(frozen=True)
class RankRow:
    snapshot_date: date
    rank: int
    id: int
    uri: str | None
    name: str | None
    artist_name: str | None


async def ranks_on_day(marts: Marts, *, kind: RankedKind, term: Term, day: date = LAST_DAY) -> list[RankRow]:
    """The whole list of the last snapshot up to `day`."""
    return await marts.fetch(RankRow, load_sql("ranks_on_day"), kind=kind, term=term, day=day)


async def ranks_of_entity(
    marts: Marts, *, kind: RankedKind, id: int, term: Term, day: date = LAST_DAY
) -> list[RankRow]:
    """Where one track or artist stood in the last 400 snapshots up to `day`, the newest first."""
    return await marts.fetch(RankRow, load_sql("ranks_of_entity"), kind=kind, id=id, term=term, day=day)
