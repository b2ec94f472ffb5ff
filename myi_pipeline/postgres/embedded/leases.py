"""Which processes still need the server.

A lease ends with its holder at the latest, because the kernel releases the flock of a dead process. Leases are only
taken and counted under the home's lock.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from myi_pipeline.errors import Busy
from myi_pipeline.postgres.role_passwords import private_folder

log = logging.getLogger(__name__)

# The holder of the lock may be waiting for crash recovery, for up to ten minutes.
LOCK_TIMEOUT_S = 660.0
_POLL_S = 0.05


@contextmanager
def home_lock(own: Path) -> Iterator[None]:
    """Only one process at a time may start or stop the server of this home. Raises Busy."""
    handle = os.open(own / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        began = time.monotonic()
        has_logged = False
        while not _try_lock(handle):
            waited = time.monotonic() - began
            if waited > LOCK_TIMEOUT_S:
                raise Busy(f"another process has been starting or stopping the database in {own} for {waited:.0f} s")
            if waited > 5 and not has_logged:
                log.info("waiting for another process that is starting or stopping the database")
                has_logged = True
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(handle)


class Lease:
    """This process's use of the server, which keeps it running."""

    def __init__(self, folder: Path) -> None:
        """Take it. The caller holds the home's lock."""
        started = int(psutil.Process().create_time() * 1000)
        self.path = private_folder(folder) / f"{os.getpid()}-{started}-{secrets.token_hex(4)}"
        # Not inherited by child processes: they take leases of their own.
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    def release(self) -> None:
        """Give it back. The caller holds the home's lock."""
        self.path.unlink(missing_ok=True)
        if self._handle >= 0:
            fcntl.flock(self._handle, fcntl.LOCK_UN)
            os.close(self._handle)
            self._handle = -1


def holders(folder: Path) -> list[int]:
    """The process ids of the holders; leases of dead processes are removed. The caller holds the home's lock."""
    alive = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                if _try_lock(handle):
                    path.unlink(missing_ok=True)
                else:
                    alive.append(int(path.name.partition("-")[0]))
            finally:
                os.close(handle)
    return alive


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
