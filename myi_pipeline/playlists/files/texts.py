"""Text in files: decoding, what a line can hold, and `Artist - Title`, the only form of names in M3U and PLS."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from typing import Final

from myi_pipeline.playlists.files.records import Source

UNKNOWN: Final = "\ufffd"
# Everything that some program takes for the end of a line, str.splitlines included.
_LINE_ENDS: Final = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_NO_TEXT: Final = re.compile(r"[\x00\ud800-\udfff]")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x1f\x7f\ud800-\udfff]")
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Windows programs mean Windows-1252 when they say Latin-1; bytes that it leaves undefined stay Latin-1.
_WINDOWS: Final = {
    byte: bytes([byte]).decode("cp1252") for byte in range(0x80, 0xA0) if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def decode(source: Source, *, allow_latin1: bool = False, is_json: bool = False) -> str:
    """The file's text: UTF-8, UTF-16 with a byte order mark, or Latin-1 if allowed.

    Raises BadInput, also for NUL and for too many lines.
    """
    marked = next((each for each in _BOMS if source.data.startswith(each[0])), None)
    mark, encoding = marked or (b"", "utf-8")
    data = source.data[len(mark) :]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if not allow_latin1 or encoding != "utf-8":
            raise source.refusal(
                "the text is not UTF-8", at=f"byte {error.start:,}", rule="UTF-8, or UTF-16 with a byte order mark"
            ) from None
        source.note("the text is not UTF-8 and is read as Latin-1", at=f"byte {error.start:,}")
        text = data.decode("latin-1").translate(_WINDOWS)
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise source.refusal(
            "a NUL character, which text must not contain", at=f"line {line:,}", rule="text without NUL"
        )
    if not is_json and text.count("\n") + text.count("\r") > 2 * source.limits.max_lines:
        raise source.refusal(f"more than {source.limits.max_lines:,} lines", rule="max_lines")
    return text


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, from 1. A generator, because a hostile file may consist of line ends only."""
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        yield number, line.removesuffix("\n")


def encodable(text: str) -> str:
    """The text with NUL and what UTF-8 cannot encode replaced by U+FFFD."""
    return _NO_TEXT.sub(UNKNOWN, text)


def one_line(text: str) -> str:
    """The text on one line, stripped, with control characters replaced by U+FFFD."""
    return _CONTROLS.sub(UNKNOWN, _LINE_ENDS.sub(" ", text)).strip()


def join_names(artists: Sequence[str], title: str) -> str:
    """`Artist - Title`, which split_names takes apart. A ` - ` inside the artists becomes a dash; without an artist, a
    title that contains ` - ` is preceded by ` - `.
    """
    credit = re.sub(r" -(?= |$)", " \u2013", one_line(", ".join(artists)))
    title = one_line(title)
    if credit:
        return f"{credit} - {title}"
    return f" - {title}" if " - " in f" {title} " else title


def split_names(text: str) -> tuple[tuple[str, ...], str]:
    """The artists, as a single credit, and the title; without ` - ` everything is the title."""
    before, dash, after = text.partition(" - ")
    if not dash and text.endswith(" -"):
        before, dash, after = text[:-2], "-", ""
    if not dash:
        return (), text.strip()
    credit = before.strip()
    return ((credit,) if credit else ()), after.strip()
