"""Identifying our processes.

A process id alone is never enough to signal or wait for a process, as ids are reused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from myi_pipeline.postgres.embedded.places import Places


def postmaster(places: Places) -> psutil.Process | None:
    """The running server of this data folder, by its pid file; None if that is stale or missing."""
    return running_in(places.data)


def running_in(data: Path) -> psutil.Process | None:
    """The running server of any data folder, by its pid file; None if that is stale or missing."""
    process = _named_by(data)
    return process if process is not None and _is_postmaster(process, data) else None


def is_served_elsewhere(data: Path) -> bool:
    """Whether the pid file names a server that runs on another folder, so that these data were copied while it ran."""
    process = _named_by(data)
    return process is not None and _program(process) == "postgres" and not _is_postmaster(process, data)


def survivors(places: Places) -> list[psutil.Process]:
    """All processes of this data folder's server, including those that have outlived their postmaster."""
    found = []
    # Titles of child processes are "postgres: <cluster name>: ..."; the name is random for each home.
    title = f"postgres: {places.cluster_name}: "
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            is_child = words.startswith("postgres: ") and _works_in(process, places.data, unless=title in words)
            if is_child or _is_postmaster(process, places.data):
                found.append(process)
        except psutil.Error:
            continue
    return found


def end(processes: list[psutil.Process], *, patience_s: float) -> None:
    """End processes that lost their postmaster: wait for them, then terminate, then kill them."""
    _, left = psutil.wait_procs(processes, timeout=patience_s)
    for process in left:
        _signal(process, force=False)
    _, left = psutil.wait_procs(left, timeout=patience_s)
    for process in left:
        _signal(process, force=True)
    psutil.wait_procs(left, timeout=patience_s)


def _signal(process: psutil.Process, *, force: bool) -> None:
    try:
        if force:
            process.kill()
        else:
            process.terminate()
    except psutil.NoSuchProcess:
        pass


def _named_by(data: Path) -> psutil.Process | None:
    try:
        first = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
        return psutil.Process(int(first))
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _program(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return Path(words[0]).name if words else ""


def _is_postmaster(process: psutil.Process, data: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        words = process.cmdline()
    except psutil.Error:
        return False
    if not words or Path(words[0]).name != "postgres" or "-D" not in words[:-1]:
        return False
    return _works_in(process, data, unless=Path(words[words.index("-D") + 1]) == data)


def _works_in(process: psutil.Process, data: Path, *, unless: bool) -> bool:
    """Whether this is the working folder of the process, as the data folder is for a server. This still works after the
    folder was moved, and distinguishes a copy from its original. Returns `unless` if the system does not tell (root in
    a container)."""
    try:
        works_in = os.stat(f"/proc/{process.pid}/cwd" if sys.platform == "linux" else process.cwd())
        return os.path.samestat(works_in, data.stat())
    except (PermissionError, psutil.AccessDenied):
        return unless
    except (OSError, psutil.Error):
        return False
