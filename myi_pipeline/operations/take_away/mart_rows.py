"""The tables of marts in an export: for spreadsheets and programs, and what `myi verify --against` compares.

Numbers that only one installation has (of contents, artists, playlists, plays) are replaced by names and URIs, so that
the same listening gives the same rows anywhere. They are read as the role `api`, which sees one user's rows whatever a
query forgets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import sql

from myi_pipeline.postgres.connections import Connection


@dataclass(frozen=True, kw_only=True)
class Mart:
    """One table: its name in an export, the mart, columns that are left out, what narrows it to the user's rows where
    it is of everybody, and the order for people. Columns whose names begin with one of `tied` are not compared: among
    equals they name the one with the highest id, and ids differ between installations."""

    name: str
    mart: str
    order: str
    without: frozenset[str] = frozenset()
    where: str = ""
    tied: tuple[str, ...] = ()


_HEARD: Final = "m.track_id in (select heard.track_id from marts.agg_period_tracks_stored as heard)"

MARTS: Final = (
    Mart(name="plays", mart="fct_plays", order="m.played_at"),
    Mart(name="hidden_plays", mart="fct_hidden_plays", order="m.played_at"),
    Mart(name="sessions", mart="fct_sessions", order="m.ended_at", tied=("repeated_",)),
    Mart(name="streaks", mart="agg_streaks", order="m.streak_start"),
    Mart(name="first_plays", mart="fct_first_plays", order="m.first_played_at"),
    Mart(name="periods", mart="agg_period_user", order="m.period, m.period_start"),
    Mart(name="days", mart="agg_day_user", order="m.local_date"),
    Mart(name="hours", mart="agg_hour_user", order="m.local_date, m.local_hour"),
    Mart(name="clock", mart="agg_clock_user", order="m.year_start, m.weekday, m.local_hour"),
    Mart(
        name="tracks_by_year",
        mart="agg_period_tracks_stored",
        order="m.period_start, m.counted_plays desc",
        without=frozenset({"part_of_recording"}),
    ),
    Mart(name="songs_by_year", mart="agg_period_recordings_stored", order="m.period_start, m.counted_plays desc"),
    Mart(name="artists_by_year", mart="agg_period_artists_stored", order="m.period_start, m.counted_plays desc"),
    Mart(name="albums_by_year", mart="agg_period_albums_stored", order="m.period_start, m.counted_plays desc"),
    Mart(name="genres_by_year", mart="agg_period_genres_stored", order="m.period_start, m.counted_plays desc"),
    Mart(name="shows", mart="agg_period_shows", order="m.period, m.period_start, m.counted_plays desc"),
    Mart(name="top_ranks", mart="fct_top_ranks", order="m.snapshot_date, m.entity_kind, m.term, m.rank"),
    Mart(name="covered_spans", mart="fct_covered_spans", order="m.kind, m.covered_from"),
    Mart(name="coverage_gaps", mart="fct_coverage_gaps", order="m.gap_start"),
    Mart(name="playlists", mart="dim_playlists", order="m.first_seen_at", without=frozenset({"playlist_id"})),
    Mart(name="playlist_items", mart="fct_playlist_items", order="m.playlist_id, m.position"),
    Mart(name="playlist_changes", mart="fct_playlist_changes", order="m.playlist_id, m.version_no, m.place"),
    Mart(name="playlist_plays", mart="agg_playlist_plays", order="m.playlist_id, m.month_start"),
    Mart(name="own_recordings", mart="bridge_user_recordings", order="1"),
    Mart(
        name="tracks",
        mart="dim_tracks",
        order="m.artist_name, m.album_name, m.name",
        without=frozenset({"track_id", "artist_id", "album_id"}),
        where=_HEARD,
    ),
    Mart(name="track_genres", mart="bridge_track_genres", order="1", where=_HEARD),
)
NOT_EXPORTED: Final = {
    "agg_period_albums": "weeks, months and years are sums of plays; the years are in albums_by_year",
    "agg_period_artists": "as agg_period_albums: artists_by_year",
    "agg_period_genres": "as agg_period_albums: genres_by_year",
    "agg_period_recordings": "as agg_period_albums: songs_by_year",
    "agg_period_recordings_merged": "a part of songs_by_year",
    "agg_period_tracks": "as agg_period_albums: tracks_by_year",
    "bridge_artist_genres": "of everybody's artists; the genres of the user's tracks are in track_genres",
    "dim_album_tracks": "of the shared catalogue",
    "dim_albums": "of the shared catalogue; named in every table",
    "dim_artists": "of the shared catalogue; named in every table",
    "dim_contents": "of the shared catalogue; named in every table",
    "dim_contexts": "named in plays",
    "dim_date": "a calendar",
    "dim_genres": "named in track_genres",
    "dim_recordings": "of the shared catalogue; named in tracks",
    "dim_shows": "named in shows",
    "dim_users": "settings, which settings/user has",
    "fct_first_plays_stored": "beneath first_plays",
    "fct_plays_stored": "beneath plays and hidden_plays",
    "search_names": "the names once more, as the search compares them",
    "user_versions": "counts refreshes",
}

# Numbers of one installation, for which nothing is put.
_DROPPED: Final = frozenset({"user_id", "play_id", "session_id", "account_id", "show_id"})
# From a key column's end to the table that has its names, its key there, and the names.
_NAMED_BY: Final = {
    "content_id": ("dim_contents", "content_id", ("uri", "title", "creator", "collection")),
    "track_id": ("dim_contents", "content_id", ("uri", "title", "creator", "collection")),
    "artist_id": ("dim_artists", "artist_id", ("name", "uri")),
    "album_id": ("dim_albums", "album_id", ("name",)),
    "recording_id": ("dim_recordings", "recording_id", ("uri", "name", "artist_name")),
    "context_id": ("dim_contexts", "context_id", ("platform", "country", "reason_start", "reason_end")),
    "genre_id": ("dim_genres", "genre_id", ("name",)),
    "playlist_id": ("dim_playlists", "playlist_id", ("provider", "provider_playlist", "name")),
}
_ENTITIES: Final = (
    ("track", "dim_contents", "content_id", "title", "creator"),
    ("recording", "dim_recordings", "recording_id", "name", "artist_name"),
    ("artist", "dim_artists", "artist_id", "name", None),
    ("album", "dim_albums", "album_id", "name", None),
)
_TEXT_OID: Final = 25
# What a spreadsheet takes for a formula; a name that begins so gets an apostrophe before it.
_FORMULA: Final = "^[=+@\\t\\r-]"


def are_there(connection: Connection) -> bool:
    """Whether the marts have ever been built."""
    row = connection.execute("select to_regclass('marts.fct_plays') is not null").fetchone()
    return bool(row and row[0])


def mart_query(connection: Connection, mart: Mart, *, polled_until: datetime | None, is_ordered: bool) -> sql.Composed:
    """The table of one user, the one of this transaction's `app.user_id`. Gaps end at `polled_until`: what is open
    goes on where the user is polled, and nowhere else."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select * from {} limit 0").format(sql.Identifier("marts", mart.mart)))
        described = [(column.name, column.type_code) for column in cursor.description or ()]
    columns: list[sql.Composable] = []
    joins: list[sql.Composable] = []
    if any(name == "show_id" for name, _ in described):
        joins.append(sql.SQL("left join marts.dim_shows as shows on shows.show_id = m.show_id"))
        columns += [_text(sql.SQL("shows.name"), "show_name"), sql.SQL("shows.kind as show_kind")]
    for name, type_code in described:
        if name in _DROPPED or name in mart.without:
            continue
        if name == "entity_id":
            columns += _entity_columns(joins)
            continue
        found = next((each for each in _NAMED_BY if name == each or name.endswith("_" + each)), None)
        if found is not None:
            columns += _named_columns(name, found, joins)
        elif name == "gap_end" and polled_until is not None:
            columns.append(
                sql.SQL("case when m.gap_end < {} then m.gap_end end as gap_end").format(sql.Literal(polled_until))
            )
        elif type_code == _TEXT_OID:
            columns.append(_text(sql.Identifier("m", name), name))
        else:
            columns.append(sql.Identifier("m", name))
    where = [mart.where] if mart.where else []
    parts: list[sql.Composable] = [
        sql.SQL("select "), sql.SQL(", ").join(columns),
        sql.SQL(" from {} as m ").format(sql.Identifier("marts", mart.mart)), sql.SQL(" ").join(joins),
        sql.SQL(" where true"), *(sql.SQL(" and " + each) for each in where),
    ]  # fmt: skip
    if mart.mart == "fct_coverage_gaps" and polled_until is not None:
        parts.append(sql.SQL(" and m.gap_start < {}").format(sql.Literal(polled_until)))
    if is_ordered:
        parts.append(sql.SQL(" order by " + mart.order))
    return sql.Composed(parts)


