"""The rows of one JSON file, a buffer at a time.

Belongs here: bytes to Python objects, and where exactly a file breaks. Not here: what a row means.
Invariant: what is held in memory is bounded by one buffer and one row, and no input harms the process.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from json import JSONDecodeError
from typing import Final

from myi_pipeline.core.errors import BrokenFile
from myi_pipeline.history.json_scan import TooDeep, c_scanner, end_of_row, scan_tolerantly

RULE: Final = "one JSON list of rows in UTF-8"
# A number, literal or escape that the end of a buffer cuts in two fails at most this far before that end.
_MARGIN = 16
_SPACE = " \t\r\n"
# These tell the encoding.
HEAD_BYTES = 4
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATOR = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")


class _Expect(Enum):
    LIST = auto()
    FIRST = auto()
    ROW = auto()
    SEPARATOR = auto()
    END = auto()


class JsonRows:
    """Yields lists of rows as their bytes arrive. `chunks` may cut the bytes anywhere.

    Raises BrokenFile (with the byte offset in the unpacked file) after all rows before the break were yielded.
    `bytes_read` counts what was taken from `chunks` so far. With `row_at` the chunks do not begin with the list but
    with a row of it, at this byte of the file.
    """

    def __init__(self, chunks: Iterable[bytes], *, place: str, max_row_bytes: int, row_at: int | None = None) -> None:
        self.bytes_read = row_at or 0
        self._chunks = chunks
        self._place = place
        self._max_row = max_row_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._scan = c_scanner()
        self._expect = _Expect.LIST if row_at is None else _Expect.ROW
        self._text = ""
        self._position = 0
        self._enough = 0
        self._decoded = self.bytes_read  # bytes of which `_text` ends with the last
        self._problem: tuple[int, str, bool] | None = None

    def __iter__(self) -> Iterator[list[object]]:
        for chunk in _with_whole_head(self._chunks):
            broken = self._decode(chunk, final=False)
            if broken is None and len(self._text) < self._enough:
                self._check()
                continue
            if rows := self._parse():
                yield rows
            if broken is not None:
                raise self._first_of(broken)
            self._check()
            # A row that is still open is parsed again only when the text has doubled: linear whatever the chunks.
            self._enough = 2 * (len(self._text) - self._position)
        broken = self._decode(b"", final=True)
        if rows := self._parse():
            yield rows
        if broken is not None:
            raise self._first_of(broken)
        if self._expect is not _Expect.END or self._problem is not None:
            raise self._unfinished()

    def _decode(self, chunk: bytes, *, final: bool) -> BrokenFile | None:
        pending: bytes = self._decoder.getstate()[0]
        start = self._decoded
        self.bytes_read += len(chunk)
        if start == 0 and (chunk.startswith(_WIDE_MARKS) or 0 in chunk[:HEAD_BYTES]):
            return self._broken("is written in UTF-16 or UTF-32; save it as UTF-8", offset=0)
        rest = self._text[self._position :]
        self._position = 0
        try:
            self._text = rest + self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            self._text = rest + (pending + chunk)[: error.start].decode()
            self._decoded = start + error.start
            return self._broken("is not UTF-8", offset=self._decoded)
        self._decoded = self.bytes_read - len(self._decoder.getstate()[0])
        return None

    def _parse(self) -> list[object]:
        """Every row that is complete in the text at hand; what stops the parser goes to `_problem`."""
        rows: list[object] = []
        self._problem = None
        if self._expect in (_Expect.LIST, _Expect.FIRST):
            self._open()
        while self._expect in (_Expect.ROW, _Expect.SEPARATOR):
            try:
                self._scan_rows(rows)
                break
            except StopIteration as stop:
                self._stuck(stop.value, "is not valid JSON here: a row is missing or malformed")
                break
            except JSONDecodeError as error:
                index = len(self._text) if error.msg.startswith("Unterminated string") else error.pos
                self._stuck(index, f"is not valid JSON here: {error.msg}")
                break
            except (ValueError, RecursionError):
                if not self._take_odd_row(rows):
                    break
        if self._expect is _Expect.END and self._skip_space() < len(self._text):
            self._stuck(self._position, "goes on after the end of its list")
        return rows

    def _take_odd_row(self, rows: list[object]) -> bool:
        """Slow and rare: a row with an integer too long for int(), or too deep for the scanner. False when stuck."""
        start = self._position
        end = end_of_row(self._text, start)
        if end is None:
            self._stuck(len(self._text), "holds a row that does not end")
            return False
        try:
            row, length = scan_tolerantly(self._text[start:end])
        except RecursionError:
            row, length = TooDeep(), end - start
        except StopIteration as stop:
            row, length = None, stop.value
        except JSONDecodeError as error:
            row, length = None, error.pos
        if length < end - start:
            self._stuck(start + length, "is not valid JSON here", certain=True)
            return False
        rows.append(row)
        self._position, self._expect = end, _Expect.SEPARATOR
        return True

    def _scan_rows(self, rows: list[object]) -> None:
        """The hot loop: one call of the C scanner and one match a row. Ends where the text ends."""
        # The separator before may have been the last thing in its buffer, with its space in this one.
        text, position, expect = self._text, self._skip_space(), self._expect
        scan, separate, append = self._scan, _SEPARATOR.match, rows.append
        try:
            while expect is not _Expect.END:
                if expect is _Expect.SEPARATOR:
                    end = position
                    found = separate(text, end)
                else:
                    row, end = scan(text, position)
                    found = separate(text, end)
                    # A number may go on in the next buffer; an object cannot.
                    if found is not None or isinstance(row, dict):
                        append(row)
                        position, expect = end, _Expect.SEPARATOR
                if found is None:
                    self._stuck(
                        _skip_space(text, end), "is not valid JSON here: a comma or the end of the list is missing"
                    )
                    break
                position = found.end()
                expect = _Expect.END if found[1] == "]" else _Expect.ROW
        finally:
            self._position, self._expect = position, expect

    def _open(self) -> None:
        if self._expect is _Expect.LIST:
            if self._text.startswith("\ufeff") and self._offset(0) == 0:
                self._position = 1
            if self._skip_space() == len(self._text):
                return
            if self._text[self._position] != "[":
                self._stuck(self._position, "does not hold a list of rows", certain=True)
                return
            self._position += 1
            self._expect = _Expect.FIRST
        if self._skip_space() < len(self._text):
            self._expect = _Expect.ROW
            if self._text[self._position] == "]":
                self._position += 1
                self._expect = _Expect.END

    def _skip_space(self) -> int:
        self._position = _skip_space(self._text, self._position)
        return self._position

    def _stuck(self, index: int, why: str, *, certain: bool | None = None) -> None:
        self._problem = (index, why, index < len(self._text) - _MARGIN if certain is None else certain)

    def _check(self) -> None:
        """Tell a row that is not complete yet from one that never will be."""
        if self._problem is not None and self._problem[2]:
            raise self._unfinished()
        if len(self._text) - self._position > self._max_row:
            raise self._broken(f"holds a row larger than {self._max_row:,} bytes", offset=self._offset(self._position))

    def _unfinished(self) -> BrokenFile:
        if self._problem is None or self._problem[0] >= len(self._text):
            return self._broken("ends in the middle of the list", offset=self.bytes_read)
        return self._broken(self._problem[1], offset=self._offset(self._problem[0]))

    def _first_of(self, broken: BrokenFile) -> BrokenFile:
        """Bytes that cannot be decoded are the problem only if what came before them was still good."""
        return self._unfinished() if self._problem is not None and self._problem[0] < len(self._text) else broken

    def _offset(self, index: int) -> int:
        return self._decoded - len(self._text[index:].encode("utf-8"))

    def _broken(self, what: str, *, offset: int) -> BrokenFile:
        return BrokenFile(
            f"{self._place}, byte {offset:,}: the file {what}", place=self._place, rule=RULE, offset=offset
        )


def _with_whole_head(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, the first HEAD_BYTES of them together, since they tell the encoding."""
    head = b""
    for chunk in chunks:
        if len(head) < HEAD_BYTES:
            head += chunk
            if len(head) >= HEAD_BYTES:
                yield head
        else:
            yield chunk
    if len(head) < HEAD_BYTES:
        yield head


def _skip_space(text: str, index: int) -> int:
    while index < len(text) and text[index] in _SPACE:
        index += 1
    return index
