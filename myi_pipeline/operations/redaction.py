"""What to search for when somebody is erased, and how to remove it from data that others need as well.

A key may be any word, such as `users` or `text`. So it is searched as a whole word, and replaced only in the parts of a
document that can contain one (partitions, tags, messages, metadata), never in its structure. The same applies to names
of files, accounts and playlists that only this user had, if they identify this user: a playlist called 2026, or a
person called Anna, would also remove data about others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

PLACEHOLDER = "erased"
# Fields of what Dagster stores below which a person's key may stand.
_FREE = frozenset(
    {
        "partition", "partition_key", "partition_names", "partitions_subset", "partition_subset", "serialized_subset",
        "tags", "entry_data", "run_config", "message", "user_message", "stack", "error", "description", "cursor",
        "skip_reason", "asset_backfill_data", "value",
    }
)  # fmt: skip
_SHORTEST_WORD = 8
_FORM = frozenset({"__class__", "__enum__", "cls_name", "run_id", "backfill_id"})
# Text in a document inside a document is escaped twice, and a letter after a backslash belongs to the escape.
_BEFORE, _AFTER = r"(?:(?<![A-Za-z0-9_-])|(?<=\\[bfnrt]))", r"(?![A-Za-z0-9_-])"
_SQL_BEFORE, _SQL_AFTER = r"(^|[^A-Za-z0-9_-]|\\[bfnrt])", r"($|[^A-Za-z0-9_-])"


@dataclass(frozen=True)
class Traces:
    """Traces of one user."""

    user_key: str
    names: tuple[str, ...] = ()

    @cached_property
    def spellings(self) -> tuple[str, ...]:
        """The telling names as they are, and as JSON writes them, once and twice; the longest first."""
        found: set[str] = set()
        for name in filter(is_telling, self.names):
            once = json.dumps(name)[1:-1]
            found |= {name, once, json.dumps(once)[1:-1]}
        return tuple(sorted(found, key=lambda each: (-len(each), each)))

    @property
    def sql_pattern(self) -> str:
        """A regular expression of Postgres that finds any of them."""
        return f"{_SQL_BEFORE}({self._any_of_them}){_SQL_AFTER}"

    def are_in(self, text: str) -> bool:
        return self._pattern.search(text) is not None

    def count_in(self, text: str) -> int:
        return len(self._pattern.findall(text))

    def cleared(self, text: str) -> str:
        """Without names and the key."""
        return self._pattern.sub(PLACEHOLDER, text)

    @property
    def _any_of_them(self) -> str:
        return "|".join(re.escape(each) for each in (*self.spellings, self.user_key))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(f"{_BEFORE}(?:{self._any_of_them}){_AFTER}")


def is_telling(name: str) -> bool:
    """A number or a short plain word is in what says nothing of this user."""
    is_plain = re.fullmatch(r"\w+", name) is not None
    return any(map(str.isalpha, name)) and not (is_plain and len(name) < _SHORTEST_WORD)


def redact(text: str, traces: Traces, *, is_free: bool = False) -> str:
    """A Dagster document, or any text if `is_free`, without these traces."""
    document = _parsed(text)
    if document is None:
        return traces.cleared(text) if is_free else text
    return json.dumps(_redacted(document, traces, is_free=is_free))


def _redacted(value: Any, traces: Traces, *, is_free: bool) -> Any:
    if isinstance(value, dict):
        return {
            _name(name, traces, is_free=is_free): (
                each if name in _FORM else _redacted(each, traces, is_free=is_free or name in _FREE)
            )
            for name, each in value.items()
        }
    if isinstance(value, list):
        # A set of partitions has one less.
        kept = (each for each in value if not (is_free and each == traces.user_key))
        return [_redacted(each, traces, is_free=is_free) for each in kept]
    if isinstance(value, str):
        if not traces.are_in(value):
            return value
        return redact(value, traces, is_free=is_free)
    return value


def _name(name: str, traces: Traces, *, is_free: bool) -> str:
    """Partitions are also keys of objects."""
    return PLACEHOLDER if is_free and name == traces.user_key else name


def _parsed(text: str) -> Collection[Any] | None:
    if not text.startswith(("{", "[")):
        return None
    try:
        found: Collection[Any] = json.loads(text)
    except ValueError:
        return None
    return found
