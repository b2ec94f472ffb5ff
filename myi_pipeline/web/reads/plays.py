"""Plays, newest first: all of them, those of a content, an artist or an album, or those whose names contain some words.

A page of a search costs no more with a million plays than the bounds below allow: it looks either at each track that
the listener ever played and then at no more than MOST_CONTENTS of them by their own index, or at MOST_WALKED plays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from myi_pipeline.web.reads.cursors import MOST_BIGINT, After, Order
from myi_pipeline.web.reads.database import Marts, load_sql
from myi_pipeline.web.reads.spans import BEGINNING, END

PLAYS = Order({"played_at": END, "play_id": MOST_BIGINT})
# Words found in more contents than this are found in so many plays that a page is full before many were looked at.
MOST_CONTENTS = 500
MOST_WALKED = 20_000
_ESCAPED = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


@dataclass(frozen=True)
class PlayRow:
    """`play_id` is a text, as JSON has no 64-bit numbers; `ms_played` is None if no source knows it."""

    play_id: str
    played_at: datetime
    started_at: datetime | None
    local_date: date
    kind: str
    is_counted: bool
    ms_played: int | None
    content_id: int | None
    track_id: int | None
    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None
    artist_id: int | None
    album_id: int | None
    source: str
    confirmed_by: str | None
    shuffle: bool | None
    skipped: bool | None
    offline: bool | None
    incognito: bool | None


@dataclass(frozen=True)
class _WalkedPlay(PlayRow):
    place: int
    is_found: bool


@dataclass(frozen=True)
class _Content:
    content_id: int


@dataclass(frozen=True)
class FoundPlays:
    """One page of a search. `last` is the row after which the next page begins, None on the last page. With
    `searched_to` the page is not full, and plays before that moment have not been looked at."""

    rows: Sequence[PlayRow]
    last: PlayRow | None
    searched_to: datetime | None = None


async def plays(
    marts: Marts,
    *,
    from_at: datetime = BEGINNING,
    to_at: datetime = END,
    content_id: int | None = None,
    artist_id: int | None = None,
    album_id: int | None = None,
    after: After,
    limit: int,
) -> list[PlayRow]:
    """Read in the order of an index: that of time, of the content, of the artist or of the album's tracks."""
    given = {"content_id": content_id, "artist_id": artist_id, "album_id": album_id}
    narrowed = {name: value for name, value in given.items() if value is not None}
    return await marts.fetch(
        PlayRow, load_sql("plays", narrowed_by=tuple(narrowed)),
        from_at=from_at, to_at=to_at, limit=limit, **narrowed, **PLAYS.values(after),
    )  # fmt: skip


async def find_plays(
    marts: Marts, words: str, *, from_at: datetime, to_at: datetime, after: After, limit: int
) -> FoundPlays:
    """One page of the plays in the window; `words` is what a person typed, and may be empty."""
    if not words:
        return _page(await plays(marts, from_at=from_at, to_at=to_at, after=after, limit=limit + 1), limit)
    patterns = patterns_of(words)
    window = {"from_at": from_at, "to_at": to_at, **PLAYS.values(after)}
    found = await marts.fetch(_Content, load_sql("find_contents"), patterns=patterns, limit=MOST_CONTENTS + 1)
    if len(found) > MOST_CONTENTS:
        return await _walk(marts, patterns, limit=limit, window=window)
    content_ids = [row.content_id for row in found]
    sql = load_sql("plays_of_contents")
    return _page(await marts.fetch(PlayRow, sql, content_ids=content_ids, limit=limit + 1, **window), limit)


def patterns_of(words: str) -> list[str]:
    """An `ilike` pattern for each word, in which wildcards stand for themselves."""
    return [f"%{word.translate(_ESCAPED)}%" for word in words.split()]


def _page(rows: Sequence[PlayRow], limit: int) -> FoundPlays:
    return FoundPlays(rows[:limit], rows[limit - 1] if len(rows) > limit else None)


async def _walk(marts: Marts, patterns: list[str], *, limit: int, window: dict[str, object]) -> FoundPlays:
    rows = await marts.fetch(
        _WalkedPlay, load_sql("plays_by_words"),
        patterns=patterns, most_walked=MOST_WALKED, limit=limit + 1, **window,
    )  # fmt: skip
    if len(rows) > limit:
        return _page(rows, limit)
    found = [row for row in rows if row.is_found]
    if not rows or rows[-1].place < MOST_WALKED:
        return FoundPlays(found, None)
    return FoundPlays(found, rows[-1], rows[-1].played_at)
