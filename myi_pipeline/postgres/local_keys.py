"""Keys that this installation generates for itself, each in a file in MYI_HOME/secrets.

A key is generated once, only its owner can read it, and all processes use the same one.
"""

from __future__ import annotations

import os
import secrets

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.role_passwords import private_folder, write_private
from myi_pipeline.settings import Settings

KEY_BYTES = 32


def local_key(settings: Settings, name: str) -> bytes:
    """The key with this name, generated on first use. Raises BadInput if its file is damaged. Secret."""
    return local_keys(settings, name, most=1)[0]


def local_keys(settings: Settings, name: str, *, most: int | None = None) -> tuple[bytes, ...]:
    """The keys in a file to which restored backups add theirs; the first one is this installation's own. Secret."""
    path = settings.secrets_folder / f"{name}.key"
    if not path.exists():
        private_folder(path.parent)
        made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        write_private(made, secrets.token_hex(KEY_BYTES) + "\n")
        try:
            # link() never overwrites: of two concurrent processes, one succeeds, and both read its key.
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
    try:
        keys = tuple(bytes.fromhex(line) for line in path.read_text(encoding="ascii").splitlines() if line.strip())
    except (ValueError, UnicodeDecodeError):
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys) or (most is not None and len(keys) > most):
        raise BadInput(
            f"{path} is damaged; move it away and MYI makes a new key", place=str(path), rule="64 hex digits"
        )
    return keys
