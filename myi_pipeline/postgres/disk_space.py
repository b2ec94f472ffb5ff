"""How much disk is left, and the point at which large work stops so that Postgres does not have to.

Polls never ask: what Spotify shows today is gone tomorrow, and the floor is the space that is kept for them and for
Postgres's log.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from myi_pipeline.errors import DiskFull
from myi_pipeline.postgres.embedded.places import data_area
from myi_pipeline.settings import Settings

MIB = 1024 * 1024
# A file system out of inodes refuses new files however many bytes are free.
_FEWEST_INODES = 1000

FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """What an account without privileges may still write below `folder`, or below its closest parent that exists."""
    found = os.statvfs(nearest_existing(folder))
    if found.f_files and found.f_favail < _FEWEST_INODES:
        return 0
    return found.f_bavail * found.f_frsize


def nearest_existing(path: Path) -> Path:
    """The path itself, or the closest parent that exists."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


@dataclass(frozen=True)
class DiskGuard:
    """The folders that must keep `floor_bytes` free."""

    folders: tuple[Path, ...]
    floor_bytes: int
    probe: FreeBytes = free_bytes

    def tightest(self) -> tuple[Path, int]:
        """The folder with the least room, and its free bytes."""
        return min(((folder, self.probe(folder)) for folder in self.folders), key=lambda found: found[1])

    def check(self, *, needed_bytes: int = 0) -> None:
        """Raises DiskFull when less than the floor would be free after `needed_bytes` more were written."""
        if not self.floor_bytes:
            return
        folder, free = self.tightest()
        if free - needed_bytes < self.floor_bytes:
            raise DiskFull(
                f"only {free // MIB:,} MiB are free at {folder}"
                + (f", {needed_bytes // MIB:,} MiB more are needed" if needed_bytes >= MIB else "")
                + f", and {self.floor_bytes // MIB:,} MiB must stay free (MYI_DISK_FLOOR_MB). Free some space; work"
                " then resumes and nothing is lost"
            )


def disk_guard(settings: Settings, *, probe: FreeBytes = free_bytes) -> DiskGuard:
    """The guard of this installation. An external database's disk cannot be seen from here."""
    folders = [settings.home, settings.uploads_folder]
    if settings.database_url is None and (area := data_area(settings.home)) is not None:
        folders.append(area)
    return DiskGuard(tuple(dict.fromkeys(folders)), settings.disk_floor_mb * MIB, probe)
