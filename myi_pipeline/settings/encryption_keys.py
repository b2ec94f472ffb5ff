"""Keys that seal stored logins, as text. Errors never repeat the refused text."""

from __future__ import annotations

import base64
import binascii

ENCRYPTION_KEY_BYTES = 32


def decode_key(text: str) -> bytes:
    """One key of 32 bytes from 64 hex digits or base64. Raises ValueError without repeating it."""
    try:
        if len(text) == 2 * ENCRYPTION_KEY_BYTES:
            key = bytes.fromhex(text)
        else:
            padded = text.replace("-", "+").replace("_", "/").rstrip("=")
            key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    # 32 random bytes have fewer than 16 distinct values once in 10^15 keys; typed patterns usually have fewer.
    if len(key) != ENCRYPTION_KEY_BYTES or len(set(key)) < ENCRYPTION_KEY_BYTES // 2:
        raise ValueError("each key must be 32 random bytes in base64 or hex; `myi keys new` makes one")
    return key


def decode_keys(text: str) -> tuple[bytes, ...]:
    """Several keys, separated by commas or blanks. Raises ValueError."""
    keys = tuple(decode_key(part) for part in text.replace(",", " ").split())
    if not keys or len(set(keys)) != len(keys):
        raise ValueError("contains no key, or the same key twice")
    return keys
