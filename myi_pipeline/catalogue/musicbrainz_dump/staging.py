"""The tables of a dump, copied into `load`: small tables as a whole, recordings and their tracks only if they may be
those of waiting tracks.

Each table is copied in one transaction together with the note that it is complete, so a load that was killed continues
with the next one. If any file in the folder changes, staging starts again from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

from psycopg import Cursor

from myi_pipeline.catalogue.musicbrainz_dump.tables import LONGEST_LINE, TABLES, DumpTable, Value, lines_of
from myi_pipeline.catalogue.recording_rules import fold, fold_title
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql, load_statements

# Enough to see what is wrong with a file.
_NAMED_LINES: Final = 5
# How many rows are read between two checks for disk space.
_ROWS_A_LOOK: Final = 1 << 18
# Tables that are copied into a staging table with another name.
_TARGETS: Final = {
    "artist_credit": "credited",
    "release_country": "release_date",
    "release_unknown_country": "release_date",
}

Row = tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The codes, MBIDs and folded names of waiting tracks."""

    isrcs: set[str] = field(default_factory=set)
    mbids: set[str] = field(default_factory=set)
    titles: set[str] = field(default_factory=set)
    artists: set[str] = field(default_factory=set)


class Numbers:
    """A set of MusicBrainz' row ids as a bitmap: for 50 million recordings it takes 6 MB, however many are in it."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        place = number >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        place = number >> 3
        return place < len(self._bits) and bool(self._bits[place] & (1 << (number & 7)))


@dataclass(frozen=True, kw_only=True)
class Staged:
    """How a table was read: the number of lines, of skipped lines, and the first skipped lines with the reason."""

    table: str
    rows: int
    bad_rows: int
    bad_lines: tuple[str, ...]


def read_wanted(connection: Connection) -> Wanted:
    """What waiting tracks are known by, read in batches."""
    wanted = Wanted()
    with connection.transaction(), connection.cursor(name="wanted_tracks") as cursor:
        cursor.execute(load_sql("catalogue/musicbrainz_dump/wanted"))
        for isrc, mbid, title, artist in cursor:
            if isrc is not None:
                wanted.isrcs.add(isrc)
            if mbid is not None:
                wanted.mbids.add(mbid)
            if title is not None and artist is not None:
                wanted.titles.add(fold_title(title))
                wanted.artists.add(fold(artist))
    return wanted


class Stage:
    """The staging tables of one dump, and the choice of rows for them. `look` is called now and then; it may raise."""

    def __init__(self, connection: Connection, *, digest: str, wanted: Wanted, look: Callable[[], None]) -> None:
        self._connection = connection
        self._digest = digest
        self._wanted = wanted
        self._look = look
        self._artists: dict[int, str] = {}
        self._credited: list[tuple[str, int]] = []
        self._credits = Numbers()
        self._codes = Numbers()
        self._recordings = Numbers()

    def begin(self) -> set[str]:
        """Create the staging tables if necessary; returns the names of tables that are already complete."""
        for statement in load_statements("catalogue/musicbrainz_dump/create_staging"):
            self._connection.execute(statement)
        notes = self._connection.execute("select table_name, digest from load.musicbrainz_notes").fetchall()
        if any(digest != self._digest for _, digest in notes):
            self.drop()
            return self.begin()
        done = {name for name, _ in notes}
        if "artist" in done:
            for number, name in self._connection.execute("select id, name from load.musicbrainz_artist"):
                self._know_artist(number, name)
        self._remember(self._credits, "select artist_credit from load.musicbrainz_credited")
        self._remember(self._codes, "select recording from load.musicbrainz_isrc")
        self._remember(self._codes, "select new_id from load.musicbrainz_recording_gid_redirect")
        self._remember(self._recordings, "select id from load.musicbrainz_recording")
        return done

    def _remember(self, numbers: Numbers, query: str) -> None:
        for (number,) in self._connection.execute(query.encode()):
            numbers.add(number)

    def read(self, name: str, stream: IO[bytes]) -> Staged:
        """Copy one table, as a whole or not at all. Unreadable lines are counted, and the first ones reported."""
        reading = _Reading(TABLES[name], stream, look=self._look)
        rows = self._wanted_rows(name, iter(reading))
        with self._connection.transaction(), self._connection.cursor() as cursor:
            # Several tables of the dump may go into the same staging table.
            with cursor.copy(f"copy load.musicbrainz_{_TARGETS.get(name, name)} from stdin".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
            if name == "artist_credit_name":
                self._copy_credited(cursor)
            staged = Staged(table=name, rows=reading.rows, bad_rows=reading.bad, bad_lines=tuple(reading.bad_lines))
            query = "insert into load.musicbrainz_notes values (%s, %s, %s, %s, %s)"
            cursor.execute(query, (name, self._digest, staged.rows, staged.bad_rows, list(staged.bad_lines)))
        return staged

    def staged(self) -> tuple[Staged, ...]:
        """Every table with how it was read."""
        query = "select table_name, rows_read, bad_rows, bad_lines from load.musicbrainz_notes order by table_name"
        return tuple(
            Staged(table=name, rows=rows, bad_rows=bad, bad_lines=tuple(lines))
            for name, rows, bad, lines in self._connection.execute(query)
        )

    def index(self) -> None:
        for statement in load_statements("catalogue/musicbrainz_dump/index_staging"):
            self._connection.execute(statement)

    def drop(self) -> None:
        self._connection.execute(load_sql("catalogue/musicbrainz_dump/drop_staging"))

    def _wanted_rows(self, name: str, rows: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
        match name:
            case "artist":
                for row in rows:
                    self._know_artist(row[0], row[2])
                    yield row
            case "artist_credit":
                for number, credit in rows:
                    if (folded := fold(credit)) in self._wanted.artists:
                        self._credits.add(number)
                        yield folded, number
            case "artist_credit_name":
                yield from map(self._credited_name, rows)
            case "isrc":
                for recording, code in rows:
                    if code in self._wanted.isrcs:
                        self._codes.add(recording)
                        yield recording, code
            case "recording_gid_redirect":
                for mbid, number in rows:
                    if mbid in self._wanted.mbids:
                        self._codes.add(number)
                        yield mbid, number
            case "recording":
                for number, mbid, title, credit, length in rows:
                    folded = fold_title(title) if number in self._codes or credit in self._credits else ""
                    is_named = credit in self._credits and folded in self._wanted.titles
                    if is_named or number in self._codes or mbid in self._wanted.mbids:
                        self._recordings.add(number)
                        yield number, mbid, title, credit, length, folded
            case "track" | "recording_tag":
                yield from (row for row in rows if row[0] in self._recordings)
            case "release_country" | "release_unknown_country":
                yield from (row for row in rows if row[1] is not None)
            case _:
                yield from rows

    def _know_artist(self, number: int, name: str) -> None:
        if (folded := fold(name)) in self._wanted.artists:
            self._artists[number] = folded

    def _credited_name(self, row: tuple[int, int, int, str, str]) -> tuple[int, int, int, str, str]:
        """A credit is also known by its first artist, by the name in the credit and by the artist's own."""
        credit, position, artist, name, _ = row
        if position == 0:
            for folded in {fold(name), self._artists.get(artist, "")} & self._wanted.artists:
                self._credits.add(credit)
                self._credited.append((folded, credit))
        return row

    def _copy_credited(self, cursor: Cursor[Any]) -> None:
        with cursor.copy(b"copy load.musicbrainz_credited from stdin") as copy:
            for row in self._credited:
                copy.write_row(row)
        self._credited.clear()


class _Reading:
    """The rows of one table as they are read."""

    def __init__(self, table: DumpTable, stream: IO[bytes], *, look: Callable[[], None]) -> None:
        self._table = table
        self._stream = stream
        self._look = look
        self.rows = self.bad = 0
        self.bad_lines: list[str] = []

    def __iter__(self) -> Iterator[Row]:
        read = self._table.read
        for line in lines_of(self._stream):
            self.rows += 1
            if not self.rows % _ROWS_A_LOOK:
                self._look()
            try:
                if line is None:
                    raise ValueError(f"it is longer than {LONGEST_LINE} bytes")
                row = read(line)
            except ValueError as error:
                self.bad += 1
                if len(self.bad_lines) < _NAMED_LINES:
                    why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
                    self.bad_lines.append(f"line {self.rows}: {why}")
                continue
            yield row
