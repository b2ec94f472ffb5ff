"""The generated passwords of the roles, stored on disk.

The folder has mode 0700 and the file 0600 before a secret is written to it; files are replaced atomically.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from myi_pipeline.errors import BadInput


def new_password() -> str:
    """256 random bits, in characters that need no quoting in a URL."""
    return secrets.token_urlsafe(32)


def private_folder(folder: Path) -> Path:
    """Create `folder` (0700) unless it exists; existing parents keep their modes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    return folder


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file by one that only its owner may read. The folder must exist."""
    beside = path.with_name(f".{os.getpid()}.{secrets.token_hex(8)}")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class RolePasswords:
    """Passwords by role (`owner`, ..., `dagster`), and the version of the bootstrap that used them last."""

    bootstrap: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)


def file_for(folder: Path, *, server: str, database: str) -> Path:
    """One file per server and database, with a readable name."""
    digest = hashlib.sha256(f"{server}\0{database}".encode()).hexdigest()[:12]
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", database)[:40]
    return folder / f"roles-{readable}-{digest}.json"


def read(path: Path) -> RolePasswords:
    """The content of the file; empty if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return RolePasswords(str(found["bootstrap"]), {str(k): str(v) for k, v in found["passwords"].items()})
    except FileNotFoundError:
        return RolePasswords()
    except (ValueError, KeyError, TypeError, AttributeError):
        rule = "a JSON file that MYI wrote; move it away and MYI makes new passwords"
        raise BadInput(f"{path} is damaged: {rule}", place=str(path), rule=rule) from None


def write(path: Path, kept: RolePasswords) -> None:
    private_folder(path.parent)
    write_private(path, json.dumps({"bootstrap": kept.bootstrap, "passwords": dict(kept.passwords)}, indent=1) + "\n")
