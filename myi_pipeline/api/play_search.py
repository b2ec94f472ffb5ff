"""A listener's plays, newest first, all or those whose names hold some words.

Belongs here: which of three statements reads a page. Not here: how it is shown. Invariant: a page costs no more with a
million plays than the bounds below allow: either one read of an index, or a look at each track that the listener ever
played and then at most MOST_CONTENTS of them by their own index, or a look at MOST_WALKED plays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listing import MOST_BIGINT, Order, Row, fetch
from myi_pipeline.api.page_lists import Place, list_page
from myi_pipeline.api.spans import END
from myi_pipeline.api.sql_files import load_sql

PLAYS = Order({"played_at": END, "play_id": MOST_BIGINT})
# Words that are in more contents than this are in so many plays that a page is full before many were looked at.
MOST_CONTENTS = 500
MOST_WALKED = 20_000
_ESCAPED = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


@dataclass(frozen=True)
class Plays:
    """`searched_to`: the page is not full, and plays before this moment have not been looked at."""

    rows: list[Row]
    first: str | None
    next: str | None
    searched_to: datetime | None = None


async def find_plays(marts: Snapshot, words: str, *, place: Place, limit: int, window: dict[str, datetime]) -> Plays:
    """A page of plays in the window (from_at, to_at); `words` is what a person typed, or nothing."""
    if not words:
        page = await list_page(marts, load_sql("marts/plays"), PLAYS, place=place, limit=limit, values=window)
        return Plays(page.rows, page.first, page.next)
    patterns = patterns_of(words)
    found = await fetch(marts, load_sql("pages/find_contents"), {"patterns": patterns, "limit": MOST_CONTENTS + 1})
    if len(found) > MOST_CONTENTS:
        return await _walk(marts, patterns, place=place, limit=limit, window=window)
    values = {**window, "content_ids": [row["content_id"] for row in found]}
    page = await list_page(marts, load_sql("pages/plays_of_contents"), PLAYS, place=place, limit=limit, values=values)
    return Plays(page.rows, page.first, page.next)


def patterns_of(words: str) -> list[str]:
    """For each word what it is a part of; a sign that stands for others in a pattern stands for itself."""
    return [f"%{word.translate(_ESCAPED)}%" for word in words.split()]


async def _walk(
    marts: Snapshot, patterns: Sequence[str], *, place: Place, limit: int, window: dict[str, datetime]
) -> Plays:
    values: dict[str, Any] = {**window, "patterns": list(patterns), "most_walked": MOST_WALKED, "limit": limit + 1}
    rows = await fetch(marts, load_sql("pages/plays_by_words"), {**values, **PLAYS.values(place.keys)})
    if len(rows) > limit:
        return Plays(rows[:limit], place.first, place.next(PLAYS.keys_of(rows[limit - 1])))
    plays = [row for row in rows if row["is_found"]]
    if not rows or rows[-1]["place"] < MOST_WALKED:
        return Plays(plays, place.first, None)
    return Plays(plays, place.first, place.next(PLAYS.keys_of(rows[-1])), rows[-1]["played_at"])
