"""Checks that a path from the settings is, or can become, a folder.

They create nothing. Invariant: checking changes nothing; no link is replaced by a folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from myi_pipeline.errors import Permanent


def why_no_folder(path: Path) -> str | None:
    """Why there is no folder at this path and none can be created, or None if nothing is in the way."""
    for place in reversed([path, *path.parents]):
        # Not the methods of Path, which raise if a parent folder is not accessible.
        if os.path.isdir(place):
            continue
        if os.path.islink(place) and not os.path.exists(place):
            return f"{place} is a symbolic link to {os.readlink(place)}, which does not exist"
        if not os.path.lexists(place):
            return None
        # Checked again: another process may just have created it.
        if not os.path.isdir(place):
            return f"{place} is a file"
    return None


def require_folder(path: Path, *, setting: str) -> None:
    """Raises Permanent if `path`, the value of `setting`, is no folder and cannot become one."""
    why = why_no_folder(path)
    if why is not None:
        raise Permanent(
            f"{setting} cannot be used at {path}: {why}. It must be a folder, or a path where one can be created:"
            f" create it, mount its disk, or set {setting} to another folder"
        )
