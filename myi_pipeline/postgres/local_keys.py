"""Keys that this installation generates for itself, each in a file in MYI_HOME/secrets.

A key is generated once, only its owner can read it, and all processes use the same one.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.role_passwords import private_folder, write_private
from myi_pipeline.settings import Settings

KEY_BYTES = 32


def local_key(settings: Settings, name: str, *, beginning: bytes | None = None) -> bytes:
    """The key with this name; on first use `beginning`, or a random one. Raises BadInput if its file is damaged.

    Secret."""
    _make(_path(settings, name), beginning or secrets.token_bytes(KEY_BYTES))
    return kept_keys(settings, name, most=1)[0]


def local_keys(settings: Settings, name: str) -> tuple[bytes, ...]:
    """The keys in a file to which restored backups add theirs; the first one is this installation's own. Secret."""
    _make(_path(settings, name), secrets.token_bytes(KEY_BYTES))
    return kept_keys(settings, name)


def kept_keys(settings: Settings, name: str, *, most: int | None = None) -> tuple[bytes, ...]:
    """What is in the file, none if there is no file. Raises BadInput if it is damaged. Secret."""
    path = _path(settings, name)
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        keys = tuple(bytes.fromhex(line) for line in lines if line.strip())
    except FileNotFoundError:
        return ()
    except (ValueError, UnicodeDecodeError):
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys) or (most is not None and len(keys) > most):
        raise BadInput(
            f"{path} is damaged; move it away and MYI makes a new key", place=str(path), rule="64 hex digits"
        )
    return keys


def _path(settings: Settings, name: str) -> Path:
    return settings.secrets_folder / f"{name}.key"


def _make(path: Path, key: bytes) -> None:
    if not path.exists():
        private_folder(path.parent)
        made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        write_private(made, key.hex() + "\n")
        try:
            # link() never overwrites: of two concurrent processes, one succeeds, and both read its key.
            os.link(made, path)
        except FileExistsError:
            pass
        finally:
            made.unlink()
