"""Which MYI_HOME a data folder belongs to.

A copy of a home never uses the data of the original, and a home that was only moved, restored or renamed keeps its own.

A home is identified by the device and inode of its folder: `mv` keeps them, `cp` does not. If they differ, a home that
still exists at the recorded path, or next to it under another name, is the original.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.embedded.accounts import Account

RECORD = "myi_home.json"


@dataclass(frozen=True)
class HomeIdentity:
    """The folder of a home: its real path, device and inode."""

    path: str
    device: int
    inode: int

    @classmethod
    def of(cls, home: Path) -> Self:
        found = home.stat()
        return cls(str(home.resolve()), found.st_dev, found.st_ino)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, KeyError, TypeError."""
        found = json.loads(text)
        return cls(str(found["path"]), int(found["device"]), int(found["inode"]))

    def as_text(self) -> str:
        return json.dumps({"path": self.path, "device": self.device, "inode": self.inode}) + "\n"

    def is_same_folder(self, other: HomeIdentity) -> bool:
        return (self.device, self.inode) == (other.device, other.inode)

    def is_at(self, folder: Path) -> bool:
        try:
            found = folder.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.inode)

    def find(self, *near: Path) -> Path | None:
        """The current path of this home: the recorded one, or a renamed folder next to it or in one of `near`."""
        if self.is_at(Path(self.path)):
            return Path(self.path)
        return next((found for folder in (Path(self.path).parent, *near) for found in self._among(folder)), None)

    def _among(self, parent: Path) -> Iterator[Path]:
        try:
            with os.scandir(parent) as entries:
                named = [Path(entry.path) for entry in entries if entry.inode() == self.inode]
        except OSError:
            return
        yield from (folder for folder in named if not folder.is_symlink() and self.is_at(folder))

    @property
    def is_gone(self) -> bool:
        """Whether the recorded path does not exist, and not only because its disk is not mounted."""
        place = Path(self.path)
        if os.path.lexists(place):
            return False
        parent = next((folder for folder in place.parents if folder.exists()), Path("/"))
        return parent.stat().st_dev == self.device


def owner_of(data: Path) -> HomeIdentity | None:
    """The home that created or adopted these data; None if an old version did not record it. Raises Permanent."""
    record = data / RECORD
    try:
        return HomeIdentity.parse(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise Permanent(f"{record} is damaged: remove it, if no other MYI_HOME uses {data}") from None


def claim(data: Path, home: HomeIdentity, account: Account) -> None:
    account.write(data / RECORD, home.as_text())


def refuse_shared_files(data: Path, home: Path) -> None:
    """Raises Permanent if a copied data folder still shares files with its original, by hard or symbolic links."""
    control = data / "global" / "pg_control"
    if control.exists() and control.stat().st_nlink > 1:
        raise Permanent(
            f"the files in {data} are hard links to those of another home: copy it with `cp -a`, without `-l`"
        )
    spaces = data / "pg_tblspc"
    for link in (data / "pg_wal", *(spaces.iterdir() if spaces.is_dir() else ())):
        if link.is_symlink() and not link.resolve().is_relative_to(home):
            raise Permanent(
                f"{link} points to {link.resolve()}, which the original of this home uses: copy that folder"
                " as well, and point the link to the copy"
            )
