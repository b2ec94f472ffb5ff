"""Keys that this installation makes for itself, one file each in MYI_HOME/secrets.

A key is made once, is readable by its owner alone, and is the same for every process.
"""

from __future__ import annotations

import os
import secrets

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.role_passwords import private_folder, write_private
from myi_pipeline.settings import Settings

KEY_BYTES = 32


def local_key(settings: Settings, name: str) -> bytes:
    """The key of this name, made when there is none. Raises BadInput when its file is damaged. Secret."""
    path = settings.secrets_folder / f"{name}.key"
    if not path.exists():
        private_folder(path.parent)
        made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        write_private(made, secrets.token_hex(KEY_BYTES) + "\n")
        try:
            # A link never replaces: of two processes that make a key at once, one wins and both read its key.
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, UnicodeDecodeError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(
            f"{path} is damaged; move it away and MYI makes a new key", place=str(path), rule="64 hex digits"
        )
    return key
