"""Rows of the account data's streaming history: no URI, minute precision, one year.

Belongs here: which key means what in music, podcast and audiobook files, old names and new.
Invariant: every row becomes exactly one PlayRecord or QuarantinedRow.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from myi_pipeline.core.plays import Content, ContentKind, PlayRecord, QuarantinedRow, make_content
from myi_pipeline.history.fields import (
    EARLIEST,
    BadRow,
    bad_span,
    clean_text,
    not_an_object,
    parse_ms_played,
    parse_timestamp,
)
from myi_pipeline.history.json_batches import RowBatch
from myi_pipeline.history.quarantine import PERSONAL_KEYS, quarantined
from myi_pipeline.history.tally import Tally

# kind of content: the keys of its title, creator and collection
NAME_KEYS: Final[dict[ContentKind, tuple[str, str | None, str | None]]] = {
    ContentKind.TRACK: ("trackName", "artistName", None),
    ContentKind.EPISODE: ("episodeName", None, "podcastName"),
    ContentKind.CHAPTER: ("chapterName", "authorName", "audiobookName"),
}
_ALL_NAMES: Final = tuple(key for keys in NAME_KEYS.values() for key in keys if key)
KNOWN_KEYS: Final = PERSONAL_KEYS.union(_ALL_NAMES, ("endTime", "msPlayed"))
MAX_CACHED: Final = 20_000


class AccountRows:
    """Turns parsed rows into records. `latest` is the first moment that lies too far ahead to be believed."""

    def __init__(self, *, latest: datetime, max_chars: int, tally: Tally) -> None:
        self._latest = latest
        self._max_chars = max_chars
        self._tally = tally
        self._contents: dict[tuple[object, ...], Content | None] = {}

    def convert(self, batch: RowBatch, *, first: int) -> list[PlayRecord | QuarantinedRow]:
        """One result for each row, in order; `first` is the index of the first one in its file."""
        results: list[PlayRecord | QuarantinedRow] = []
        for index, row in enumerate(batch.exact(), first):
            try:
                results.append(self._record(index, row))
            except BadRow as bad:
                results.append(quarantined(index, row, bad))
        return results

    def _record(self, index: int, row: object) -> PlayRecord:
        if not isinstance(row, dict):
            raise not_an_object(row)
        if not row.keys() <= KNOWN_KEYS:
            self._tally.count_unknown(row.keys() - KNOWN_KEYS)
        if "username" in row:
            self._tally.note_username(row["username"])
        played_at = parse_timestamp(row.get("endTime"), key="endTime")
        if not EARLIEST <= played_at < self._latest:
            raise bad_span(played_at, key="endTime")
        ms_played = parse_ms_played(row.get("msPlayed"), key="msPlayed")
        content = self._content(row)
        return PlayRecord(index, played_at, content, ms_played, None, None, None, None, None, None)

    def _content(self, row: dict[str, object]) -> Content | None:
        texts = {key: clean_text(row.get(key), key=key, max_chars=self._max_chars) for key in _ALL_NAMES}
        names = tuple(texts.values())
        if names not in self._contents:
            if len(self._contents) >= MAX_CACHED:
                self._contents.clear()
            self._contents[names] = _content_of(texts)
        return self._contents[names]


def _content_of(texts: dict[str, str | None]) -> Content | None:
    """A row with several titles is a track before an episode before a chapter; without any, the first kind it names."""
    named = [
        (kind, texts[title], texts[creator] if creator else None, texts[collection] if collection else None)
        for kind, (title, creator, collection) in NAME_KEYS.items()
    ]
    for kind, title, creator, collection in sorted(named, key=lambda entry: entry[1] is None):
        if title or creator or collection:
            return make_content(kind=kind, uri=None, title=title, creator=creator, collection=collection)
    return None
