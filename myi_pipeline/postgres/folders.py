"""Folders that a person named and that can be none: said with the path and with what is expected there.

Not here: making them. Invariant: looking changes nothing; no link is replaced by a folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from myi_pipeline.errors import Permanent


def why_no_folder(path: Path) -> str | None:
    """What stands at a path, or above it, so that neither is a folder there nor can one be made; None for nothing."""
    for place in reversed([path, *path.parents]):
        # Not those of Path, which raise where a folder above is closed to this user.
        if os.path.isdir(place):
            continue
        if os.path.islink(place) and not os.path.exists(place):
            return f"{place} is a symbolic link to {os.readlink(place)}, which does not exist"
        if not os.path.lexists(place):
            return None
        # Looked at again: another process may just have made it.
        if not os.path.isdir(place):
            return f"{place} is a file"
    return None


def require_folder(path: Path, *, setting: str) -> None:
    """Raises Permanent when there can be no folder at `path`, which this setting names."""
    why = why_no_folder(path)
    if why is not None:
        raise Permanent(
            f"{setting} cannot be used at {path}: {why}. A folder must be there, or a place where one can be made: make"
            f" it, mount its disk, or set {setting} to another folder"
        )
