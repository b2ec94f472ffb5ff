"""Sealing a secret so that the database alone reveals nothing: AES-256-GCM under named keys.

A nonce is never used twice; an envelope opens only in the place (table, column, user, client) it was sealed for; no
repr or error contains a key or secret.

Layout: version (1 byte), key id (4), nonce (12), ciphertext with its tag. Version and key id are authenticated too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from myi_pipeline.errors import BadInput, Permanent

VERSION = 1
KEY_BYTES, KEY_ID_BYTES, NONCE_BYTES, TAG_BYTES = 32, 4, 12, 16
_HEADER = 1 + KEY_ID_BYTES
SMALLEST = _HEADER + NONCE_BYTES + TAG_BYTES


class UnknownKey(Permanent):
    """An envelope was sealed with a key that is not on the ring."""


class Damaged(Permanent):
    """An envelope was changed, or moved from another place."""


@dataclass(frozen=True)
class Place:
    """Where a secret belongs. In any other place, it does not open."""

    table: str
    column: str
    user_id: int
    client_id: str

    def associated_data(self) -> bytes:
        # Length-prefixed, so that no two places can spell the same bytes.
        parts = (self.table, self.column, str(self.user_id), self.client_id)
        return b"".join(b"%d:%s" % (len(part.encode()), part.encode()) for part in parts)


def key_id(key: bytes) -> bytes:
    """The id of a key, which does not reveal it; the same on every machine."""
    return hashlib.blake2b(key, digest_size=KEY_ID_BYTES, person=b"myi key id").digest()


def sealed_by(envelope: bytes) -> bytes:
    """The id of the key with which an envelope claims to be sealed."""
    return bytes(envelope[1:_HEADER])


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


class KeyRing:
    """Keys for opening; the first one seals."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise BadInput("an encryption key has 32 bytes", place="encryption keys", rule="32 bytes each")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        if len(self._ciphers) != len(keys):
            raise BadInput("two encryption keys are the same", place="encryption keys", rule="each key once")
        self.ids = tuple(self._ciphers)

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(identity.hex() for identity in self.ids)})"

    @property
    def sealing_id(self) -> bytes:
        return self.ids[0]

    def seal(self, secret: str, *, place: Place) -> bytes:
        header = bytes([VERSION]) + self.sealing_id
        # Random, 96 bits: far below 2^32 envelopes per key, where a repetition would become likely.
        nonce = os.urandom(NONCE_BYTES)
        cipher = self._ciphers[self.sealing_id]
        return header + nonce + cipher.encrypt(nonce, secret.encode(), header + place.associated_data())

    def open(self, envelope: bytes, *, place: Place) -> str:
        """Raises UnknownKey and Damaged."""
        header, nonce, sealed = envelope[:_HEADER], envelope[_HEADER : _HEADER + NONCE_BYTES], envelope[_HEADER:]
        if len(envelope) < SMALLEST or header[0] != VERSION:
            raise Damaged("a stored secret is damaged, or of a newer version of MYI")
        cipher = self._ciphers.get(header[1:])
        if cipher is None:
            raise UnknownKey(f"a stored login is sealed with key {header[1:].hex()}, which this process does not have")
        try:
            return cipher.decrypt(nonce, sealed[NONCE_BYTES:], header + place.associated_data()).decode()
        except (InvalidTag, UnicodeDecodeError):
            raise Damaged("a stored secret is damaged, or was moved from another user") from None
