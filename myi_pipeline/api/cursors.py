"""Where the next page of a list begins: opaque and signed.

Belongs here: sealing and opening. Not here: which columns a list is ordered by (listing.py). Invariant: a cursor that
opens was made by this installation for this very list of this very user; it holds the keys of the last row that was
seen and no offset, so that plays which arrive meanwhile neither repeat nor hide a row.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import blake2b

import orjson

Key = int | str

_MAC_BYTES = 16
# Keys are a few numbers and times; whatever is longer is not ours and is not worth a digest.
LONGEST = 400


class BadCursor(ValueError):
    """A cursor that was not made here, or was made for another list."""


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
            raise BadCursor("this is no cursor")
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise BadCursor("this is no cursor") from None
        mac, payload = whole[:_MAC_BYTES], whole[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(purpose, payload)):
            raise BadCursor("this cursor belongs to another list")
        return tuple(orjson.loads(payload))

    def _mac(self, purpose: str, payload: bytes) -> bytes:
        return blake2b(purpose.encode() + b"\0" + payload, key=self._key, digest_size=_MAC_BYTES).digest()
