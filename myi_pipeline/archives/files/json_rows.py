"""The rows of one JSON file, read as its bytes arrive; memory holds one buffer and one row, whatever the file contains.

Built on the standard library's decoder. ijson (3.6, yajl2_c) yields a third as many rows a second, ends the process
with a segmentation fault at an integer of more than 4,300 digits, takes 8.9 GB for 60 kB of "[", and gives up on a file
at an escaped lone surrogate. orjson cannot say where a row ends or where a file breaks.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from json import JSONDecodeError, JSONDecoder
from typing import Final

from myi_pipeline.errors import BrokenFile

RULE: Final = "one JSON list of rows in UTF-8"
# A number, literal or escape that the end of a buffer cuts in two fails at most this far before that end.
_MARGIN: Final = 16
# These reveal the encoding.
_HEAD_BYTES: Final = 4
_WIDE_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
# A member of the object around the list, up to its value.
_MEMBER: Final = re.compile(
    r'[ \t\r\n]*+,?+[ \t\r\n]*+"((?:[^"\\]++|\\.)*+)"[ \t\r\n]*+:[ \t\r\n]*+(?=[^ \t\r\n])', re.DOTALL
)
_OBJECT_END: Final = re.compile(r"[ \t\r\n]*\}")
_SEPARATOR: Final = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")
_TOKEN: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}"]', re.DOTALL)


class TooDeep:
    """Represents a row that is nested too deeply for the interpreter."""


def _integer(digits: str) -> object:
    # int() refuses thousands of digits; infinity is not a valid value of any field either.
    return int(digits) if len(digits) < 400 else float("inf")


def _fraction(text: str) -> object:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that Decimal cannot hold
        return float(text)


DECODER: Final = JSONDecoder(parse_int=_integer, parse_float=_fraction)


class _Expect(Enum):
    LIST = auto()
    MEMBER = auto()
    FIRST = auto()
    ROW = auto()
    SEPARATOR = auto()
    OBJECT_END = auto()
    END = auto()


class JsonRows:
    """Yields lists of rows with exact numbers (int, Decimal). `chunks` may split the bytes anywhere.

    The list is the whole file or, with `in_member`, the member with that name of the object in the file. Raises
    BrokenFile (with the byte offset in the unpacked file) after all rows before the break have been yielded.
    `bytes_read` counts what was taken from `chunks` so far.
    """

    def __init__(
        self, chunks: Iterable[bytes], *, place: str, max_row_bytes: int, in_member: str | None = None
    ) -> None:
        self.bytes_read = 0
        self._chunks = chunks
        self._place = place
        self._max_row = max_row_bytes
        self._in_member = in_member
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._expect = _Expect.LIST
        self._text = ""
        self._position = 0
        self._enough = 0
        self._decoded = 0  # bytes of which `_text` ends with the last
        self._problem: tuple[int, str, bool] | None = None

    def __iter__(self) -> Iterator[list[object]]:
        for chunk in with_whole_head(self._chunks):
            broken = self._decode(chunk, final=False)
            if broken is None and len(self._text) < self._enough:
                self._check()
                continue
            if rows := self._parse():
                yield rows
            if broken is not None:
                raise self._first_of(broken)
            self._check()
            # A row that is still incomplete is parsed again only when the text has doubled, which keeps it linear.
            self._enough = 2 * (len(self._text) - self._position)
        broken = self._decode(b"", final=True)
        if rows := self._parse():
            yield rows
        if broken is not None:
            raise self._first_of(broken)
        if self._expect is not _Expect.END or self._problem is not None:
            raise self._unfinished()

    def _decode(self, chunk: bytes, *, final: bool) -> BrokenFile | None:
        pending: bytes = self._utf8.getstate()[0]
        start = self._decoded
        self.bytes_read += len(chunk)
        if start == 0 and (chunk.startswith(_WIDE_MARKS) or 0 in chunk[:_HEAD_BYTES]):
            return self._broken("is written in UTF-16 or UTF-32; save it as UTF-8", offset=0)
        rest = self._text[self._position :]
        self._position = 0
        try:
            self._text = rest + self._utf8.decode(chunk, final)
        except UnicodeDecodeError as error:
            self._text = rest + (pending + chunk)[: error.start].decode()
            self._decoded = start + error.start
            return self._broken("is not UTF-8", offset=self._decoded)
        self._decoded = self.bytes_read - len(self._utf8.getstate()[0])
        return None

    def _parse(self) -> list[object]:
        """Every row that is complete in the current text; what stops the parser goes to `_problem`."""
        rows: list[object] = []
        self._problem = None
        if self._expect in (_Expect.LIST, _Expect.MEMBER, _Expect.FIRST):
            self._open()
        while self._expect in (_Expect.ROW, _Expect.SEPARATOR):
            try:
                self._take_rows(rows)
                break
            except JSONDecodeError as error:
                is_cut_off = error.msg.startswith("Unterminated string")
                self._stuck(len(self._text) if is_cut_off else error.pos, f"is not valid JSON here: {error.msg}")
                break
            except RecursionError:
                end = _end_of_row(self._text, self._position)
                if end is None:
                    self._stuck(len(self._text), "contains a row that does not end")
                    break
                rows.append(TooDeep())
                self._position, self._expect = end, _Expect.SEPARATOR
        if self._expect is _Expect.OBJECT_END:
            self._close_object()
        if self._expect is _Expect.END and self._skip_space() < len(self._text):
            self._stuck(self._position, "continues after the end of its list")
        return rows

    def _take_rows(self, rows: list[object]) -> None:
        """The hot loop: one call of the decoder and one match per row. Ends at the end of the text."""
        # The separator may have been the last thing in the previous buffer, with its space in this one.
        text, position, expect = self._text, self._skip_space(), self._expect
        over = _Expect.END if self._in_member is None else _Expect.OBJECT_END
        decode, separate, append = DECODER.raw_decode, _SEPARATOR.match, rows.append
        try:
            while expect is not over:
                if expect is _Expect.SEPARATOR:
                    end = position
                    found = separate(text, end)
                else:
                    row, end = decode(text, position)
                    found = separate(text, end)
                    # A number may continue in the next buffer; an object cannot.
                    if found is not None or isinstance(row, dict):
                        append(row)
                        position, expect = end, _Expect.SEPARATOR
                if found is None:
                    self._stuck(
                        _skip_space(text, end), "is not valid JSON here: a comma or the end of the list is missing"
                    )
                    break
                position = found.end()
                expect = over if found[1] == "]" else _Expect.ROW
        finally:
            self._position, self._expect = position, expect

    def _open(self) -> None:
        if self._expect is _Expect.LIST:
            if self._text.startswith("\ufeff") and self._offset(0) == 0:
                self._position = 1
            if self._skip_space() == len(self._text):
                return
            if self._text[self._position] != ("[" if self._in_member is None else "{"):
                self._stuck(self._position, "does not contain a list of rows", certain=True)
                return
            self._position += 1
            self._expect = _Expect.FIRST if self._in_member is None else _Expect.MEMBER
        if self._expect is _Expect.MEMBER:
            self._find_list()
            if self._expect is _Expect.MEMBER:
                return
        if self._skip_space() < len(self._text):
            self._expect = _Expect.ROW
            if self._text[self._position] == "]":
                self._position += 1
                self._expect = _Expect.END if self._in_member is None else _Expect.OBJECT_END

    def _find_list(self) -> None:
        """Skip the members of the object before the list."""
        while (member := self._take_member()) is not None:
            if member[1] == self._in_member and self._text[member.end()] == "[":
                self._position, self._expect = member.end() + 1, _Expect.FIRST
                return
            if not self._skip_value(member.end()):
                return
        if _OBJECT_END.match(self._text, self._position):
            self._stuck(self._position, f'does not contain a list named "{self._in_member}"', certain=True)

    def _close_object(self) -> None:
        """Skip the members of the object after the list, and its end."""
        while (member := self._take_member()) is not None:
            if not self._skip_value(member.end()):
                return
        if end := _OBJECT_END.match(self._text, self._position):
            self._position, self._expect = end.end(), _Expect.END

    def _take_member(self) -> re.Match[str] | None:
        found = _MEMBER.match(self._text, self._position)
        if found is None:
            self._stuck(_skip_space(self._text, self._position), "is not valid JSON here: a name or the end is missing")
        return found

    def _skip_value(self, start: int) -> bool:
        """Whether the value at `start` is complete; if so, the position is moved past it."""
        try:
            _, end = DECODER.raw_decode(self._text, start)
        except JSONDecodeError as error:
            is_cut_off = error.msg.startswith("Unterminated string")
            self._stuck(len(self._text) if is_cut_off else error.pos, f"is not valid JSON here: {error.msg}")
            return False
        except RecursionError:
            self._stuck(start, "contains a value that is nested too deeply", certain=True)
            return False
        # A number may continue in the next buffer.
        if _skip_space(self._text, end) == len(self._text):
            self._stuck(len(self._text), "ends in the middle of a value")
            return False
        self._position = end
        return True

    def _skip_space(self) -> int:
        self._position = _skip_space(self._text, self._position)
        return self._position

    def _stuck(self, index: int, why: str, *, certain: bool | None = None) -> None:
        self._problem = (index, why, index < len(self._text) - _MARGIN if certain is None else certain)

    def _check(self) -> None:
        """Distinguish a row that is not complete yet from one that never will be."""
        if self._problem is not None and self._problem[2]:
            raise self._unfinished()
        if len(self._text) - self._position > self._max_row:
            raise self._broken(
                f"contains a row larger than {self._max_row:,} bytes", offset=self._offset(self._position)
            )

    def _unfinished(self) -> BrokenFile:
        if self._problem is None or self._problem[0] >= len(self._text):
            return self._broken("ends in the middle of the list", offset=self.bytes_read)
        return self._broken(self._problem[1], offset=self._offset(self._problem[0]))

    def _first_of(self, broken: BrokenFile) -> BrokenFile:
        """Bytes that cannot be decoded are the problem only if everything before them was good."""
        return self._unfinished() if self._problem is not None and self._problem[0] < len(self._text) else broken

    def _offset(self, index: int) -> int:
        return self._decoded - len(self._text[index:].encode("utf-8"))

    def _broken(self, what: str, *, offset: int) -> BrokenFile:
        return BrokenFile(
            f"{self._place}, byte {offset:,}: the file {what}", place=self._place, rule=RULE, offset=offset
        )


def with_whole_head(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, with the first _HEAD_BYTES of them in one piece, since they reveal the encoding."""
    head = b""
    for chunk in chunks:
        if len(head) < _HEAD_BYTES:
            head += chunk
            if len(head) >= _HEAD_BYTES:
                yield head
        else:
            yield chunk
    if len(head) < _HEAD_BYTES:
        yield head


def _skip_space(text: str, index: int) -> int:
    found = _SPACE.match(text, index)
    return found.end() if found is not None else index


def _end_of_row(text: str, start: int) -> int | None:
    """Where the row that begins at `start` ends, by counting brackets outside strings; None if not in this text."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if (mark := token[0]) == '"':
            return None
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
            if depth == 0:
                return token.end()
    return None
