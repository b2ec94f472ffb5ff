"""Writes an export: one ZIP with everything of one user, in constant memory and as of one moment.

Everything is read in one snapshot that two roles share: `ingest` reads what the capabilities offer, `api` the marts of
this user. The marts come first: a rebuild that wants to swap one waits for its readers. No part holds a secret, a hash
of one or an address; what is in no part is told in tables.py.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO, Final

from myi_pipeline import __version__
from myi_pipeline.archives.export_parts import event_years, read_events
from myi_pipeline.archives.files.export_package import (
    FORMAT_VERSION,
    MANIFEST,
    MARTS_FOLDER,
    ROWS,
    Manifest,
    PartFacts,
)
from myi_pipeline.catalogue.export_parts import fill_wanted_tables, make_wanted_tables
from myi_pipeline.operations.take_away import mart_rows
from myi_pipeline.operations.take_away.parts import PARTS
from myi_pipeline.people.manage_users import get_user
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.parts import read_part
from myi_pipeline.postgres.sql_files import load_sql

# Level 6 packs a tenth better and takes twice as long.
_PACKED: Final = 3
_BUFFER_BYTES: Final = 256 * 1024
_LICENCES: Final = {
    "catalogue/musicbrainz_recordings": "Core data of MusicBrainz, CC0.",
    "catalogue/musicbrainz_votes": "Genres and tags of MusicBrainz, CC BY-NC-SA 3.0.",
}
_README: Final = """\
Everything that MYI keeps of one listener.

marts/       Tables of plays, songs, artists, days and playlists (CSV, for spreadsheets and programs). Text that a
             spreadsheet would take for a formula begins with an apostrophe.
events/      Every play as it was reported, a file a year, one JSON object a line.
catalogue/   What the events name: songs, artists, albums.
archives/    The archives that were handed in: what was read of each, and the rows that could not be plays.
polling/     What was looked at and what was missed, and Spotify's top lists.
playlists/   Every playlist with all of its versions.
decisions/   Corrections, and the listener's own word on songs and matches.
sharing/     Reports that were shared, and agreements with other listeners.
settings/, accounts/, submissions/, onward/   The rest.

