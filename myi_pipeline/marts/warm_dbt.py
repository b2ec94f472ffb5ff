"""A dbt process that waits for work, so that a refresh need not import dbt: 3 s of CPU and 150 MB.

`myi up` holds the socket. The first connection starts the process, which ends after some minutes without work: then it
costs nothing, and the next connection starts another. It also ends if its client disappears during a command, if the
code has changed, or if it has grown too large. A client that finds none, or a busy one, starts its own dbt
(dbt_channels).
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from myi_pipeline.isolation import children_environment
from myi_pipeline.marts.dbt_channels import MODULE, address_of
from myi_pipeline.postgres.role_passwords import private_folder

log = logging.getLogger(__name__)

IDLE_S = 600.0
_BACKLOG = 16
# A process that fails at once would fail again.
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


@contextmanager
def warm_dbt(path: Path, *, idle_s: float = IDLE_S, temporary: Path | None = None) -> Iterator[None]:
    """Serve dbt at `path` within the context, or do nothing if the system cannot bind a socket there.

    `temporary` is the folder in which the process has its temporary files, if not in this process's.
    """
    private_folder(path.parent)
    try:
        listener = _listen(path)
    except OSError as error:
        log.warning("no dbt process is kept warm: %s", error)
        yield
        return
    stop, stopping = socket.socketpair()
    keeper = _Keeper(listener, stop, idle_s, temporary)
    thread = threading.Thread(target=keeper.run, name="warm dbt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        stopping.close()
        thread.join()
        listener.close()
        stop.close()


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(path) as address:
            # A killed process leaves its socket file; only this user has the folder, and `myi up` runs once per home.
            path.unlink(missing_ok=True)
            listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class _Keeper:
    """Starts a process when somebody connects while there is none."""

    def __init__(self, listener: socket.socket, stop: socket.socket, idle_s: float, temporary: Path | None) -> None:
        self._listener, self._stop, self._idle_s = listener, stop, idle_s
        self._of_its_own = {"TMPDIR": str(temporary)} if temporary is not None else {}

    def run(self) -> None:
        pause_s = _PAUSE_S
        while self._wait(self._listener):
            started = time.monotonic()
            code = self._serve()
            if code in (0, None):
                pause_s = _PAUSE_S
                continue
            if time.monotonic() - started < _LONGEST_PAUSE_S:
                log.warning("the warm dbt process ended with %s", code)
                self._turn_away()
                if self._wait(timeout_s=pause_s):
                    pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _wait(self, *readable: socket.socket, timeout_s: float | None = None) -> bool:
        """Wait until somebody connects or the time is up; False when the context ends."""
        ready, _, _ = select.select([*readable, self._stop], [], [], timeout_s)
        return self._stop not in ready

    def _serve(self) -> int | None:
        # From this thread: on Linux, the process ends with the thread that started it.
        child = subprocess.Popen(
            [sys.executable, "-m", MODULE, f"{self._idle_s:g}"],
            stdin=self._listener.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=children_environment() | self._of_its_own,
            start_new_session=True,
        )
        ended, ending = socket.socketpair()

        def tell() -> None:
            child.wait()
            ending.close()

        waiting = threading.Thread(target=tell, daemon=True)
        waiting.start()
        try:
            if self._wait(ended):
                return child.returncode
            child.kill()
            return None
        finally:
            waiting.join()
            ended.close()

    def _turn_away(self) -> None:
        """Turns away clients that wait for a process that does not come: they start their own."""
        self._listener.setblocking(False)
        with contextlib.suppress(OSError):
            while True:
                self._listener.accept()[0].close()
        self._listener.setblocking(True)
