"""What every test of the import needs: a setup to import into, small archives, and exact pictures of raw.

Invariant: a picture names nothing that depends on the order of imports (identity numbers, batches), so two pictures are
equal when two warehouses hold the same plays, in every kept column.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myi_pipeline.archives.accounting import ImportResult
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.postgres.connections import Role, Warehouse

AUDIO = "MyData/Streaming_History_Audio_2020_0.json"

# Every column of an event save its identity numbers, which are replaced by what they stand for.
EVENTS = """
select
    u.user_key, e.source_id, e.played_at::text, c.content_key::text, e.ms_played, e.occurrence,
    e.offline_timestamp::text, e.shuffle, e.skipped, e.offline, e.incognito, x.context_key::text,
    x.platform, x.conn_country, x.reason_start, x.reason_end
from raw.listening_events as e
inner join app.users as u on u.user_id = e.user_id
left join raw.contents as c on c.content_id = e.content_id
left join raw.contexts as x on x.context_id = e.context_id
order by 1, 2, 3, 4, 5, 6
"""
KEYS = """
select u.user_key, e.source_id, e.played_at::text, c.content_key::text, e.ms_played, e.occurrence
from raw.listening_events as e
inner join app.users as u on u.user_id = e.user_id
left join raw.contents as c on c.content_id = e.content_id
order by 1, 2, 3, 4, 5, 6
"""
CONTENTS = """
select
    c.content_key::text, c.kind_id, c.uri, c.title, c.creator, c.collection, c.match_title, c.match_key::text,
    a.name, a.artist_key::text, b.name, b.album_key::text, c.names_played_at::text, k.content_key::text, l.reason
