"""Temporary links with which anybody can download one stored file, signed with a key of this installation.

The signature covers the file and the expiry, so neither can be changed without the key.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final
from urllib.parse import urlencode

_MAC_BYTES: Final = 20
_EXPIRES: Final = re.compile(r"[0-9]{1,12}\Z", re.ASCII)
PATH: Final = "/downloads"


class BadLink(ValueError):
    """A link that was not made here, or was modified."""


class LinkExpired(ValueError):
    """A link that has expired."""


class Links:
    """Links of one installation; each of `keys` is secret and has 32 bytes, and the first one signs. Times are in Unix
    seconds."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def address(self, user_id: int, name: str, *, expires_at: int) -> str:
        """The path and query on this site."""
        query = urlencode({"expires": expires_at, "signature": _signature(self._keys[0], user_id, name, expires_at)})
        return f"{PATH}/{user_id}/{name}?{query}"

    def check(self, user_id: int, name: str, *, expires: str, signature: str, now: float) -> None:
        """Raises BadLink and, only for links with a valid signature, LinkExpired."""
        if not _EXPIRES.match(expires) or not signature.isascii():
            raise BadLink
        made = (_signature(key, user_id, name, int(expires)) for key in self._keys)
        if not any(hmac.compare_digest(signature, each) for each in made):
            raise BadLink
        if now >= int(expires):
            raise LinkExpired


def _signature(key: bytes, user_id: int, name: str, expires_at: int) -> str:
    signed = f"download\0{user_id}\0{name}\0{expires_at}".encode()
    digest = blake2b(signed, key=key, digest_size=_MAC_BYTES).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
