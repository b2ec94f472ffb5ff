"""What in the uploads folder makes one archive.

Belongs here: walking a user's folder and grouping its files. Not here: whether they are whole or new (scan_uploads).
Invariant: every entry is in a unit, in the remarks, or hidden on purpose (a leading dot); no link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Files that browsers and copying tools rename when they are done.
UNFINISHED_SUFFIXES = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".opdownload")
_DEEPEST = 16


@dataclass
class Unit:
    """The files that make one archive."""

    name: str
    path: Path | None
    files: dict[str, Path] = field(default_factory=dict)
    is_unfinished: bool = False


def entries_of(folder: Path, remarks: list[str]) -> list[os.DirEntry[str]]:
    """The entries of a folder in the order of their names; what stands in the way goes to the remarks."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        remarks.append(f"{folder.name}/ cannot be read: {error.strerror}")
        return []
    good = [entry for entry in found if _is_text(entry.name)]
    if len(good) < len(found):
        remarks.append(f"{folder.name}/ holds {len(found) - len(good)} names that are not UTF-8: rename them")
    return good


def _is_text(name: str) -> bool:
    """Logs and databases take nothing else."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def units_of(folder: Path, user_key: str, remarks: list[str]) -> Iterator[Unit]:
    """Each ZIP is an archive; the JSON files below one sub-folder are one; loose ones together are one.

    Files of one export belong together, because rows that agree are numbered over the whole archive.
    """
    loose = Unit(user_key, None)
    for entry in entries_of(folder / user_key, remarks):
        name = f"{user_key}/{entry.name}"
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            remarks.append(f"{name} is a symbolic link, which is not followed")
        elif entry.is_dir():
            below = Unit(name, Path(entry.path))
            yield from _walk(folder, below, Path(entry.path), remarks, depth=1)
            if below.files or below.is_unfinished:
                yield below
        elif entry.name.lower().endswith(".zip"):
            yield Unit(name, Path(entry.path), {name: Path(entry.path)})
        else:
            _add(loose, folder, Path(entry.path))
    if loose.files:
        yield loose


def _walk(folder: Path, unit: Unit, at: Path, remarks: list[str], *, depth: int) -> Iterator[Unit]:
    """Fills the unit with what lies below and yields the ZIPs that are found on the way."""
    for entry in entries_of(at, remarks) if depth <= _DEEPEST else ():
        name = Path(entry.path).relative_to(folder).as_posix()
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk(folder, unit, Path(entry.path), remarks, depth=depth + 1)
        elif entry.name.lower().endswith(".zip"):
            yield Unit(name, Path(entry.path), {name: Path(entry.path)})
        else:
            _add(unit, folder, Path(entry.path))


def _add(unit: Unit, folder: Path, path: Path) -> None:
    if path.name.lower().endswith(UNFINISHED_SUFFIXES):
        unit.is_unfinished = True
    elif path.name.lower().endswith(".json"):
        unit.files[path.relative_to(folder).as_posix()] = path
