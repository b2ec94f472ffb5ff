"""Keys that every part of an installation shares, on however many hosts: they follow from the encryption keys, which
all parts are given, each by a label of its own.

What one machine made in its MYI_HOME before stays good there, and is all there is while nobody has an encryption key.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from myi_pipeline.postgres.local_keys import KEY_BYTES, kept_keys, local_key
from myi_pipeline.providers.encryption_keys import all_keys
from myi_pipeline.settings import Settings


def shared_keys(settings: Settings, name: str) -> tuple[bytes, ...]:
    """Keys of 32 bytes: the first one signs; all check, so that what was signed before a rotation or an upgrade holds.

    Raises BadInput if a file with keys is damaged. Secret.
    """
    derived = tuple(_derive(key, name) for key in all_keys(settings))
    return (*derived, *kept_keys(settings, name)) if derived else (local_key(settings, name),)


def lasting_key(settings: Settings, name: str) -> bytes:
    """The one key of 32 bytes with this name, for hashes that are stored: a rotation does not change it.

    It is kept in this MYI_HOME. An empty one begins with what follows from the oldest of MYI_ENCRYPTION_KEYS, as any
    other empty one does. Raises BadInput if its file is damaged. Secret.
    """
    given = settings.encryption_key_bytes()
    return local_key(settings, name, beginning=_derive(given[-1], name) if given else None)


def _derive(key: bytes, name: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"myi {name}".encode()).derive(key)