def _text(value: sql.Composable, name: str) -> sql.Composable:
    guarded = sql.SQL("case when {0} ~ {1} then '''' || {0} else {0} end as {2}")
    return guarded.format(value, sql.Literal(_FORMULA), sql.Identifier(name))


def _named_columns(column: str, key: str, joins: list[sql.Composable]) -> Iterator[sql.Composable]:
    table, its_key, names = _NAMED_BY[key]
    alias = column.removesuffix("_id")
    joins.append(
        sql.SQL("left join {} as {} on {} = {}").format(
            sql.Identifier("marts", table), sql.Identifier(alias), sql.Identifier(alias, its_key),
            sql.Identifier("m", column),
        )
    )  # fmt: skip
    for name in names:
        yield _text(sql.Identifier(alias, name), f"{alias}_{name}")


def _entity_columns(joins: list[sql.Composable]) -> list[sql.Composable]:
    titles, creators, uris = [], [], []
    for kind, table, key, title, creator in _ENTITIES:
        alias = sql.Identifier(f"entity_{kind}")
        joins.append(
            sql.SQL("left join {} as {} on {}.{} = m.entity_id and m.entity_kind = {}").format(
                sql.Identifier("marts", table), alias, alias, sql.Identifier(key), sql.Literal(kind)
            )
        )
        titles.append(sql.SQL("{}.{}").format(alias, sql.Identifier(title)))
        uris.append(sql.SQL("{}.uri").format(alias))
        if creator:
            creators.append(sql.SQL("{}.{}").format(alias, sql.Identifier(creator)))
    return [
        _text(sql.SQL("coalesce({})").format(sql.SQL(", ").join(values)), name)
        for values, name in ((titles, "entity_name"), (creators, "entity_creator"), (uris, "entity_uri"))
    ]


