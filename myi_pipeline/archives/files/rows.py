"""The rows of one play file as records: each becomes exactly one PlayRecord or QuarantinedRow, in every format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from myi_pipeline.archives.files.fields import NoRow, Tally, clean_text, not_an_object
from myi_pipeline.archives.files.json_rows import TooDeep
from myi_pipeline.catalogue.plays import Content, Context, PlayRecord, QuarantinedRow, Source
from myi_pipeline.catalogue.row_rules import BadRow, latest_believed, quarantined

_T = TypeVar("_T")


# About 15 MB when full; a heavy listener of ten years has some 30,000 contents.
MAX_CACHED: Final = 12_000


def kept_of(row: object) -> object:
    """What quarantine shows of a row."""
    if isinstance(row, NoRow):
        return row.found
    return None if isinstance(row, TooDeep) else row


class KnownNames:
    """Contents and contexts by the raw values that name them. They recur, so each is cleaned, checked and keyed once.

    Bounded, and usable for all files of an archive.
    """

    def __init__(self) -> None:
        self.contents: dict[tuple[object, ...], Content | None] = {}
        self.contexts: dict[tuple[object, ...], Context | None] = {}
        self.scrobbled: dict[tuple[object, ...], Content] = {}


class RowReader:
    """Turns parsed rows of one kind of file into records. `now` decides what is in the future."""

    source: Source
    known_keys: frozenset[str]

    def __init__(self, *, now: datetime, max_chars: int, tally: Tally, known: KnownNames | None = None) -> None:
        self._latest = latest_believed(now)
        self._max_chars = max_chars
        self._tally = tally
        known = known or KnownNames()
        self._contents, self._contexts = known.contents, known.contexts

    def convert(self, rows: Sequence[object], *, first: int) -> list[PlayRecord | QuarantinedRow]:
        """One result for each row, in order; `first` is the index of the first one in its file."""
        results: list[PlayRecord | QuarantinedRow] = []
        for index, row in enumerate(rows, first):
            try:
                if not isinstance(row, dict):
                    raise not_an_object(row)
                if not row.keys() <= self.known_keys:
                    self._tally.count_unknown(row.keys() - self.known_keys)
                if (username := row.get("username")) is not None:
                    self._tally.note_username(username)
                results.append(self._record(index, row))
            except BadRow as bad:
                results.append(quarantined(index, kept_of(row), bad))
        return results

    def _record(self, index: int, row: dict[str, object]) -> PlayRecord:
        raise NotImplementedError

    def _text(self, row: dict[str, object], key: str) -> str | None:
        return clean_text(row.get(key), key=key, max_chars=self._max_chars)

    def _optional(self, read: Callable[..., _T | None], value: object, *, key: str, **rules: Any) -> _T | None:
        """What `read` makes of a value that a play can do without: None, and counted, if it is unreadable."""
        try:
            return read(value, key=key, **rules)
        except BadRow:
            self._tally.count_unreadable(key)
            return None

    def _keep(self, cache: dict[tuple[object, ...], _T], values: tuple[object, ...], made: _T) -> None:
        # Unreadable values are counted for each row; and as dictionary keys, 1 and true are equal.
        if not all(value is None or (type(value) is str and len(value) <= self._max_chars) for value in values):
            return
        if len(cache) >= MAX_CACHED:
            cache.clear()
        cache[values] = made