from raw.contents as c
left join raw.artists as a on a.artist_id = c.artist_id
left join raw.albums as b on b.album_id = c.album_id
left join raw.content_aliases as l on l.content_id = c.content_id
left join raw.contents as k on k.content_id = l.canonical_id
order by 1
"""
SPANS = """
select u.user_key, s.source_id, s.covered_from::text, s.covered_to::text
from raw.covered_spans as s
inner join app.users as u on u.user_id = s.user_id
order by 1, 2, 3, 4
"""
# What a repeated import may not touch: each table whole, physical place included.
UNTOUCHED = """
select 'events' as what, count(*), sum(hashtextextended(e::text || e.ctid::text || e.tableoid::text, 0))
from raw.listening_events as e
union all
select 'contents', count(*), sum(hashtextextended(c::text || c.ctid::text, 0)) from raw.contents as c
union all
select 'aliases', count(*), sum(hashtextextended(c::text || c.ctid::text, 0)) from raw.content_aliases as c
union all
select 'artists', count(*), sum(hashtextextended(c::text || c.ctid::text, 0)) from raw.artists as c
union all
select 'albums', count(*), sum(hashtextextended(c::text || c.ctid::text, 0)) from raw.albums as c
union all
select 'contexts', count(*), sum(hashtextextended(c::text || c.ctid::text, 0)) from raw.contexts as c
union all
select 'spans', count(*), sum(hashtextextended(c::text || c.ctid::text, 0)) from raw.covered_spans as c
union all
select 'days', count(*), max(change_id) from ops.changed_days
union all
select 'changed contents', count(*), max(change_id) from ops.changed_contents
union all
select 'changed users', count(*), max(change_id) from ops.changed_users
order by 1
"""
STAGING = "select tablename from pg_tables where schemaname = 'load' and tablename like 'import%'"


def hash_account(name: str) -> bytes:
    """Not keyed, unlike the real one: tests want to know it beforehand."""
    return f"hash of {len(name)} {sum(name.encode())}".encode()[:16].ljust(16, b".")


@dataclass(frozen=True)
class Setup:
    warehouse: Warehouse

    def sql(self, query: str, *arguments: object, role: Role = Role.OWNER) -> list[tuple[Any, ...]]:
        with self.warehouse.connect(role) as connection:
            cursor = connection.execute(query.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, query: str, *arguments: object) -> Any:
        return self.sql(query, *arguments)[0][0]

    def add_user(self, key: str = "ana") -> int:
        return int(self.one("insert into app.users (user_key, time_zone) values (%s, 'UTC') returning user_id", key))

    def bring(self, path: Path | Sequence[Path], user: str = "ana", **options: Any) -> ImportResult:
        """Import, with everything that a test does not care about."""
        # Several users of these tests bring the same small archive.
        usual = {"limits": Limits(), "hash_account": hash_account, "is_confirmed": True}
        return import_history(self.warehouse, paths=path, user_key=user, **{**usual, **options})

    def picture(self) -> dict[str, list[tuple[Any, ...]]]:
        return {name: self.sql(query) for name, query in (("events", EVENTS), ("contents", CONTENTS), ("spans", SPANS))}

    def events(self) -> list[tuple[Any, ...]]:
        return self.sql(EVENTS)

    def keys(self) -> list[tuple[Any, ...]]:
        return self.sql(KEYS)

    def untouched(self) -> list[tuple[Any, ...]]:
        return self.sql(UNTOUCHED)

    def close_ledger(self) -> None:
        """As if a refresh had just run."""
        self.sql("delete from ops.changed_days")
        self.sql("delete from ops.changed_contents")
        self.sql("delete from ops.changed_users")

    def changed_titles(self) -> set[str | None]:
        rows = self.sql("select title from ops.changed_contents inner join raw.contents using (content_id)")
        return {row[0] for row in rows}

    def status(self, import_id: int | None) -> tuple[Any, ...]:
        return self.sql("select status, error from app.imports where import_id = %s", import_id)[0]

    def empty(self) -> None:
        """Everything out, partitions too: as on the first day."""
        for query in (
            "delete from app.users",
            "truncate ops.removals, ops.orphans restart identity",
            "truncate raw.content_aliases, raw.contents, raw.albums, raw.artists, raw.contexts,"
            " app.recording_decisions",
            "truncate ops.changed_days, ops.changed_contents, ops.changed_users",
            "select ops.drop_event_partition(to_date(right(relname, 7), 'YYYY\"m\"MM')) from pg_class"
            " where relnamespace = 'raw'::regnamespace and relkind = 'r' and relname ~ '^listening_events_'",
        ):
            self.sql(query)
        self.sql("truncate ops.changed_days")


def row(second: int = 0, **fields: object) -> dict[str, object]:
    """One row of an extended history: a play of one known track; `second` counts from 2020-02-01."""
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return {
        "ts": f"2020-02-{1 + days:02d}T{hours:02d}:{minutes:02d}:{seconds:02d}Z",
        "platform": "android",
        "ms_played": 180_000,
        "conn_country": "DE",
        "master_metadata_track_name": "Song",
        "master_metadata_album_artist_name": "Band",
        "master_metadata_album_album_name": "Album",
        "spotify_track_uri": "spotify:track:0000000000000000000001",
        "reason_start": "trackdone",
        "reason_end": "trackdone",
        "shuffle": False,
        "skipped": False,
        "offline": False,
        "offline_timestamp": None,
        "incognito_mode": False,
    } | fields


def nameless(second: int = 0, **fields: object) -> dict[str, object]:
    """A removed track: a time and no content."""
    none = dict.fromkeys(
        (
            "master_metadata_track_name",
            "master_metadata_album_artist_name",
            "master_metadata_album_album_name",
            "spotify_track_uri",
        )
    )
    return row(second, **none, **fields)


def write_files(path: Path, files: Mapping[str, Iterable[object]]) -> Path:
    """A ZIP of play files by name, in the given order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in files.items():
            archive.writestr(name, json.dumps(list(rows)))
    return path


def write_rows(path: Path, *rows: object) -> Path:
    """An archive of one audio file."""
    return write_files(path, {AUDIO: rows})


def account_row(minute: int = 0, **fields: object) -> dict[str, object]:
    return {
        "endTime": f"2020-02-01 {minute // 60:02d}:{minute % 60:02d}",
        "artistName": "Band",
        "trackName": "Song",
        "msPlayed": 180_000,
    } | fields


def write_account_rows(path: Path, *rows: object) -> Path:
    return write_files(path, {"MyData/StreamingHistory_music_0.json": rows})
