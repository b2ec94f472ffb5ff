"""`myi env`: the environment in which bare `dagster` commands work in a shell.

Nothing secret is printed, every value survives `eval` unchanged, and processes started for a shell end with it. Dagster
connects to its storage before any of our code runs, so the embedded server must outlast this command: a small detached
process, the keeper, holds a lease on it and watches the shell. It runs as `python -m myi_pipeline.cli.shell_environment
PID STARTED_AT`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

import psutil

from myi_pipeline.cli.session import open_session, warehouse
from myi_pipeline.errors import Transient
from myi_pipeline.isolation import children_environment, dropped
from myi_pipeline.settings import Settings, load_settings

READY = "ready"
_LOOK_EVERY_S = 1.0
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "busybox", "fish", "tcsh", "csh", "nu", "pwsh"})


def env_command() -> None:
    """Print shell commands after which bare `dagster` and `dbt` commands find this installation: eval "$(myi env)"."""
    from myi_pipeline.marts.dbt_runner import developer_environment
    from myi_pipeline.operations.dagster_home import prepare_dagster

    session = open_session()
    with warehouse(session) as opened:
        values = prepare_dagster(session.settings, opened)
        values |= developer_environment(opened, home=session.settings.home)
        if opened.embedded:
            for reader in readers_of_output(psutil.Process()):
                keep_server_for(session.settings, reader)
    sys.stdout.write(as_shell_commands(values))


def as_shell_commands(values: Mapping[str, str]) -> str:
    """Lines for `eval`: what Dagster needs, without variables that would lead it or its libraries elsewhere."""
    # Dagster reaches its storage through libpq before any code of ours runs.
    lines = [f"unset {name}\n" for name in sorted(dropped) if name.startswith("PG")]
    return "".join(lines + [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()])


def readers_of_output(process: psutil.Process) -> list[psutil.Process]:
    """The processes that may use what this one prints: usually just the shell of `eval "$(myi env)"`.

    In between are programs and subshells that pass the output on: they share this process's standard output, or are a
    copy of their parent, as made by `$(...)` and pipes. If the nearest reader is not a shell, the shell above it counts
    as well: the program may print for it.
    """
    above = process.parents()
    printed = _standard_output(process)
    readers = [each for each in above if printed is None or _standard_output(each) != printed] or above[:1]
    shell = next((each for each in readers if _name(each) in _SHELLS), None)
    nearest = shell if printed is None and shell is not None else next(iter(readers), process)
    found = {original.pid: original for original in map(_original, [nearest, *([shell] if shell else [])])}
    return list(found.values())


def _original(process: psutil.Process) -> psutil.Process:
    """A subshell has its parent's command line."""
    while (parent := process.parent()) is not None and _command(parent) == _command(process) != []:
        process = parent
    return process


def keep_server_for(settings: Settings, owner: psutil.Process) -> None:
    """Starts a keeper for this process, and waits until it holds its lease. Raises Transient."""
    child = subprocess.Popen(
        [sys.executable, "-m", "myi_pipeline.cli.shell_environment", str(owner.pid), repr(owner.create_time())],
        # All standard streams: `$(...)` would wait for a keeper that holds its pipe.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=children_environment() | settings.environment(),
        encoding="utf-8",
        start_new_session=True,
        cwd="/",
    )
    assert child.stdout is not None
    with child.stdout as answers:
        if answers.readline().strip() != READY:
            raise Transient("the embedded Postgres could not be kept running for this shell; see: myi doctor")


class _Ended(BaseException):
    """Raised when a signal asks to end."""


def _end(_: int, __: FrameType | None) -> None:
    raise _Ended


def main() -> None:
    pid, started_at = int(sys.argv[1]), float(sys.argv[2])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    # The shell's terminal may close before the shell has ended.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with contextlib.suppress(_Ended):
        keep(load_settings(), pid=pid, started_at=started_at)


def keep(settings: Settings, *, pid: int, started_at: float) -> None:
    """Holds a lease until the process has ended; a second keeper for the same process exits at once."""
    from myi_pipeline.postgres.embedded import embedded_server
    from myi_pipeline.postgres.role_passwords import private_folder

    path = private_folder(settings.home / "keepers") / f"{pid}-{int(started_at * 1000)}"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say_ready()
        return
    try:
        with embedded_server(settings.home):
            _say_ready()
            while _is_alive(pid, started_at):
                time.sleep(_LOOK_EVERY_S)
    finally:
        path.unlink(missing_ok=True)


def _say_ready() -> None:
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _is_alive(pid: int, started_at: float) -> bool:
    try:
        process = psutil.Process(pid)
        # Pids are reused; the start time distinguishes the two processes.
        return process.create_time() == started_at and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _standard_output(process: psutil.Process) -> tuple[int, int] | None:
    """The pipe or file that it writes to; None for a terminal, or if the system does not reveal it."""
    try:
        found = os.stat(f"/proc/{process.pid}/fd/1")
    except OSError:
        return None
    is_passed_on = stat.S_ISFIFO(found.st_mode) or stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode)
    return (found.st_dev, found.st_ino) if is_passed_on else None


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


if __name__ == "__main__":
    main()
