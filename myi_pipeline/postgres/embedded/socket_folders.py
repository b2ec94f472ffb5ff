"""Folders for sockets.

Paths are short enough for sun_path, and no other account can enter or replace the folder. Temporary folders that the
system clears, such as /tmp, are not used: a server that runs for weeks would lose its socket.
"""

from __future__ import annotations

import os
import pwd
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.embedded.accounts import Account
from myi_pipeline.postgres.role_passwords import private_folder

# sun_path has 108 bytes on Linux and 104 on macOS, including the final NUL; ".lock" is not a socket.
LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
SYSTEM_RUN_FOLDER = Path("/run") if sys.platform == "linux" else Path("/var/run")


def choose_socket_folder(preferred: Path, *, name: str, longest_file: str, account: Account) -> Path:
    """`preferred` if it is suitable, else a folder `name` in this user's folder for runtime files.

    It is created for the account, with mode 0700. Raises Permanent if there is no suitable folder.
    """
    for folder in (preferred, *_elsewhere(name)):
        if len(os.fsencode(folder / longest_file)) > LONGEST_SOCKET_PATH:
            continue
        try:
            make_for(account, folder)
        except OSError:
            continue
        if is_safe(folder, account) and _is_trusted(folder.parent) and _takes_sockets(folder, account):
            return folder
    raise Permanent(
        f"there is no folder for sockets: the path {preferred} is too long or its file system does not support them,"
        " and neither ~/.local/state nor /run can be used: set MYI_HOME to a shorter path on a local disk"
    )


def _elsewhere(name: str) -> Iterator[Path]:
    if os.geteuid() == 0:
        yield SYSTEM_RUN_FOLDER / f"myi-{name}"
        return
    # Preferred to /run/user, which is removed when the user's last session ends.
    with suppress(KeyError, OSError):
        state = private_folder(Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local" / "state" / "myi")
        yield state / name
    yield Path(f"/run/user/{os.geteuid()}") / f"myi-{name}"


def make_for(account: Account, folder: Path) -> None:
    """Create a folder (0700) for the account, unless it exists. Raises OSError."""
    if account.is_me:
        private_folder(folder)
        return
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    account.owns(folder)


def is_safe(folder: Path, account: Account) -> bool:
    """Whether this is a real folder of mode 0700 that belongs to the account."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == account.uid and stat.S_IMODE(found.st_mode) == 0o700


def _is_trusted(parent: Path) -> bool:
    """Whether only root and this user can create or replace something there."""
    try:
        found = parent.stat()
    except OSError:
        return False
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


def _takes_sockets(folder: Path, account: Account) -> bool:
    """Network and shared file systems often do not support sockets."""
    if not account.may("-w", folder):
        return False
    probe = folder / ".p"
    with socket.socket(socket.AF_UNIX) as made:
        try:
            made.bind(str(probe))
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)
    return True
