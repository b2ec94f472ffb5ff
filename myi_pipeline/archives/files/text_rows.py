"""The rows of text files, line by line as their bytes arrive: tables (CSV), JSON lines and scrobbler logs.

Text is UTF-8, with or without a byte order mark, or UTF-16 with one; line ends may be mixed. A line that cannot be read
is one NoRow, and the lines around it are still rows. Memory holds one buffer and one row.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from json import JSONDecodeError
from typing import Final

from myi_pipeline.archives.files.fields import NoRow
from myi_pipeline.archives.files.json_rows import DECODER, TooDeep, with_whole_head
from myi_pipeline.errors import BrokenFile

RULE: Final = "lines of text in UTF-8"
_ROWS_A_BATCH: Final = 1_000
_HEAD_BYTES: Final = 4
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Bytes that are not UTF-8 are kept as lone surrogates until it is known which line they are in.
_UNREADABLE: Final = re.compile("[\x00\udc80-\udcff]")
# No name has so many line ends; a record that does begins with an unclosed quotation mark.
_MOST_LINES_A_RECORD: Final = 10
_BAD_TEXT: Final = NoRow(
    "bad_text", "The line contains bytes that are not UTF-8 text; save the file as UTF-8 and import it again.", None
)


class Lines:
    """The lines of a file, each ending with a line feed if it had a line end. `bytes_read` counts what was taken so
    far.

    Raises BrokenFile after all lines before the break have been yielded.
    """

    def __init__(self, chunks: Iterable[bytes], *, place: str, max_row_bytes: int) -> None:
        self.bytes_read = 0
        # Whether a line of the current buffer is not text: this way, most buffers are searched once.
        self.is_unreadable = False
        self._chunks = chunks
        self._place = place
        self._max_line = max_row_bytes

    def __iter__(self) -> Iterator[str]:
        rest = ""
        decoder: codecs.IncrementalDecoder | None = None
        for chunk in with_whole_head(self._chunks):
            if decoder is None:
                decoder = self._decoder(chunk)
            self.bytes_read += len(chunk)
            try:
                text = rest + decoder.decode(chunk)
            except UnicodeDecodeError:
                raise self.broken("is not UTF-16, although its first bytes say so") from None
            # A carriage return at the end may be the first half of a line end.
            end = max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1)) + 1
            lines, rest = text[:end], text[end:]
            yield from self._split(lines)
            if len(rest) > self._max_line:
                raise self.broken(f"contains a line longer than {self._max_line:,} bytes")
        if decoder is not None:
            try:
                rest += decoder.decode(b"", True)
            except UnicodeDecodeError:
                raise self.broken("ends in the middle of a character") from None
        yield from self._split(rest)

    def broken(self, what: str) -> BrokenFile:
        """The error for a file that cannot be read any further."""
        return BrokenFile(
            f"{self._place}, byte {self.bytes_read:,}: the file {what}",
            place=self._place,
            rule=RULE,
            offset=self.bytes_read,
        )

    def _split(self, text: str) -> Iterator[str]:
        self.is_unreadable = _UNREADABLE.search(text) is not None
        # Not str.splitlines, which treats characters of names as line ends.
        return iter(io.StringIO(text, newline=None))

    def _decoder(self, head: bytes) -> codecs.IncrementalDecoder:
        if head.startswith(_UTF_16):
            return codecs.getincrementaldecoder("utf-16")()
        if 0 in head[:_HEAD_BYTES]:
            raise self.broken("is written in UTF-16 or UTF-32 without a byte order mark; save it as UTF-8")
        return codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")


class TextRows:
    """Yields lists of rows: what `_rows` makes of the lines, in batches."""

    def __init__(self, chunks: Iterable[bytes], *, place: str, max_row_bytes: int) -> None:
        self._lines = Lines(chunks, place=place, max_row_bytes=max_row_bytes)

    @property
    def bytes_read(self) -> int:
        """Unpacked bytes taken from the file."""
        return self._lines.bytes_read

    def __iter__(self) -> Iterator[list[object]]:
        batch: list[object] = []
        try:
            for row in self._rows():
                batch.append(row)
                if len(batch) == _ROWS_A_BATCH:
                    yield batch
                    batch = []
        except BrokenFile:
            if batch:
                yield batch
            raise
        if batch:
            yield batch

    def _rows(self) -> Iterator[object]:
        raise NotImplementedError


class JsonLines(TextRows):
    """One JSON value per line."""

    def _rows(self) -> Iterator[object]:
        decode = DECODER.decode
        for line in self._lines:
            if line.isspace():
                continue
            if self._lines.is_unreadable and _UNREADABLE.search(line):
                yield _BAD_TEXT
                continue
            try:
                yield decode(line)
            except RecursionError:
                yield TooDeep()
            except JSONDecodeError as error:
                if not line.endswith("\n"):
                    raise self._lines.broken("ends in the middle of a line") from None
                yield NoRow("not_json", f"The line is not valid JSON: {error.msg}.", {"line": line[:1000]})


class TableRows(TextRows):
    """A table in CSV (RFC 4180), as dictionaries by the names of its columns: `columns`, or those in its first line,
    compared without case and with `_` for spaces. The separator is the comma, or whichever is most frequent in the
    first line."""

    def __init__(
        self, chunks: Iterable[bytes], *, place: str, max_row_bytes: int, columns: Sequence[str] | None = None
    ) -> None:
        super().__init__(chunks, place=place, max_row_bytes=max_row_bytes)
        self._columns = tuple(columns) if columns is not None else None
        self._taken: list[str] = []
        self._again: deque[str] = deque()
        self._source = iter(self._lines)

    def _rows(self) -> Iterator[object]:
        columns = self._columns
        first = next(self._feed(), None)
        if first is None:
            return
        self._taken.clear()
        self._again.append(first)
        delimiter = "," if columns is not None else max(",;\t", key=first.count)
        taken, lines = self._taken, self._lines
        while True:
            reader = csv.reader(self._feed(), delimiter=delimiter)
            try:
                for fields in reader:
                    if columns is None:
                        columns = tuple(column_name(field) for field in fields)
                    elif len(fields) == len(columns) and len(taken) == 1:
                        # Nearly all rows.
                        if lines.is_unreadable and _UNREADABLE.search(taken[0]):
                            yield _BAD_TEXT
                        else:
                            yield dict(zip(columns, fields, strict=True))
                    elif fields:
                        yield self._odd(fields, columns)
                    taken.clear()
                return
            except csv.Error:
                # A field that does not end: continue after the line in which it begins.
                yield self._odd([], columns or ())
                taken.clear()

    def _feed(self) -> Iterator[str]:
        while True:
            line = self._again.popleft() if self._again else next(self._source, None)
            if line is None:
                return
            self._taken.append(line)
            yield line

    def _odd(self, fields: list[str], columns: tuple[str, ...]) -> object:
        taken = self._taken
        if len(taken) > 1 and (len(fields) != len(columns) or len(taken) > _MOST_LINES_A_RECORD):
            self._again.extendleft(reversed(taken[1:]))
            return NoRow("bad_columns", "A quotation mark in the line is not closed.", {"line": taken[0][:1000]})
        if any(_UNREADABLE.search(line) for line in taken):
            return _BAD_TEXT
        if len(fields) != len(columns):
            what = f"The line has {len(fields)} columns, not {len(columns)}."
            return NoRow("bad_columns", what, {"line": taken[0][:1000] if taken else ""})
        return dict(zip(columns, fields, strict=True))


def column_name(text: str) -> str:
    """A column's name as used in rows. lastfmstats.com adds the user's name to one: Date#name."""
    return re.sub(r"[^a-z0-9]+", "_", text.partition("#")[0].strip().casefold()).strip("_")