manifest.json names each file with its rows and its SHA-256. MYI takes this ZIP in as it takes in other archives.
There is no password, no token and no IP address in it.
"""

# Rows written so far, and about how many there will be.
OnRows = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ExportSummary:
    """`parts` by name; `marts_are_current`: None without marts."""

    user_key: str
    parts: dict[str, PartFacts]
    marts_are_current: bool | None

    @property
    def events(self) -> int:
        return sum(facts.rows for name, facts in self.parts.items() if name.startswith("events/"))

    @property
    def rows(self) -> int:
        return sum(facts.rows for facts in self.parts.values())


def write_export(
    warehouse: Warehouse,
    out: BinaryIO,
    *,
    user_key: str,
    with_marts: bool = True,
    with_parquet: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    on_rows: OnRows = lambda done, total: None,
) -> ExportSummary:
    """Write the export of one user to a file that can seek. Raises UnknownUser, Permanent without pyarrow."""
    with (
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi export")) as connection,
        closing(warehouse.connect(Role.API, autocommit=True, application_name="myi export")) as marts,
    ):
        user = get_user(connection, user_key=user_key)
        make_wanted_tables(connection)
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read read only")
            mart_rows.set_reader(connection, user_id=user.user_id)
            snapshot = connection.execute("select pg_export_snapshot()").fetchone()
            assert snapshot is not None
            fill_wanted_tables(connection, user_id=user.user_id)
            writer = _Writer(out, total=_count_rows(connection, user.user_id), on_rows=on_rows)
            until, is_current = _polled_until(connection, user.user_id), None
            with writer:
                writer.add_text("README.txt", _README)
                if with_marts and mart_rows.are_there(marts):
                    is_current = _marts_are_current(connection, user.user_id)
                    with marts.transaction():
                        mart_rows.begin_reading(marts, user_id=user.user_id, snapshot=snapshot[0])
                        _write_marts(writer, marts, polled_until=until, with_parquet=with_parquet)
                for part in PARTS:
                    writer.add_rows(part.name, read_part(connection, part, user_id=user.user_id))
                for year in event_years(connection, user_id=user.user_id):
                    writer.add_rows(year.name, read_events(connection, year, user_id=user.user_id))
                manifest = Manifest(
                    format_version=FORMAT_VERSION,
                    made_by=f"MYI {__version__}",
                    made_at=now(),
                    user_key=user.user_key,
                    parts=dict(writer.parts),
                    marts_are_current=is_current,
                    polled_until=until,
                )
                writer.add_text(MANIFEST, manifest.as_json({"licences": _LICENCES}).decode())
    return ExportSummary(user_key=user.user_key, parts=writer.parts, marts_are_current=is_current)


def _write_marts(writer: _Writer, connection: Connection, *, polled_until: datetime | None, with_parquet: bool) -> None:
    for mart in mart_rows.MARTS:
        query = mart_rows.mart_query(connection, mart, polled_until=polled_until, is_ordered=True)
        writer.add_csv(f"{MARTS_FOLDER}{mart.name}.csv", mart_rows.csv_pieces(connection, query))
        if with_parquet:
            from myi_pipeline.operations.take_away.parquet import write_parquet

            with writer.adding(f"{MARTS_FOLDER}{mart.name}.parquet") as member:
                member.rows = write_parquet(connection, query, member)


def _count_rows(connection: Connection, user_id: int) -> int:
    row = connection.execute("select count(*) from raw.listening_events where user_id = %s", (user_id,)).fetchone()
    return int(row[0]) if row else 0


def _polled_until(connection: Connection, user_id: int) -> datetime | None:
    row = connection.execute(load_sql("operations/take_away/polled_until"), {"user_id": user_id}).fetchone()
    return row[0] if row else None


def _marts_are_current(connection: Connection, user_id: int) -> bool:
    row = connection.execute(load_sql("operations/take_away/marts_are_current"), {"user_id": user_id}).fetchone()
    return bool(row and row[0])


class _Member:
    """One part while it is written: a file to write to, which counts."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.digest = hashlib.sha256()
        self.rows = self.bytes = 0

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.bytes += len(data)
        self._handle.write(data)
        return len(data)


class _Writer:
    """The ZIP, part after part."""

    def __init__(self, out: BinaryIO, *, total: int, on_rows: OnRows) -> None:
        self._zip = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=_PACKED)
        self._total, self._on_rows, self._done = total, on_rows, 0
        self.parts: dict[str, PartFacts] = {}

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self._zip.close()
        else:
            # Whoever called throws the file away; with a directory half an export would look like a whole one.
            self._zip.fp = None

    @contextmanager
    def adding(self, name: str) -> Iterator[_Member]:
        with self._zip.open(name, "w", force_zip64=True) as handle:
            member = _Member(handle)  # type: ignore[arg-type]
            yield member
        self.parts[name] = PartFacts(rows=member.rows, bytes=member.bytes, sha256=member.digest.hexdigest())

    def add_text(self, name: str, text: str) -> None:
        self._zip.writestr(name, text)

    def add_rows(self, name: str, lines: Iterable[bytes]) -> None:
        is_event = name.startswith("events/")
        with self.adding(name + ROWS) as member:
            buffer = bytearray()
            for line in lines:
                buffer += line
                buffer += b"\n"
                member.rows += 1
                if len(buffer) > _BUFFER_BYTES:
                    member.write(bytes(buffer))
                    buffer.clear()
                    if is_event:
                        self._on_rows(self._done + member.rows, self._total)
            member.write(bytes(buffer))
        if is_event:
            self._done += member.rows
            self._on_rows(self._done, self._total)

    def add_csv(self, name: str, pieces: Iterable[bytes]) -> None:
        """Postgres gives a row a piece, the header first."""
        with self.adding(name) as member:
            buffer = bytearray()
            for piece in pieces:
                buffer += piece
                member.rows += 1
                if len(buffer) > _BUFFER_BYTES:
                    member.write(bytes(buffer))
                    buffer.clear()
            member.write(bytes(buffer))
            member.rows = max(0, member.rows - 1)
