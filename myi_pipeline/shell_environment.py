"""`myi env`: what a shell needs so that bare `dagster` commands work in it.

Belongs here: the variables as text for `eval`, and keeping the embedded server for as long as that shell lives. Not
here: which variables (services/prepare_dagster). Invariant: nothing secret is printed, every value survives `eval`
unchanged, and what was started for a shell ends with it.

Dagster connects to its storage before any of our code runs, so the server must outlast this command: a small detached
process holds a lease on it and watches the shell. Run as `python -m myi_pipeline.shell_environment PID CREATE_TIME`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import psutil

from myi_pipeline.core.errors import Transient
from myi_pipeline.services.open_warehouse import open_warehouse
from myi_pipeline.services.prepare_dagster import prepare_dagster
from myi_pipeline.settings import Settings, load_settings

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "busybox", "fish", "tcsh", "csh", "nu", "pwsh"})
_WATCH_EVERY_S = 1.0
# The keeper finds a running server: seconds. The limit is for a machine under load.
_READY_TIMEOUT_S = 120.0
_READY = b"ready\n"


def shell_environment(settings: Settings) -> str:
    """Lines for `eval "$(myi env)"`. Starts the embedded server when it is needed and leaves it to a keeper."""
    with open_warehouse(settings) as warehouse:
        values = prepare_dagster(settings, warehouse)
        if warehouse.embedded:
            keep_server_for(settings, find_shell(psutil.Process()))
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def find_shell(process: psutil.Process) -> psutil.Process:
    """The shell that will evaluate the output: the nearest one above, but not the copy of itself that `$(...)` makes.

    That copy has its parent's command line and ends with this command. Without any shell (a program that runs
    `myi env` itself) it is the parent.
    """
    above = process.parents()
    for number, each in enumerate(above):
        if _name(each) in _SHELLS:
            while number + 1 < len(above) and _command(above[number + 1]) == _command(each) != []:
                number += 1
                each = above[number]
            return each
    return above[0] if above else process


def keep_server_for(settings: Settings, owner: psutil.Process) -> None:
    """Start a keeper for this process unless it has one, and wait until its lease is held. Raises Transient."""
    with _ready_pipe() as (reading, writing):
        command = [
            sys.executable, "-m", "myi_pipeline.shell_environment", str(owner.pid), repr(owner.create_time()),
            str(writing),
        ]  # fmt: skip
        subprocess.Popen(
            command,
            # All of the standard streams: `$(...)` would wait for a keeper that holds its pipe.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(writing,),
            env={**os.environ, **settings.environment()},
            cwd="/",
        )
        os.close(writing)
        found, _, _ = select.select([reading], [], [], _READY_TIMEOUT_S)
        if not found or os.read(reading, len(_READY)) != _READY:
            raise Transient("the embedded database cannot be kept running for this shell: its keeper did not start")


@contextlib.contextmanager
def _ready_pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        for handle in (reading, writing):
            with contextlib.suppress(OSError):
                os.close(handle)


def keep(settings: Settings, *, pid: int, create_time: float, ready: int) -> None:
    """Hold a lease until the process is gone. A second keeper for the same process leaves at once."""
    folder = settings.home / "keepers"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{pid}-{int(create_time * 1000)}"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _tell(ready)
        return
    with contextlib.suppress(_Ended), open_warehouse(settings):
        _tell(ready)
        while _lives(pid, create_time):
            time.sleep(_WATCH_EVERY_S)
    path.unlink(missing_ok=True)


class _Ended(Exception):
    """SIGTERM: the lease is given back like at any other end."""


def _on_signal(_: int, __: FrameType | None) -> None:
    raise _Ended


def _tell(ready: int) -> None:
    with contextlib.suppress(OSError):
        os.write(ready, _READY)
        os.close(ready)


def _lives(pid: int, create_time: float) -> bool:
    try:
        process = psutil.Process(pid)
        # A pid is used again; the time of birth tells the two apart.
        return abs(process.create_time() - create_time) < 0.5 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _name(process: psutil.Process) -> str:
    try:
        return Path(process.name().lstrip("-")).stem
    except psutil.Error:
        return ""


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def main(arguments: list[str]) -> None:
    pid, create_time, ready = int(arguments[0]), float(arguments[1]), int(arguments[2])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _on_signal)
    # A closed terminal sends this to all; the shell's own end is what counts.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    keep(load_settings(), pid=pid, create_time=create_time, ready=ready)


if __name__ == "__main__":
    main(sys.argv[1:])
