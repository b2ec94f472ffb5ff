"""Spotify's own top lists, as they stood on the days on which it was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import LAST_DAY
from myi_pipeline.web.reads.sql_files import load_sql

Term = Literal["short_term", "medium_term", "long_term"]
TERMS: tuple[Term, ...] = ("short_term", "medium_term", "long_term")
RankedKind = Literal["track", "artist"]
# Spotify ranks tracks; a recording stands where the best of its tracks does.
Ranked = Literal["track", "artist", "recording"]


@dataclass(frozen=True)
class RankRow:
    """Of a recording, `uri` and names are those of the track that Spotify ranked."""

    snapshot_date: date
    rank: int
    id: int
    uri: str | None
    name: str | None
    artist_name: str | None
    recording_id: int | None


async def ranks_on_day(marts: Marts, *, entity: Ranked, term: Term, day: date = LAST_DAY) -> list[RankRow]:
    """The whole list of the last snapshot up to `day`."""
    return await marts.fetch(RankRow, load_sql("ranks_on_day", entity=entity), term=term, day=day)


async def ranks_of_entity(marts: Marts, *, entity: Ranked, id: int, term: Term, day: date = LAST_DAY) -> list[RankRow]:
    """Where one stood in the last 400 snapshots up to `day` that have it, newest first."""
    return await marts.fetch(RankRow, load_sql("ranks_of_entity", entity=entity), id=id, term=term, day=day)