# Rockbox 3.x has no header except `#`, and writes at least the columns up to the time.
_LOG_COLUMNS: Final = ("artist", "album", "title", "tracknum", "length", "rating", "timestamp", "mbid")
_FEWEST_LOG_COLUMNS: Final = 7
LOG_MARK: Final = "#AUDIOSCROBBLER/"
ZONE_MARK: Final = "#TZ/"
_CLIENT_MARK: Final = "#CLIENT/"


class LogRows(TextRows):
    """A scrobbler log, one play per line, with the zone and the client named in the lines before it.

    `time_zone` is the zone if the log states none (#TZ/UNKNOWN).
    """

    def __init__(self, chunks: Iterable[bytes], *, place: str, max_row_bytes: int, time_zone: str) -> None:
        super().__init__(chunks, place=place, max_row_bytes=max_row_bytes)
        self._time_zone = time_zone

    def _rows(self) -> Iterator[object]:
        zone, client = self._time_zone, ""
        for line in self._lines:
            text = line.rstrip("\n")
            if text.startswith("#"):
                if text.startswith(ZONE_MARK):
                    zone = "UTC" if text.removeprefix(ZONE_MARK).strip().upper() == "UTC" else self._time_zone
                elif text.startswith(_CLIENT_MARK):
                    client = text.removeprefix(_CLIENT_MARK).strip()
                continue
            if not text.strip():
                continue
            if self._lines.is_unreadable and _UNREADABLE.search(text):
                yield _BAD_TEXT
                continue
            fields = text.split("\t")
            if not _FEWEST_LOG_COLUMNS <= len(fields) <= len(_LOG_COLUMNS):
                what = f"The line has {len(fields)} columns, not {len(_LOG_COLUMNS)}."
                yield NoRow("bad_columns", what, {"line": text[:1000]})
                continue
            yield {**dict(zip(_LOG_COLUMNS, fields, strict=False)), "zone": zone, "client": client}
