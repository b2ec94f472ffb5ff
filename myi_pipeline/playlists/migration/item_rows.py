"""The entries of migrations: as they are in the source, their matches, and people's decisions on their tracks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.matching.choices import Choice, Outcome
from myi_pipeline.catalogue.row_rules import storable_text
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.playlists import EntryKind, ListedTrack

_MOST_CANDIDATES = 10
# How many entries are in memory at once while a plan is made.
CHUNK = 500
_COLUMNS = (
    "position", "title", "artists", "content_id", "added_at", "outcome", "uri", "sent_uri", "score", "margin",
    "kinship", "reason", "is_decided", "is_refused", "candidates",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceEntry:
    """An entry of the source as stored in raw. `artist`: the catalogue's artist, on a compilation possibly the album's;
    `artists`: the track's own, None if unknown.
    """

    position: int
    kind: str
    content_id: int | None
    added_at: datetime | None
    title: str
    artist: str | None
    album: str | None
    isrc: str | None
    recording_mbid: str | None
    duration_ms: int | None
    artists: list[str] | None = None

    @property
    def track(self) -> ListedTrack:
        artists = tuple(self.artists or ()) or ((self.artist,) if self.artist else ())
        return ListedTrack(
            kind=EntryKind(self.kind), title=self.title, artists=artists,
            album=self.album, isrc=self.isrc, recording_mbid=self.recording_mbid, duration_ms=self.duration_ms,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Matched:
    """An entry with its match. `candidates`, best first, each have uri, title, artists, album, duration_ms, score,
    kinship and reason.
    """

    position: int
    title: str
    artists: tuple[str, ...]
    content_id: int | None
    added_at: datetime | None
    outcome: str
    uri: str | None
    score: float
    margin: float | None
    kinship: str
    reason: str
    is_decided: bool
    is_refused: bool
    candidates: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Tally:
    outcome: str
    is_decided: bool
    is_refused: bool
    entries: int


@dataclass(frozen=True, kw_only=True)
class EarlierMatch(Matched):
    """A track's match in an earlier run. `sent_uri`: the URI by which it was added, if that differs."""

    sent_uri: str | None


Match = tuple[SourceEntry, Choice, Sequence[ListedTrack], str | None]
"""An entry, the choice for it, the candidates, and the URI that a person chose, if any."""

Found = Match | tuple[SourceEntry, EarlierMatch]
"""A new match, or that of an earlier run."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    content_id: int
    kind: str
    uri: str | None


def source_names(connection: Connection, *, playlist_id: int) -> tuple[str, str]:
    """The provider of a playlist in raw, and the provider's own id for it."""
    row = connection.execute(
        "select provider, provider_playlist from raw.playlists where playlist_id = %s", (playlist_id,)
    ).fetchone()
    assert row is not None
    return str(row[0]), str(row[1])


def source_entries(
    connection: Connection, *, playlist_id: int, version_no: int, after: int = -1, limit: int | None = None
) -> tuple[SourceEntry, ...]:
    """Entries in order, starting after the position `after`."""
    values = {"playlist_id": playlist_id, "version_no": version_no, "after": after, "limit": limit}
    with connection.cursor(row_factory=class_row(SourceEntry)) as cursor:
        return tuple(cursor.execute(load_sql("playlists/migration_entries"), values).fetchall())


def source_chunks(connection: Connection, *, playlist_id: int, version_no: int) -> Iterator[tuple[SourceEntry, ...]]:
    """All entries in order, `CHUNK` at a time."""
    after = -1
    while chunk := source_entries(connection, playlist_id=playlist_id, version_no=version_no, after=after, limit=CHUNK):
        yield chunk
        after = chunk[-1].position


def count_source(connection: Connection, *, playlist_id: int, version_no: int) -> int:
    """How many entries a version has."""
    row = connection.execute(
        "select items from raw.playlist_versions where playlist_id = %s and version_no = %s", (playlist_id, version_no)
    ).fetchone()
    return int(row[0] or 0) if row is not None else 0


class FoundItems:
    """Entries with their matches while a plan is being made. They are in a temporary table, because a plan is stored as
    a whole or not at all, and may have ten thousand entries.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, found: Sequence[Found]) -> None:
        columns = ", ".join(_COLUMNS)
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"copy pg_temp.found_items ({columns}) from stdin".encode()) as copy,
        ):
            for each in found:
                row = _item(*each) if len(each) == 4 else _earlier_item(*each)
                copy.write_row([row[name] for name in _COLUMNS])

    def uris(self) -> Iterator[str]:
        """The URIs of matched entries."""
        rows = self._connection.execute("select uri from pg_temp.found_items where uri is not null")
        return (str(uri) for (uri,) in rows)

    def hand_over(self, *, migration_id: int) -> None:
        """Make these the entries of a migration."""
        self._connection.execute(load_sql("playlists/migration_take_found"), {"migration_id": migration_id})


@contextmanager
def found_items(connection: Connection) -> Iterator[FoundItems]:
    connection.execute("drop table if exists pg_temp.found_items")
    connection.execute("create temporary table found_items (like app.migration_items)")
    connection.execute("alter table pg_temp.found_items alter column migration_id drop not null")
    try:
        yield FoundItems(connection)
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("drop table if exists pg_temp.found_items")


def earlier_matches(
    connection: Connection, *, migration_id: int, entries: Sequence[SourceEntry]
) -> dict[object, EarlierMatch]:
    """The matches of these entries' tracks in another migration, by `key_of`."""
    values = {
        "migration_id": migration_id,
        "content_ids": [each.content_id for each in entries if each.content_id is not None],
        "titles": [each.title for each in entries if each.content_id is None and each.title],
    }
    found: dict[object, EarlierMatch] = {}
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(load_sql("playlists/migration_earlier_matches"), values):
            each = EarlierMatch(**{**row, "artists": tuple(row["artists"])})
            found.setdefault(key_of(each), each)
    return found


