"""Loading a dump: stage what is needed, match the waiting tracks, store what is found, drop the staging tables.

A load that was killed continues with the next table, or with the tracks that are still waiting. Tracks that are not in
the dump keep waiting, because the web service, if it may be asked, may know them. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, Final

import structlog

from myi_pipeline.catalogue import musicbrainz_queue as queue
from myi_pipeline.catalogue.most_played import completed_mart_run, newer_mart_run
from myi_pipeline.catalogue.musicbrainz_dump.answers import answer_artists, answer_tracks
from myi_pipeline.catalogue.musicbrainz_dump.files import find_dump, read_tables
from myi_pipeline.catalogue.musicbrainz_dump.staging import Stage, Staged, read_wanted
from myi_pipeline.catalogue.musicbrainz_queue import Entry, EntryState
from myi_pipeline.catalogue.musicbrainz_store import store_artist, store_recording
from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.postgres.disk_space import disk_guard
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# Far more tracks than could be looked up at the web service.
MOST_TRACKS: Final = 500_000
# An unchanged dump is read again for new tracks only after a week, because reading it takes minutes.
AGAIN_AFTER: Final = timedelta(days=7)
_AT_ONCE: Final = 200
# Any constant will do; it spells "mbdump".
_LOCK: Final = 0x6D6264756D70


@dataclass(frozen=True, kw_only=True)
class DumpResult:
    """How many tracks one load looked for, what it found, and how each table was read."""

    tracks: int
    found: int
    artists: int
    tables: tuple[Staged, ...]

    @property
    def bad_rows(self) -> int:
        return sum(each.bad_rows for each in self.tables)


def dump_is_due(settings: Settings, warehouse: Warehouse, *, now: datetime) -> bool:
    """Whether a scheduled run should load the configured dump: it differs from what was loaded last, or a week has
    passed and tracks are waiting. False without a dump, or if its folder holds none."""
    if settings.musicbrainz_dump is None:
        return False
    try:
        digest = find_dump(settings.musicbrainz_dump).digest
    except BadInput:
        return False
    query = (
        "select l.digest, l.finished_at, exists (select from ops.musicbrainz_queue where state = 'waiting')"
        " from ops.musicbrainz_loads as l order by l.load_id desc limit 1"
    )
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi genres")) as connection:
        last = connection.execute(query).fetchone()
        newer = newer_mart_run(connection, than="musicbrainz_state") is not None
    if last is None or last[0] != digest:
        return True
    return bool(now - last[1] >= AGAIN_AFTER and (last[2] or newer))


def load_dump(
    settings: Settings,
    warehouse: Warehouse,
    folder: Path,
    *,
    clock: Callable[[], datetime] = utc_now,
    on_table: Callable[[str], None] = lambda _: None,
) -> DumpResult:
    """Look for every waiting track in a folder's dump. `on_table` is called with each table's name before it is read.

    Raises BadInput if the folder holds no complete dump or another process is loading one, DiskFull if the disk gets
    too full.
    """
    files = find_dump(folder)
    guard = disk_guard(settings)
    opened = warehouse.connect(Role.INGEST, autocommit=True, application_name="myi genres")
    with closing(opened) as connection, _load_lock(connection):
        started_at = clock()
        _fill_queue(warehouse, connection, now=started_at)
        stage = Stage(connection, digest=files.digest, wanted=read_wanted(connection), look=guard.check)
        done = stage.begin()

        def read(name: str, stream: IO[bytes]) -> None:
            guard.check()
            on_table(name)
            staged = stage.read(name, stream)
            done.add(name)
            log.info("dump_table_read", table=name, rows=staged.rows, bad_rows=staged.bad_rows)

        read_tables(files, done=done, read=read)
        stage.index()
        found = _Matcher(connection, clock).run()
        result = DumpResult(tracks=found.tracks, found=found.found, artists=found.artists, tables=stage.staged())
        values = {
            "digest": files.digest,
            "started_at": started_at,
            "finished_at": clock(),
            "rows_read": sum(each.rows for each in result.tables),
            "bad_rows": result.bad_rows,
            "tracks": result.tracks,
            "found": result.found,
        }
        connection.execute(load_sql("catalogue/musicbrainz_dump/note_load"), values)
        stage.drop()
        return result


@contextmanager
def _load_lock(connection: Connection) -> Iterator[None]:
    row = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    if row is None or not row[0]:
        raise BadInput("another process is loading a MusicBrainz dump")
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))


def _fill_queue(warehouse: Warehouse, connection: Connection, *, now: datetime) -> None:
    with closing(warehouse.connect(Role.ANALYST, application_name="myi genres")) as reading:
        tracks = queue.most_played(reading, most=MOST_TRACKS)
    if tracks:
        queue.fill(connection, tracks, now=now, mart_run_id=completed_mart_run(connection))
    queue.revive(connection, now=now)


class _Matcher:
    """Leases waiting entries from the queue as the web service's workers do, so that both may run at once."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime]) -> None:
        self._connection = connection
        self._clock = clock
        self._genres = frozenset(name for (name,) in connection.execute("select name from load.musicbrainz_genre"))
        self.tracks = self.found = self.artists = 0

    def run(self) -> _Matcher:
        after = 0
        while entries := queue.lease_many(self._connection, after=after, most=_AT_ONCE, now=self._clock()):
            after = entries[-1].entry_id
            retry_conflicts(partial(self._answer, entries))
            self.tracks += sum(each.content_id is not None for each in entries)
        return self

    def _answer(self, entries: list[Entry]) -> None:
        """Store the answers to one batch and mark its entries as answered, in one transaction."""
        now, found, artists = self._clock(), 0, 0
        with self._connection.transaction():
            tracks = [each for each in entries if each.content_id is not None]
            chosen = answer_tracks(self._connection, tracks, genres=self._genres)
            mbids = [each.artist_mbid for each in entries if each.artist_mbid is not None]
            votes_of = answer_artists(self._connection, mbids, genres=self._genres)
            for entry in entries:
                is_known = entry.entry_id in chosen or entry.artist_mbid in votes_of
                state = EntryState.FOUND if is_known else EntryState.WAITING
                if not queue.finish(self._connection, entry, state, now=now) or not is_known:
                    continue
                if entry.artist_mbid is not None:
                    store_artist(self._connection, votes_of[entry.artist_mbid], artist_mbid=entry.artist_mbid)
                    artists += 1
                elif entry.content_id is not None:
                    recording, found_by = chosen[entry.entry_id]
                    store_recording(
                        self._connection, recording, content_id=entry.content_id, found_by=found_by, now=now
                    )
                    credited = ((each.artist_mbid, each.votes is not None) for each in recording.credits)
                    queue.queue_artists(self._connection, credited, plays=entry.plays, now=now)
                    found += 1
        self.found += found
        self.artists += artists
