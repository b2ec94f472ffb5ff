"""How this installation reads archives: the limits of its settings, and its own key for user names.

Belongs here: what import_history needs from settings and MYI_HOME, so that the command and Dagster read alike.
Not here: reading. Invariant: equal names have equal hashes in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from hashlib import blake2b

from myi_pipeline.history import Limits
from myi_pipeline.services.local_keys import local_key
from myi_pipeline.settings import Settings


def archive_limits(settings: Settings) -> Limits:
    """Each MYI_ARCHIVE_<NAME> is the limit of that name."""
    return Limits(**{field.name: getattr(settings, f"archive_{field.name}") for field in fields(Limits)})


def account_hasher(settings: Settings) -> Callable[[str], bytes]:
    """A keyed hash (16 bytes) of a Spotify user name: equal names are seen to be equal, none can be looked up."""
    key = local_key(settings, "account_names")
    return lambda name: blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=16).digest()
