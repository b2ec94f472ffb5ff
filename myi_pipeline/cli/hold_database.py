"""Keeping the embedded Postgres up for a shell. Run as `python -m myi_pipeline.cli.hold_database PID STARTED_AT`.

Belongs here: a lease that lasts as long as another process does. Not here: starting the server. Invariant: it says one
line when the server answers, holds none of its parent's streams after that, and ends within seconds of the process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import FrameType

import psutil

from myi_pipeline.core.errors import Transient
from myi_pipeline.settings import Settings, load_settings

READY = "ready"
_LOOK_EVERY_S = 1.0


def hold_for_parent(settings: Settings, environment: dict[str, str]) -> None:
    """Starts a holder for this process's parent, the shell. Raises Transient when the server does not come up."""
    shell = psutil.Process(os.getppid())
    child = subprocess.Popen(
        [sys.executable, "-m", "myi_pipeline.cli.hold_database", str(shell.pid), repr(shell.create_time())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment | settings.environment(),
        encoding="utf-8",
        start_new_session=True,
    )
    assert child.stdout is not None
    with child.stdout as answers:
        if answers.readline().strip() != READY:
            raise Transient("the embedded Postgres could not be kept running for this shell; see: myi doctor")


class _Ended(BaseException):
    """A signal asked for the end."""


def _end(_: int, __: FrameType | None) -> None:
    raise _Ended


def main() -> None:
    from myi_pipeline.warehouse.embedded import embedded_server

    pid, started_at = int(sys.argv[1]), float(sys.argv[2])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    # The shell's terminal may close before the shell has ended.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with embedded_server(load_settings().home):
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            while _is_alive(pid, started_at):
                time.sleep(_LOOK_EVERY_S)
        except _Ended:
            pass


def _is_alive(pid: int, started_at: float) -> bool:
    try:
        process = psutil.Process(pid)
        return process.create_time() == started_at and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    main()