def columns_of(connection: Connection, query: sql.Composed) -> tuple[str, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("select * from ({}) as told limit 0").format(query))
        return tuple(column.name for column in cursor.description or ())


def csv_pieces(connection: Connection, query: sql.Composed) -> Iterator[bytes]:
    """The table as CSV with a header, in UTF-8."""
    copied = sql.SQL("copy ({}) to stdout with (format csv, header)").format(query)
    with connection.cursor() as cursor, cursor.copy(copied) as copy:
        for piece in copy:
            yield bytes(piece)


def begin_reading(connection: Connection, *, user_id: int, snapshot: str | None = None) -> None:
    """In a new transaction: read-only, of one user, in UTC, as of a snapshot that another connection exported."""
    connection.execute("set transaction isolation level repeatable read read only")
    if snapshot is not None:
        connection.execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(snapshot)))
    set_reader(connection, user_id=user_id)


def set_reader(connection: Connection, *, user_id: int) -> None:
    """Tables of a whole history take longer than an answer of the API may, and one connection waits for the other."""
    connection.execute(
        "select set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true),"
        " set_config('app.user_id', %s, true), set_config('statement_timeout', '1h', true),"
        " set_config('idle_in_transaction_session_timeout', '1h', true)",
        (str(user_id),),
    )