def key_of(entry: SourceEntry | Matched) -> object:
    """A key that is equal for entries with the same track."""
    if entry.content_id is not None:
        return entry.content_id
    return entry.title, entry.track.artists if isinstance(entry, SourceEntry) else entry.artists


def _item(entry: SourceEntry, choice: Choice, found: Sequence[ListedTrack], decided: str | None) -> dict[str, Any]:
    uri = decided or (choice.chosen.uri if choice.chosen is not None else None)
    uri = storable_text(uri) if uri else None
    candidates = [
        {
            "uri": storable_text(found[each.place].uri or ""), "title": storable_text(found[each.place].title),
            "artists": [storable_text(name) for name in found[each.place].artists],
            "album": storable_text(found[each.place].album or "") or None,
            "duration_ms": found[each.place].duration_ms,
            "score": round(each.score, 4), "kinship": each.kinship.value, "reason": str(each.reason),
        }
        for each in choice.candidates[:_MOST_CANDIDATES]
    ]  # fmt: skip
    return {
        "position": entry.position, "title": storable_text(entry.title),
        "artists": [storable_text(name) for name in entry.track.artists],
        "content_id": entry.content_id, "added_at": entry.added_at,
        "outcome": Outcome.MATCHED.value if uri else choice.outcome.value, "uri": uri, "score": choice.score,
        "margin": choice.margin, "kinship": choice.kinship.value,
        "reason": "decided" if decided else str(choice.reason), "is_decided": decided is not None,
        "is_refused": False, "sent_uri": None, "candidates": Jsonb(candidates),
    }  # fmt: skip


def _earlier_item(entry: SourceEntry, was: EarlierMatch) -> dict[str, Any]:
    kept = {name: getattr(was, name) for name in _COLUMNS}
    return kept | {
        "position": entry.position, "title": storable_text(entry.title),
        "artists": [storable_text(name) for name in entry.track.artists], "added_at": entry.added_at,
        "candidates": Jsonb(was.candidates),
    }  # fmt: skip


def list_matches(
    connection: Connection,
    *,
    migration_id: int,
    after: int = -1,
    limit: int | None = None,
    in_doubt: bool = False,
    with_candidates: bool = True,
) -> tuple[Matched, ...]:
    """Entries in order, starting after the position `after`. `in_doubt`: only those neither matched nor decided, and
    those that the target refused.
    """
    values = {
        "migration_id": migration_id, "after": after, "limit": limit, "in_doubt": in_doubt,
        "with_candidates": with_candidates,
    }  # fmt: skip
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(load_sql("playlists/migration_matches"), values).fetchall()
    return tuple(Matched(**{**row, "artists": tuple(row["artists"])}) for row in rows)


def wanted_of(connection: Connection, *, migration_id: int) -> tuple[tuple[int, str, datetime | None], ...]:
    """Position, URI and date added of each entry that the target is to hold, in order. Takes a tenth of the time of
    list_matches.
    """
    rows = connection.execute(
        "select position, uri, added_at from app.migration_items"
        " where migration_id = %s and uri is not null order by position",
        (migration_id,),
    ).fetchall()
    return tuple((int(position), str(uri), added_at) for position, uri, added_at in rows)


def uris_to_hold(connection: Connection, *, migration_id: int) -> tuple[str, ...]:
    """The URIs that the target is to hold, in order, without those that the service refused."""
    rows = connection.execute(
        "select uri from app.migration_items where migration_id = %s and uri is not null and not is_refused"
        " order by position",
        (migration_id,),
    ).fetchall()
    return tuple(str(uri) for (uri,) in rows)


def tally_of(connection: Connection, *, migration_id: int) -> tuple[Tally, ...]:
    """How many entries have each outcome, decided or not, refused or not."""
    query = (
        "select outcome, is_decided and uri is not null as is_decided, is_refused, count(*)::int as entries"
        " from app.migration_items where migration_id = %s group by 1, 2, 3"
    )
    with connection.cursor(row_factory=class_row(Tally)) as cursor:
        return tuple(cursor.execute(query, (migration_id,)).fetchall())


def decisions_of(
    connection: Connection, *, user_id: int, provider: str, content_ids: Collection[int]
) -> dict[int, list[Decision]]:
    """content_id -> its decisions, in the order in which they were made."""
    values = {"user_id": user_id, "provider": provider, "content_ids": list(content_ids)}
    found: dict[int, list[Decision]] = {}
    with connection.cursor(row_factory=class_row(Decision)) as cursor:
        for each in cursor.execute(load_sql("playlists/migration_decisions"), values):
            found.setdefault(each.content_id, []).append(each)
    return found
