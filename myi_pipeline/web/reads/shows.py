"""A podcast or an audiobook: what of it was heard, episode by episode.

The catalogue keeps shows by name alone, so one goes by any of its episodes or chapters that this user has played.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spelling import Words
from myi_pipeline.web.reads.sql_files import load_sql


@dataclass(frozen=True)
class ShowRow:
    """`kind` is episode or chapter; `creator` a book's author, if known; `folded` the name as it is compared."""

    kind: str
    name: str
    creator: str | None
    show_id: UUID | None
    folded: str


@dataclass(frozen=True)
class EpisodeRow:
    content_id: int
    title: str | None
    uri: str | None
    plays: int
    counted_plays: int
    ms_played: int
    unknown_plays: int
    first_played_at: datetime
    last_played_at: datetime


async def show_of(marts: Marts, content_id: int) -> ShowRow | None:
    """None for what is no part of a show, and for what this user never played."""
    found = await marts.fetch(ShowRow, load_sql("show"), content_id=content_id)
    return found[0] if found else None


async def episodes_of(marts: Marts, show: ShowRow) -> list[EpisodeRow]:
    """Every episode or chapter that this user played, the last one heard first."""
    grams = Words(show.folded).values()["grams"]
    return await marts.fetch(EpisodeRow, load_sql("show_episodes"), grams=grams, show_id=show.show_id)
