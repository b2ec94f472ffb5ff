"""What is counted beside the rows of a file: keys that nobody knows yet, and whose account it was.

Invariant: bounded, whatever a file holds, and no user name leaves it unhashed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

OTHER: Final = "(other)"
_MAX_KEY_CHARS = 100
_MAX_USERNAMES = 100


class Tally:
    """`unknown_keys` counts rows by key, all keys beyond `max_keys` under OTHER; `account_hashes` are keyed hashes."""

    def __init__(self, *, hash_account: Callable[[str], bytes], max_keys: int) -> None:
        self.unknown_keys: Counter[str] = Counter()
        self.account_hashes: set[bytes] = set()
        self.usernames: set[str] = set()
        self._hash = hash_account
        self._max_keys = max_keys

    def count_unknown(self, keys: Iterable[object]) -> None:
        """Count one row's unknown keys."""
        for key in keys:
            name = str(key)[:_MAX_KEY_CHARS].encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
            if name not in self.unknown_keys and len(self.unknown_keys) >= self._max_keys:
                name = OTHER
            self.unknown_keys[name] += 1

    def note_username(self, username: object) -> None:
        """Hash a user name that was not seen before; other types and empty text are dropped."""
        if isinstance(username, str) and username and len(self.usernames) < _MAX_USERNAMES:
            self.usernames.add(username)
            self.account_hashes.add(self._hash(username.encode("utf-8", "replace").decode()[:1000]))
