"""The account that the embedded server runs as.

Postgres refuses to run as root, so root's server runs as the system account `myi-postgres`. If no tool can create that,
it runs as an existing `postgres`, or else as `nobody`. Existing data keep their owner, and programs run without
supplementary groups that the account does not need.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myi_pipeline.errors import Permanent, Transient

log = logging.getLogger(__name__)

ACCOUNT = "myi-postgres"
# Programs of others may run as these accounts and could then read the data.
SHARED_ACCOUNTS = ("postgres", "nobody")
_TRIES = 3
_ACCOUNTS_FOLDER = Path("/etc")
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# The server must not inherit MYI's secrets and settings through its environment.
CLEAN_ENVIRONMENT = {"PATH": _SYSTEM_PATH, "LC_ALL": "C"}


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    @property
    def is_me(self) -> bool:
        return self.uid == os.geteuid()

    def spawn(self) -> dict[str, Any]:
        """Arguments for subprocess to run a program as this account, detached from the terminal."""
        switch = {} if self.is_me else {"user": self.uid, "group": self.gid, "extra_groups": []}
        return {"cwd": "/", "env": CLEAN_ENVIRONMENT, "start_new_session": True, "stdin": subprocess.DEVNULL, **switch}

    def may(self, test: str, path: Path) -> bool:
        """The result of test(1) as this account. `-x` on a folder also requires access to all its parents."""
        for _ in range(_TRIES):
            code = subprocess.run(["test", test, str(path)], check=False, timeout=30, **self.spawn()).returncode
            # Anything else means that it was killed by a signal or could not be started.
            if code in (0, 1):
                return code == 0
        raise Transient(f"the account {self.name} cannot run test(1) on {path}; try again")

    def owns(self, path: Path, *, mode: int = 0o700) -> None:
        """Make the account the owner of a folder of ours."""
        if not self.is_me:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)
        path.chmod(mode)

    def write_new(self, path: Path, text: str) -> None:
        """Create a file (0600) owned by the account; fails if anything with this name exists."""
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            if not self.is_me:
                os.fchown(file.fileno(), self.uid, self.gid)

    def write(self, path: Path, text: str) -> None:
        """Replace a file in the account's own folder without following links that the account may have put there."""
        beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        try:
            self.write_new(beside, text)
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def account_of(path: Path) -> Account:
    """The account that owns existing data."""
    found = path.lstat()
    if found.st_uid == 0:
        raise Permanent(f"{path} belongs to root, but Postgres does not run as root: give it to another account")
    if os.geteuid() not in (0, found.st_uid):
        raise Permanent(f"{path} belongs to {_name(found.st_uid)}: run MYI as that user, or choose another MYI_HOME")
    return Account(_name(found.st_uid), found.st_uid, found.st_gid)


def choose_account() -> Account:
    """The account for new data. May create one when run as root."""
    found = existing_account()
    if found is None or found.name in SHARED_ACCOUNTS:
        found = (_make() and _look_up(ACCOUNT)) or found
    if found is not None and os.geteuid() == 0 and found.name in SHARED_ACCOUNTS:
        log.warning(
            "the account %s could not be made, so the embedded Postgres runs as %s, which others may use too;"
            " install useradd (Debian: apt-get install passwd) before the first start",
            ACCOUNT,
            found.name,
        )
    if found is not None:
        return found
    raise Permanent(
        "Postgres does not run as root, and no account for it could be made: install useradd, or run MYI as a user"
    )


def existing_account() -> Account | None:
    """This user or, for root, the best existing account."""
    if os.geteuid() != 0:
        return Account(_name(os.geteuid()), os.geteuid(), os.getegid())
    return next((found for name in (ACCOUNT, *SHARED_ACCOUNTS) if (found := _look_up(name))), None)


def can_make_account() -> bool:
    return next(_tools(), None) is not None


def _tools() -> Iterator[list[str]]:
    """Available commands that create a system account without a home, a password or a shell."""
    useradd = [
        "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
        "--shell", "/usr/sbin/nologin", ACCOUNT,
    ]  # fmt: skip
    busybox = ["adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/sbin/nologin", ACCOUNT]
    for command in (useradd, busybox):
        tool = shutil.which(command[0], path=_SYSTEM_PATH)
        # Debian's adduser is a different program with the same name.
        if tool is not None and (command is useradd or Path(tool).resolve().name == "busybox"):
            yield [tool, *command[1:]]


def _make() -> bool:
    if os.geteuid() != 0:
        return False
    with _one_at_a_time():
        if _look_up(ACCOUNT):
            return True
        for command in _tools():
            subprocess.run(command, check=False, timeout=60, capture_output=True, env=CLEAN_ENVIRONMENT, cwd="/")
            if _look_up(ACCOUNT):
                log.info("made the system account %s for the embedded Postgres", ACCOUNT)
                return True
    return False


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """useradd's own lock does not work in every container: two first starts at once (of two homes) created two entries,
    the second one replaced the first, and the data of the first had no owner."""
    handle = os.open(_ACCOUNTS_FOLDER, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _look_up(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name, found.pw_uid, found.pw_gid) if found.pw_uid != 0 else None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        raise Permanent(
            f"user {uid} has no name on this machine, which Postgres needs: add it to /etc/passwd"
        ) from None
