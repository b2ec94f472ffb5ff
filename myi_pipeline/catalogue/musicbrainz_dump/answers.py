"""What the web service would have answered about tracks and artists, from the staged tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.musicbrainz_queue import Entry
from myi_pipeline.catalogue.musicbrainz_store import FoundBy
from myi_pipeline.catalogue.recording_rules import Wanted, choose_by_code, choose_by_names, fold, fold_title
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.musicbrainz.answers import Credit, Recording, Release, Vote

# Per title and artist; per recording.
_MOST_CANDIDATES: Final = 300
_MOST_RELEASES: Final = 100
_LONGEST_TAG: Final = 255
# Title and artist are equal, for which a search gives its best score.
_SCORE: Final = 100


def answer_tracks(
    connection: Connection, entries: Sequence[Entry], *, genres: frozenset[str]
) -> dict[int, tuple[Recording, FoundBy]]:
    """entry_id -> the recording of a track and how it was found, for tracks with a reliable match."""
    wanted = [
        {
            "entry_id": each.entry_id,
            "isrc": each.isrc,
            "recording_mbid": str(each.recording_mbid) if each.recording_mbid else None,
            "title": fold_title(each.title) if each.title is not None else None,
            "artist": fold(each.artist) if each.artist is not None else None,
        }
        for each in entries
    ]
    values = {"wanted": Jsonb(wanted), "most": _MOST_CANDIDATES}
    found = connection.execute(load_sql("catalogue/musicbrainz_dump/candidates"), values).fetchall()
    described = _recordings(connection, {number for _, _, number in found}, genres=genres)
    candidates: dict[tuple[int, str], list[Recording]] = {}
    for entry_id, found_by, number in found:
        if number in described:
            candidates.setdefault((entry_id, found_by), []).append(described[number])
    chosen = {}
    for each in entries:
        if (best := _choose(each, candidates)) is not None:
            chosen[each.entry_id] = best
    return chosen


def answer_artists(
    connection: Connection, artists: Iterable[UUID], *, genres: frozenset[str]
) -> dict[UUID, tuple[Vote, ...]]:
    """Artist MBID -> genres and tags, for artists that are in the dump."""
    query = load_sql("catalogue/musicbrainz_dump/artist_votes")
    found = connection.execute(query, {"artists": list(set(artists))})
    return {mbid: _votes(votes, genres) for mbid, votes in found}


def _choose(entry: Entry, candidates: Mapping[tuple[int, str], list[Recording]]) -> tuple[Recording, FoundBy] | None:
    """Choose as from the web service's answers: by code, then by MBID, then by names."""
    wanted = Wanted(title=entry.title, artist=entry.artist, album=entry.album, length_ms=entry.length_ms)
    if (by_code := choose_by_code(wanted, candidates.get((entry.entry_id, "isrc"), ()))) is not None:
        return by_code, "isrc"
    if by_mbid := candidates.get((entry.entry_id, "mbid")):
        return by_mbid[0], "mbid"
    by_names = choose_by_names(wanted, candidates.get((entry.entry_id, "names"), ()))
    return (by_names, "names") if by_names is not None else None


def _recordings(connection: Connection, ids: set[int], *, genres: frozenset[str]) -> dict[int, Recording]:
    values = {"ids": sorted(ids), "most": _MOST_RELEASES}
    rows = connection.execute(load_sql("catalogue/musicbrainz_dump/recordings"), values).fetchall()
    artists = {UUID(each["artist_mbid"]) for row in rows for each in row[4] or ()}
    votes_of = answer_artists(connection, artists, genres=genres)
    described = {}
    for number, mbid, title, length_ms, credits, releases, votes in rows:
        listed = tuple(
            Release(UUID(each["mbid"]), each["name"], _date(each["year"], each["month"], each["day"]))
            for each in releases or ()
            if each["name"]
        )
        described[number] = Recording(
            recording_mbid=mbid,
            title=title,
            length_ms=length_ms,
            # The earliest comes first.
            first_release_date=next((each.date for each in listed if each.date is not None), None),
            credits=tuple(
                Credit(
                    artist_mbid=UUID(each["artist_mbid"]),
                    name=each["name"],
                    credited_as=each["credited_as"],
                    join_phrase=each["join_phrase"],
                    votes=votes_of.get(UUID(each["artist_mbid"])),
                )
                for each in credits or ()
            ),
            releases=listed,
            votes=_votes(votes, genres),
            score=_SCORE,
        )
    return described


def _votes(votes: Iterable[Mapping[str, Any]], genres: frozenset[str]) -> tuple[Vote, ...]:
    """Tags with more votes for them than against, most votes first."""
    found = (
        Vote(each["tag"], each["votes"], is_genre=each["tag"] in genres)
        for each in votes
        if each["votes"] > 0 and 0 < len(each["tag"]) <= _LONGEST_TAG
    )
    return tuple(sorted(found, key=lambda each: (-each.votes, each.tag)))


def _date(year: int | None, month: int | None, day: int | None) -> str | None:
    """The date as far as it is known, in the form of the web service: YYYY, YYYY-MM or YYYY-MM-DD."""
    if year is None or not 1 <= year <= 9999:
        return None
    if month is None or not 1 <= month <= 12:
        return f"{year:04}"
    return f"{year:04}-{month:02}-{day:02}" if day is not None and 1 <= day <= 31 else f"{year:04}-{month:02}"
