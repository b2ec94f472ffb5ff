"""What reading an archive needs from this installation: the limits in its settings, and its key for hashing the names
of Spotify users. The rules for rows are in catalogue/row_rules.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from hashlib import blake2b

from myi_pipeline.archives.files import Limits
from myi_pipeline.providers.shared_keys import lasting_key
from myi_pipeline.settings import Settings

# The name of its key in MYI_HOME/secrets.
ACCOUNT_NAMES = "account_names"


def archive_limits(settings: Settings) -> Limits:
    """Each limit NAME is the setting MYI_ARCHIVE_<NAME>."""
    return Limits(**{field.name: getattr(settings, f"archive_{field.name}") for field in fields(Limits)})


def account_names_key(settings: Settings) -> bytes:
    """The key of MYI_ACCOUNT_NAMES_KEY, or else of this MYI_HOME. Secret."""
    given = settings.account_names_key
    return lasting_key(settings, ACCOUNT_NAMES) if given is None else bytes.fromhex(given.get_secret_value())


def account_hasher(settings: Settings) -> Callable[[str], bytes]:
    """A keyed hash (16 bytes) of a Spotify user name: equal names have equal hashes in every process of this
    installation, and no hash leads back to a name."""
    key = account_names_key(settings)
    return lambda name: blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()
