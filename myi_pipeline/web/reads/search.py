"""Finding what a listener heard by its name: artists, albums, tracks, episodes and shows.

Two passes. The first finds names that hold every word that was typed; only where none of these begins with them, a
second one looks for names that differ by a slip. Names are the catalogue's, which all users share: what this user never
heard is found by neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spelling import Words
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import Listed

Kind = Literal["artist", "album", "track", "show", "episode"]
KINDS: tuple[Kind, ...] = ("artist", "album", "track", "show", "episode")
LONGEST = 100
# Names that have the trigrams are looked at one by one up to so many; of more common ones the listener's own are, the
# most heard first, until there are enough.
MOST_FOUND, MOST_WALKED, ENOUGH = 3_000, 8_000, 200
# In these the words begin words of the name; in others they stand somewhere, as "ring" in "Morning".
_GOOD = 2


@dataclass(frozen=True)
class SearchRow:
    """`id` is an artist_id, album_id or content_id; a show goes by one of its episodes. `is_similar`: its name differs
    by a slip. `picture` is the SHA-256 of an image in hex. Fields that the kind does not have are None."""

    kind: Kind
    id: int
    uri: str | None
    name: str | None
    artist_id: int | None
    artist_name: str | None
    album_id: int | None
    album_name: str | None
    plays: int
    counted_plays: int
    ms_played: int
    is_similar: bool
    picture: str | None


@dataclass(frozen=True)
class _Hit:
    kind: Kind
    id: int
    match: int
    plays: int
    counted_plays: int
    ms_played: int


@dataclass(frozen=True)
class _Similar:
    kind: Kind
    id: int
    album_id: int | None
    search_text: str
    plays: int
    counted_plays: int
    ms_played: int


@dataclass(frozen=True)
class _Content:
    content_id: int | None


@dataclass(frozen=True)
class _Names:
    kind: Kind
    id: int
    uri: str | None
    name: str | None
    artist_id: int | None
    artist_name: str | None
    album_id: int | None
    album_name: str | None
    picture: str | None


@dataclass(frozen=True)
class _Folded:
    folded: str


async def words_of(marts: Marts, typed: str) -> Words:
    (row,) = await marts.fetch(_Folded, b"select marts.folded(%(typed)s) as folded", typed=typed)
    return Words(row.folded)


async def search(
    marts: Marts, typed: str, *, kinds: Sequence[Kind] = KINDS, by: Listed = Listed.TRACK, limit: int
) -> list[SearchRow]:
    """At most `limit` of each kind, kind by kind: the best match first, then what was heard most. By recording a song
    comes once, as that of its tracks which fits best."""
    words = await words_of(marts, typed)
    if not words.each:
        return []
    hits = await _hits(marts, words, kinds, by, limit)
    similar: list[_Hit] = []
    if not any(hit.match <= _GOOD for hit in hits):
        similar = await _similar_hits(marts, words, kinds, limit)
    found: list[tuple[_Hit, bool]] = []
    for kind in kinds:
        good = [(hit, False) for hit in hits if hit.kind == kind and hit.match <= _GOOD]
        known = {hit.id for hit in hits if hit.kind == kind}
        good += [(hit, True) for hit in similar if hit.kind == kind and hit.id not in known]
        good += [(hit, False) for hit in hits if hit.kind == kind and hit.match > _GOOD]
        found += good[:limit]
    return await _named(marts, found)


async def find_contents(marts: Marts, words: Words, *, limit: int) -> list[int] | None:
    """Every track, episode and chapter of this user whose names hold the words, or where there is none those that
    differ by a slip; None for more than `limit`."""
    if not words.each:
        return []
    rows = await marts.fetch(
        _Content, load_sql("find_contents"), **words.values(), most=MOST_FOUND, limit=limit + 1
    )  # fmt: skip
    if rows:
        found = [row.content_id for row in rows if row.content_id is not None]
        return found if len(found) == len(rows) <= limit else None
    return [row.id for row, _ in await _similar(marts, words) if row.kind != "artist"][:limit]


async def _hits(marts: Marts, words: Words, kinds: Sequence[Kind], by: Listed, limit: int) -> list[_Hit]:
    bounds = {"most": MOST_FOUND, "most_walked": MOST_WALKED, "enough": ENOUGH, "limit": limit}
    hits: list[_Hit] = []
    if "artist" in kinds:
        hits += await marts.fetch(_Hit, load_sql("search_artists"), **words.values(), **bounds)
    if set(kinds) - {"artist"}:
        hits += await marts.fetch(_Hit, load_sql("search_contents", by=by.value), **words.values(), **bounds)
    return [hit for hit in hits if hit.kind in kinds]


async def _similar(marts: Marts, words: Words) -> list[tuple[_Similar, int]]:
    """What may be meant, with how many slips are between."""
    rows = await marts.fetch(
        _Similar, load_sql("search_similar"), **words.parts(), most=MOST_FOUND, enough=ENOUGH
    )  # fmt: skip
    judged = ((row, words.slips_in(row.search_text)) for row in rows)
    return [(row, count) for row, count in judged if count is not None]


async def _similar_hits(marts: Marts, words: Words, kinds: Sequence[Kind], limit: int) -> list[_Hit]:
    ranked: dict[tuple[Kind, int], tuple[tuple[int, int, int, int], _Hit]] = {}

    def offer(kind: Kind, id: int, row: _Similar, count: int, name: str) -> None:
        # Slips in another name than its own, such as a track's artist, are less of a match.
        in_name = words.slips_in(name)
        rank = (count, in_name is None, -row.counted_plays, -row.ms_played)
        hit = _Hit(kind, id, count, row.plays, row.counted_plays, row.ms_played)
        if (kind, id) not in ranked or rank < ranked[kind, id][0]:
            ranked[kind, id] = (rank, hit)

    for row, count in await _similar(marts, words):
        title, _, rest = row.search_text.partition(" / ")
        offer(row.kind, row.id, row, count, title)
        album = rest.partition(" / ")[2]
        if row.kind == "track" and row.album_id is not None and words.slips_in(album) is not None:
            offer("album", row.album_id, row, count, album)
        if row.kind == "episode" and words.slips_in(album) is not None:
            offer("show", row.id, row, count, album)
    ordered = [hit for _, hit in sorted(ranked.values(), key=lambda each: each[0])]
    return [hit for kind in kinds for hit in [each for each in ordered if each.kind == kind][:limit]]


async def _named(marts: Marts, found: Sequence[tuple[_Hit, bool]]) -> list[SearchRow]:
    if not found:
        return []
    names = await marts.fetch(
        _Names, load_sql("search_rows"), kinds=[hit.kind for hit, _ in found], ids=[hit.id for hit, _ in found]
    )
    return [
        SearchRow(
            **vars(row),
            plays=hit.plays,
            counted_plays=hit.counted_plays,
            ms_played=hit.ms_played,
            is_similar=is_similar,
        )
        for row, (hit, is_similar) in zip(names, found, strict=True)
    ]
