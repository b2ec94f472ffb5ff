"""Which files in the uploads folder make one archive.

Every entry belongs to a unit, is named in a remark, or is hidden on purpose (a leading dot). No link is followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from myi_pipeline.archives.files.formats import READ_SUFFIXES, WHOLE_SUFFIXES

# Files that browsers and copying tools rename when they are done.
UNFINISHED_SUFFIXES = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".filepart", ".opdownload")
# Compressed formats that are not read: a person who puts such a file there expects something to happen.
PACKED_SUFFIXES = (".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst")
# Hidden files are ignored, except the one that players hide.
_PLAYERS_LOG = ".scrobbler"
_DEEPEST = 16


@dataclass
class Unit:
    """The files that make one archive."""

    name: str
    path: Path | None
    files: dict[str, Path] = field(default_factory=dict)
    unfinished: dict[str, Path] = field(default_factory=dict)


def entries_of(folder: Path, remarks: list[str]) -> list[os.DirEntry[str]]:
    """The entries of a folder, sorted by name; problems go to the remarks."""
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
        remarks.append(f"{folder.name}/ contains names that are not UTF-8 ({len(found) - len(good)}): rename them")
    return good


def _is_text(name: str) -> bool:
    """Whether it can be encoded: logs and databases accept nothing else."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def units_of(folder: Path, user_key: str, remarks: list[str]) -> Iterator[Unit]:
    """Each ZIP is an archive; so are all files below one sub-folder, all loose JSON files together, and every other
    loose file.

    Files of one export belong together, because equal rows are numbered over the whole archive.
    """
    loose = Unit(user_key, None)
    for entry in entries_of(folder / user_key, remarks):
        name = f"{user_key}/{entry.name}"
        if is_hidden(entry.name):
            continue
        if _is_left_alone(entry, name, remarks):
            continue
        if entry.is_dir():
            below = Unit(name, Path(entry.path))
            yield from _walk(folder, below, Path(entry.path), remarks, depth=1)
            if below.files or below.unfinished:
                yield below
        elif entry.name.lower().endswith(".zip") or entry.name.lower().endswith(WHOLE_SUFFIXES):
            yield Unit(name, Path(entry.path), {name: Path(entry.path)})
        else:
            _add(loose, folder, Path(entry.path))
    if loose.files:
        yield loose


def is_hidden(name: str) -> bool:
    """Whether an entry is ignored without a remark."""
    return name.startswith(".") and not (name.startswith(_PLAYERS_LOG) and name.endswith(".log"))


def _walk(folder: Path, unit: Unit, at: Path, remarks: list[str], *, depth: int) -> Iterator[Unit]:
    """Adds everything below to the unit, and yields the ZIPs found on the way."""
    if depth > _DEEPEST:
        remarks.append(f"{at.relative_to(folder).as_posix()}/ is nested too deeply: move its files up")
        return
    for entry in entries_of(at, remarks):
        name = Path(entry.path).relative_to(folder).as_posix()
        if is_hidden(entry.name) or _is_left_alone(entry, name, remarks):
            continue
        if entry.is_dir():
            yield from _walk(folder, unit, Path(entry.path), remarks, depth=depth + 1)
        elif entry.name.lower().endswith(".zip"):
            yield Unit(name, Path(entry.path), {name: Path(entry.path)})
        else:
            _add(unit, folder, Path(entry.path))


def _is_left_alone(entry: os.DirEntry[str], name: str, remarks: list[str]) -> bool:
    if entry.is_symlink():
        remarks.append(f"{name} is a symbolic link, which is not followed")
    elif not entry.is_dir() and not entry.is_file():
        remarks.append(f"{name} is not a regular file, and is left alone")
    elif entry.is_file() and entry.name.lower().endswith(PACKED_SUFFIXES):
        remarks.append(f"{name} is not a ZIP: unpack it here")
    else:
        return False
    return True


def _add(unit: Unit, folder: Path, path: Path) -> None:
    if path.name.lower().endswith(UNFINISHED_SUFFIXES):
        unit.unfinished[path.relative_to(folder).as_posix()] = path
    elif path.name.lower().endswith(READ_SUFFIXES):
        unit.files[path.relative_to(folder).as_posix()] = path
