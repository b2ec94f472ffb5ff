"""Output of commands: one JSON document for scripts, or tables for people.

Standard output contains only results. Text from archives cannot control a terminal.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

# Wide enough for the widest table, if no terminal reports its width.
_WIDTH_WITHOUT_TERMINAL = 160


class Output:
    """Where a command's answer goes."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.console = _console(stderr=False)
        self.progress_console = _console(stderr=True)

    def result(self, document: object, render: Callable[[Console], None]) -> None:
        """Outputs the command's answer: the document as JSON, or what `render` prints."""
        if self.as_json:
            sys.stdout.write(to_json(document) + "\n")
            sys.stdout.flush()
        else:
            render(self.console)

    def note(self, *lines: str) -> None:
        """A message for the waiting person, on standard error; each text on its own line, never wrapped or indented."""
        for line in lines:
            self.progress_console.print(Text(plain(line)), soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def to_json(document: object) -> str:
    """The document as JSON; datetimes in ISO 8601, bytes in hex."""
    # A terminal without UTF-8 could not show every name, and would fail at the first.
    is_unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    return json.dumps(document, default=_encode, ensure_ascii=not is_unicode, indent=2)


def _encode(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, (Path, UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be shown as JSON")


def plain(value: object) -> str:
    """Text whose control characters are shown instead of interpreted."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == " " else char.encode("unicode_escape").decode() for char in text
    )


def table(title: str | None, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table; a column whose name begins with `>` is aligned to the right."""
    made = Table(
        title=Text(title) if title else None, title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        made.add_column(Text(column.removeprefix(">")), justify="right" if column.startswith(">") else "left")
    for row in rows:
        made.add_row(*(Text(plain(cell)) for cell in row))
    return made


def facts(pairs: Iterable[tuple[str, object]]) -> RenderableType:
    """A table of names and values; pairs without a value are left out."""
    made = Table(show_header=False, box=None, pad_edge=False)
    made.add_column(style="dim", no_wrap=True)
    made.add_column()
    for name, value in pairs:
        if value is not None and value != "":
            made.add_row(Text(name), Text(plain(value)))
    return made


def number(value: int | float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def counted(value: int, one: str) -> str:
    """`1 row`, `1,000 rows`."""
    return f"{number(value)} {one if value == 1 else one + 's'}"


def hours(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}"


def size(count: int | None) -> str:
    """Bytes, in the unit that leaves one to three digits before the point."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def moment(value: datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%d %H:%M}"


def day(value: datetime | None) -> str:
    return "" if value is None else f"{value:%Y-%m-%d}"
