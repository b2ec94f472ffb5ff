"""Where the next page of a list begins: the keys of the last row seen, sealed into an opaque text.

A cursor holds no offset, so plays that arrive between two pages neither repeat nor hide a row. One that opens was made
by this installation, for this list and this user. It names the version of the user's marts that its page showed: the
next page is read where they are as new, or a replica that is behind would repeat or leave out what has moved since.
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

from myi_pipeline.web.reads.replica import need_version, version_seen

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
    """Cursors of one installation; each of `keys` is secret and 32 bytes long, and the first one seals."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def seal(self, purpose: str, keys: Sequence[Key], *, user_id: int | None = None) -> str:
        """`purpose` names the user, the list and its filters; `user_id` for a list of that user's marts."""
        version = version_seen(user_id) if user_id is not None else 0
        payload = orjson.dumps({"keys": list(keys), "version": version} if version else list(keys))
        return base64.urlsafe_b64encode(_mac(self._keys[0], purpose, payload) + payload).rstrip(b"=").decode()

    def open(self, purpose: str, text: str, *, user_id: int | None = None) -> tuple[Key, ...]:
        """The keys that were sealed for the same purpose. What this request then reads of the user's marts is at least
        as new as what the cursor's page showed. Raises BadCursor."""
        if len(text) > LONGEST or not text.isascii():
            raise BadCursor("the cursor is invalid")
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise BadCursor("the cursor is invalid") from None
        mac, payload = whole[:_MAC_BYTES], whole[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, purpose, payload)) for key in self._keys):
            raise BadCursor("the cursor is invalid, or belongs to another list")
        found = orjson.loads(payload)
        if isinstance(found, dict):
            if user_id is not None:
                need_version(user_id, found["version"])
            found = found["keys"]
        return tuple(found)


def _mac(key: bytes, purpose: str, payload: bytes) -> bytes:
    return blake2b(purpose.encode() + b"\0" + payload, key=key, digest_size=_MAC_BYTES).digest()
