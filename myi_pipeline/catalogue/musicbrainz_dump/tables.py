"""The tables that are read from MusicBrainz' dump, and how to parse their lines.

A file is named after its table and is in Postgres' COPY text format: one line per row, tabs between columns, `\\N` for
NULL. Column positions are those of admin/sql/CreateTables.sql in metabrainz/musicbrainz-server at schema 31; earlier
schemas have the same columns at these positions and differ only in later ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final, Literal

# Names are short: a longer line is damaged, and is never held in memory as a whole.
LONGEST_LINE: Final = 65_536
_LARGEST: Final = 2**31 - 1
_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ESCAPES: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}
_ESCAPED: Final = re.compile(r"\\(.?)", re.DOTALL)

Kind = Literal["number", "number or null", "signed", "mbid", "text"]
Value = int | str | None


@dataclass(frozen=True, kw_only=True)
class DumpTable:
    """`columns`: position and kind of each column that is read. `after`: tables that decide which rows are wanted."""

    name: str
    columns: tuple[tuple[int, Kind], ...]
    after: frozenset[str] = frozenset()

    def read(self, line: bytes) -> tuple[Value, ...]:
        """The values in one line, given without its line end. Raises ValueError, which says what is wrong."""
        fields = line.split(b"\t")
        if len(fields) <= self.columns[-1][0]:
            raise ValueError(f"it has {len(fields)} columns, not {self.columns[-1][0] + 1} or more")
        return tuple(_READERS[kind](fields[place]) for place, kind in self.columns)


def _number(field: bytes) -> int:
    if field.isdigit() and len(field) <= 10 and (value := int(field)) <= _LARGEST:
        return value
    raise ValueError("a number was expected")


def _number_or_null(field: bytes) -> int | None:
    return None if field == b"\\N" else _number(field)


def _signed(field: bytes) -> int:
    return -_number(field[1:]) if field.startswith(b"-") else _number(field)


def _mbid(field: bytes) -> str:
    if _UUID.fullmatch(field):
        return field.decode("ascii")
    raise ValueError("an MBID was expected")


def _text(field: bytes) -> str:
    if field == b"\\N" or b"\0" in field:
        raise ValueError("a text was expected")
    text = field.decode("utf-8")
    return _ESCAPED.sub(_unescape, text) if "\\" in text else text


def _unescape(found: re.Match[str]) -> str:
    if found[1] not in _ESCAPES:
        raise ValueError("it has an escape that COPY does not write")
    return _ESCAPES[found[1]]


_READERS: Final[dict[Kind, Callable[[bytes], Value]]] = {
    "number": _number,
    "number or null": _number_or_null,
    "signed": _signed,
    "mbid": _mbid,
    "text": _text,
}


def lines_of(stream: IO[bytes]) -> Iterator[bytes | None]:
    """The lines of a file without their line ends; None for one that is too long."""
    while line := stream.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield None
        elif line != b"\\.\n":
            yield line.rstrip(b"\r\n")


def _table(name: str, *columns: tuple[int, Kind], after: tuple[str, ...] = ()) -> DumpTable:
    return DumpTable(name=name, columns=columns, after=frozenset(after))


_DATE: Final[tuple[Kind, Kind, Kind]] = ("number or null", "number or null", "number or null")
TABLES: Final[dict[str, DumpTable]] = {
    each.name: each
    for each in (
        _table("artist", (0, "number"), (1, "mbid"), (2, "text")),
        _table("artist_credit", (0, "number"), (1, "text")),
        _table(
            "artist_credit_name",
            (0, "number"), (1, "number"), (2, "number"), (3, "text"), (4, "text"),
            after=("artist",),
        ),
        _table("genre", (2, "text")),
        _table("isrc", (1, "number"), (2, "text")),
        _table("medium", (0, "number"), (1, "number")),
        _table("recording_gid_redirect", (0, "mbid"), (1, "number")),
        _table(
            "recording",
            (0, "number"), (1, "mbid"), (2, "text"), (3, "number"), (4, "number or null"),
            after=("artist_credit", "artist_credit_name", "isrc", "recording_gid_redirect"),
        ),
        _table("release", (0, "number"), (1, "mbid"), (2, "text")),
        _table("release_country", (0, "number"), *zip((2, 3, 4), _DATE, strict=True)),
        _table("release_unknown_country", (0, "number"), *zip((1, 2, 3), _DATE, strict=True)),
        _table("track", (2, "number"), (3, "number"), after=("recording",)),
        _table("tag", (0, "number"), (1, "text")),
        _table("artist_tag", (0, "number"), (1, "number"), (2, "signed")),
        _table("recording_tag", (0, "number"), (1, "number"), (2, "signed"), after=("recording",)),
    )
}  # fmt: skip
# These tables are in mbdump-derived, which error messages tell people to look for.
DERIVED: Final = frozenset(("tag", "artist_tag", "recording_tag"))
