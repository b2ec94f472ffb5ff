"""Where the next page of a list begins: the keys of the last row seen, sealed into an opaque text.

A cursor holds no offset, so plays that arrive between two pages neither repeat nor hide a row. One that opens was made
by this installation, for this list and this user.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import blake2b
from typing import Any

import orjson

Key = int | str

# The largest values of the columns' types: "from the top".
MOST_INT, MOST_BIGINT = 2**31 - 1, 2**63 - 1
_MAC_BYTES = 16
# Keys are a few numbers and times: anything longer was not made here, and is not worth a digest.
LONGEST = 400


class BadCursor(ValueError):
    """A cursor that was not made here, or was made for another list."""


@dataclass(frozen=True)
class After:
    """The row after which a page begins: its keys, None for the first page, and how many rows come before the page."""

    keys: Sequence[Key] | None = None
    seen: int = 0


FIRST_PAGE = After()


@dataclass(frozen=True)
class Order:
    """The columns by which a list is ordered, each with a value that stands before the first row."""

    start: Mapping[str, int | date | datetime]

    def values(self, after: After) -> dict[str, Any]:
        """Parameters `after_<column>` of a statement."""
        if after.keys is None:
            return {f"after_{name}": value for name, value in self.start.items()}
        return {
            f"after_{name}": type(value).fromisoformat(str(key)) if isinstance(value, date) else int(key)
            for (name, value), key in zip(self.start.items(), after.keys, strict=True)
        }

    def keys_of(self, row: object) -> list[Key]:
        return [
            getattr(row, name).isoformat() if isinstance(value, date) else int(getattr(row, name))
            for name, value in self.start.items()
        ]


class Cursors:
    """Cursors of one installation; `key` is secret and 32 bytes long."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, purpose: str, keys: Sequence[Key]) -> str:
        """`purpose` names the user, the list and its filters."""
        payload = orjson.dumps(list(keys))
        return base64.urlsafe_b64encode(self._mac(purpose, payload) + payload).rstrip(b"=").decode()

    def open(self, purpose: str, text: str) -> tuple[Key, ...]:
        """The keys that were sealed for the same purpose. Raises BadCursor."""
        if len(text) > LONGEST or not text.isascii():
            raise BadCursor("the cursor is invalid")
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise BadCursor("the cursor is invalid") from None
        mac, payload = whole[:_MAC_BYTES], whole[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(purpose, payload)):
            raise BadCursor("the cursor belongs to another list")
        return tuple(orjson.loads(payload))

    def _mac(self, purpose: str, payload: bytes) -> bytes:
        return blake2b(purpose.encode() + b"\0" + payload, key=self._key, digest_size=_MAC_BYTES).digest()
