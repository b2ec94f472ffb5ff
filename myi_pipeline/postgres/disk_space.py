"""How much disk space is left, and when large tasks stop to leave room for Postgres.

Polls never check: what Spotify shows today is gone tomorrow, and the floor is the space reserved for them and for
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
# Without free inodes, no file can be created, no matter how many bytes are free.
_FEWEST_INODES = 1000

FreeBytes = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """The bytes that an unprivileged account can still write in `folder` or its closest existing parent."""
    found = os.statvfs(nearest_existing(folder))
    if found.f_files and found.f_favail < _FEWEST_INODES:
        return 0
    return found.f_bavail * found.f_frsize


def nearest_existing(path: Path) -> Path:
    """The path itself, or its closest existing parent."""
    return next((place for place in (path, *path.parents) if place.exists()), Path("/"))


@dataclass(frozen=True)
class DiskGuard:
    """The folders that must keep `floor_bytes` free."""

    folders: tuple[Path, ...]
    floor_bytes: int
    probe: FreeBytes = free_bytes

    def tightest(self) -> tuple[Path, int]:
        """The folder with the least free space, and its free bytes."""
        return min(((folder, self.probe(folder)) for folder in self.folders), key=lambda found: found[1])

    def check(self, *, needed_bytes: int = 0) -> None:
        """Raises DiskFull if writing `needed_bytes` would leave less than the floor."""
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
    """The guard of this installation. It cannot see the disk of an external database."""
    folders = [settings.home, settings.uploads_folder]
    if settings.database_url is None and (area := data_area(settings.home)) is not None:
        folders.append(area)
    return DiskGuard(tuple(dict.fromkeys(folders)), settings.disk_floor_mb * MIB, probe)
