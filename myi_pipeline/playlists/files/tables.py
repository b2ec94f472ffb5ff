"""CSV: delimiters, quotes, headers, and cells that a spreadsheet would run as formulas.

A cell that begins with = + - @, a tab or a carriage return gets an apostrophe in front (OWASP, "CSV injection"), which
is removed on reading. A name that itself begins like that, such as `'=1`, gets another apostrophe, with or without the
guard, so no name is changed by being written and read.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from myi_pipeline.playlists.files.records import Source
from myi_pipeline.playlists.files.texts import decode, encodable

_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
_GUARDED: Final = re.compile(r"'+[=+\-@\t\r]")
_DELIMITERS: Final = (",", ";", "\t", "|")
_MAX_COLUMNS: Final = 500
_MAX_LINE_CHARS: Final = 1_000_000
_HEADER_CHARS: Final = 20_000


def guarded(text: str, *, formula_guard: bool) -> str:
    """The cell as written."""
    return f"'{text}" if (_FORMULA if formula_guard else _GUARDED).match(text) else text


def unguarded(cell: str) -> str:
    """The text of a cell that was written by `guarded`, or by a program that does the same."""
    return cell[1:] if _GUARDED.match(cell) else cell


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `at` is the line on which it ends. Cells missing at the end count as empty."""

    at: str
    cells: Sequence[str]

    def get(self, column: int | None) -> str:
        """The text of a cell, "" if there is no such column."""
        return unguarded(self.cells[column]) if column is not None and column < len(self.cells) else ""


class Table:
    """The rows of a file with its header. Raises BadInput if a quote is not closed, or a cell or row is too long."""

    def __init__(self, source: Source) -> None:
        self._source = source
        text = decode(source)
        declared = re.match(r"\"?sep=([,;\t|])\"?(?:\r\n|\r|\n)", text)
        body = text[declared.end() :] if declared else text
        self.delimiter = declared[1] if declared else _delimiter(body)
        self._first_line = 2 if declared else 1
        self._reader = csv.reader(self._lines(body), delimiter=self.delimiter, strict=True)
        self.header = next((row.cells for row in self._rows()), [])
        self.names = [_normal(name) for name in self.header]

    def column(self, *names: str) -> int | None:
        """The first column with one of these names, ignoring case."""
        return next((self.names.index(name) for name in names if name in self.names), None)

    def rows(self) -> Iterator[Row]:
        """The rows below the header, which can be iterated over once. Empty lines are skipped."""
        for count, row in enumerate(self._rows(), 1):
            self._source.check_entries(count)
            if len(row.cells) > len(self.header):
                self._source.note("a row with more cells than the header", at=row.at)
            yield row

    def _lines(self, text: str) -> Iterator[str]:
        """Lines of limited length: the CSV reader itself would collect any number of cells."""
        for number, line in enumerate(io.StringIO(text, newline=""), self._first_line):
            if len(line) > _MAX_LINE_CHARS:
                raise self._source.refusal(
                    f"a line of more than {_MAX_LINE_CHARS:,} characters", at=f"line {number:,}", rule="max_line_chars"
                )
            yield line

    def _rows(self) -> Iterator[Row]:
        while True:
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                what = _REASONS.get(next((key for key in _REASONS if key in str(error)), ""), str(error))
                raise self._source.refusal(f"the table is broken: {what}", at=self._at(), rule="CSV") from None
            at = self._at()
            if len(cells) > _MAX_COLUMNS:
                raise self._source.refusal(f"a row of more than {_MAX_COLUMNS} cells", at=at, rule="max_columns")
            for cell in cells:
                self._source.checked(cell, at=at)
            if cells:
                yield Row(at, cells)

    def _at(self) -> str:
        return f"line {self._reader.line_num + self._first_line - 1:,}"


_REASONS: Final = {
    "unexpected end of data": "a quote is opened and never closed",
    "field larger than field limit": "a cell is longer than 131,072 characters; perhaps a quote is never closed",
    "expected after": "a closing quote must be followed by a delimiter",
}


def _normal(name: str) -> str:
    return " ".join(name.split()).casefold()


def _delimiter(text: str) -> str:
    """The most frequent delimiter in the first line, outside quotes."""
    start = text[:_HEADER_CHARS].lstrip("\r\n")
    line = re.split(r"[\r\n]", re.sub(r'"[^"]*"', "", start), maxsplit=1)[0]
    return max(_DELIMITERS, key=line.count)


def write_table(out: BinaryIO, *, delimiter: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Writes UTF-8 with every cell in quotes, and lines that end with a line feed."""
    for cells in itertools.chain([header], rows):
        line = io.StringIO(newline="")
        csv.writer(line, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(
            map(encodable, cells)
        )
        out.write(line.getvalue().encode())
