"""Sealing the secrets of a backup with a passphrase: scrypt for the key, AES-256-GCM for the rest.

A sealed file is one line of JSON, which says how the key follows from the passphrase, and the ciphertext, which also
authenticates that line.
"""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any, Final

from myi_pipeline.errors import BadInput

# 128 MiB and half a second for each guess. RFC 7914 has 2^20 for files, which a small server has no memory for.
_COST, _BLOCK, _PARALLEL = 2**17, 8, 1
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
# The maximum that a foreign file may demand of this machine: 1 GiB.
_HIGHEST_COST: Final = 2**20
_LONGEST_HEADER: Final = 1024
_FORMAT: Final = "myi sealed 1"
SHORTEST_PASSPHRASE: Final = 8


def seal(data: bytes, passphrase: str) -> bytes:
    """Raises BadInput for a passphrase that is too short to protect anything."""
    if len(passphrase) < SHORTEST_PASSPHRASE:
        rule = f"at least {SHORTEST_PASSPHRASE} characters"
        raise BadInput(f"the passphrase is too short: {rule}", place="passphrase", rule=rule)
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    header = {"format": _FORMAT, "n": _COST, "r": _BLOCK, "p": _PARALLEL, "salt": _text(salt), "nonce": _text(nonce)}
    line = json.dumps(header).encode() + b"\n"
    key = _key(passphrase, salt, cost=_COST, block=_BLOCK, parallel=_PARALLEL)
    return line + AESGCM(key).encrypt(nonce, data, line)


class WrongPassphrase(BadInput):
    """The passphrase is wrong or the sealed file was changed, which cannot be distinguished."""


def unseal(sealed: bytes, passphrase: str) -> bytes:
    """Raises WrongPassphrase, and BadInput for a file that is not sealed secrets."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    line, separator, ciphertext = sealed.partition(b"\n")
    try:
        header: dict[str, Any] = json.loads(line[:_LONGEST_HEADER])
        cost, block, parallel = int(header["n"]), int(header["r"]), int(header["p"])
        salt, nonce = base64.b64decode(header["salt"]), base64.b64decode(header["nonce"])
        is_ours = header["format"] == _FORMAT and len(nonce) == _NONCE_BYTES
    except (ValueError, KeyError, TypeError, AttributeError):
        is_ours = False
    if not is_ours or not (2 <= cost <= _HIGHEST_COST and block == _BLOCK and 1 <= parallel <= 4):
        rule = "sealed by this version of MYI or an older one"
        raise BadInput("the sealed secrets cannot be read", place="secrets.sealed", rule=rule)
    key = _key(passphrase, salt, cost=cost, block=block, parallel=parallel)
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, line + separator)
    except InvalidTag:
        rule = "the passphrase with which the backup was made"
        raise WrongPassphrase(
            "the passphrase does not open the secrets of this backup", place="passphrase", rule=rule
        ) from None


def _key(passphrase: str, salt: bytes, *, cost: int, block: int, parallel: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=block, p=parallel).derive(passphrase.encode())


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
