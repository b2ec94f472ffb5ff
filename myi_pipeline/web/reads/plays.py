"""Plays, newest first: all of them, those of a content, an artist or an album, or those whose names hold what was
typed.

A page of a search costs no more with a million plays than the bounds below allow: it reads either no more than
MOST_CONTENTS contents by their own index, or at most MOST_WALKED plays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from myi_pipeline.web.reads.cursors import FIRST_PAGE, MOST_BIGINT, After, Order
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.search import find_contents, words_of
from myi_pipeline.web.reads.spans import BEGINNING, END
from myi_pipeline.web.reads.spelling import Words
from myi_pipeline.web.reads.sql_files import load_sql

PLAYS = Order({"played_at": END, "play_id": MOST_BIGINT})
# Words found in more contents than this are found in this many plays that a page is full before many were looked at.
MOST_CONTENTS = 500
MOST_WALKED = 20_000


@dataclass(frozen=True)
class PlayRow:
    """`play_id` is a text, as JSON has no 64-bit numbers; `ms_played` is None if no source knows it. `reported_at` is
    another moment than `played_at` only where a correction moved the play."""

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
    reported_at: datetime


@dataclass(frozen=True)
class _WalkedPlay(PlayRow):
    place: int
    is_found: bool


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
    narrowed = _given(content_id=content_id, artist_id=artist_id, album_id=album_id)
    return await marts.fetch(
        PlayRow, load_sql("plays", narrowed_by=tuple(narrowed)),
        from_at=from_at, to_at=to_at, limit=limit, **narrowed, **PLAYS.values(after),
    )  # fmt: skip


async def plays_of_tracks(marts: Marts, track_ids: Sequence[int], *, limit: int) -> list[PlayRow]:
    """The newest plays of a few tracks."""
    return await marts.fetch(
        PlayRow, load_sql("plays_of_contents", narrowed_by=()),
        content_ids=list(track_ids), from_at=BEGINNING, to_at=END, limit=limit, **PLAYS.values(FIRST_PAGE),
    )  # fmt: skip


async def find_plays(
    marts: Marts,
    typed: str,
    *,
    from_at: datetime = BEGINNING,
    to_at: datetime = END,
    after: After,
    limit: int,
    **ids: int | None,
) -> FoundPlays:
    """One page of the plays in the window; `typed` may be empty, and `ids` are as for plays()."""
    narrowed = _given(**ids)
    if not typed:
        rows = await plays(marts, from_at=from_at, to_at=to_at, after=after, limit=limit + 1, **narrowed)
        return _page(rows, limit)
    words = await words_of(marts, typed)
    values: dict[str, object] = {"from_at": from_at, "to_at": to_at, **narrowed, **PLAYS.values(after)}
    content_ids = await find_contents(marts, words, limit=MOST_CONTENTS)
    if content_ids is None:
        return await _walk(marts, words, narrowed_by=tuple(narrowed), limit=limit, values=values)
    sql = load_sql("plays_of_contents", narrowed_by=tuple(narrowed))
    return _page(await marts.fetch(PlayRow, sql, content_ids=content_ids, limit=limit + 1, **values), limit)


async def plays_named(
    marts: Marts,
    typed: str,
    *,
    from_at: datetime,
    to_at: datetime,
    after: After,
    limit: int,
    **ids: int | None,
) -> list[PlayRow]:
    """As find_plays, however far back the rows are."""
    rows: list[PlayRow] = []
    while True:
        found = await find_plays(
            marts, typed, from_at=from_at, to_at=to_at, after=after, limit=limit - len(rows), **ids
        )  # fmt: skip
        rows += found.rows
        if found.last is None or len(rows) >= limit:
            return rows
        after = After(PLAYS.keys_of(found.last))


def _given(**ids: int | None) -> dict[str, int]:
    return {name: value for name, value in ids.items() if value is not None}


def _page(rows: Sequence[PlayRow], limit: int) -> FoundPlays:
    return FoundPlays(rows[:limit], rows[limit - 1] if len(rows) > limit else None)


async def _walk(
    marts: Marts, words: Words, *, narrowed_by: tuple[str, ...], limit: int, values: dict[str, object]
) -> FoundPlays:
    rows = await marts.fetch(
        _WalkedPlay, load_sql("plays_by_words", narrowed_by=narrowed_by),
        **words.values(), most_walked=MOST_WALKED, limit=limit + 1, **values,
    )  # fmt: skip
    if len(rows) > limit:
        return _page(rows, limit)
    found = [row for row in rows if row.is_found]
    if not rows or rows[-1].place < MOST_WALKED:
        return FoundPlays(found, None)
    return FoundPlays(found, rows[-1], rows[-1].played_at)


# How far back is looked for what was submitted where the question names no beginning.
USUAL_SPAN = timedelta(days=90)


@dataclass(frozen=True)
class SubmittedRow:
    """`played_at` is when it began; a play whose names are unknown has none."""

    played_at: datetime
    title: str | None
    creator: str | None
    collection: str | None
    uri: str | None


async def submitted(marts: Marts, *, after_at: datetime, before_at: datetime, limit: int) -> list[SubmittedRow]:
    """What scrobblers submitted between the two moments, newest first, for one that asks what it has sent already; not
    what a better source reports too: it is that one's."""
    return await marts.fetch(SubmittedRow, load_sql("submitted"), after_at=after_at, before_at=before_at, limit=limit)
