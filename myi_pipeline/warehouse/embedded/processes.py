"""Which processes are ours.

Belongs here: telling this data folder's server from everything else that may run under a number. Invariant: a process
is never signalled, nor waited for, on the strength of its number alone: numbers are reused.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from myi_pipeline.warehouse.embedded.places import Places


def postmaster(places: Places) -> psutil.Process | None:
    """The running server of this data folder, by its own pid file; None when that file is stale or missing."""
    try:
        first = (places.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0]
        process = psutil.Process(int(first))
        return process if _is_postmaster(process, places.data) else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def survivors(places: Places) -> list[psutil.Process]:
    """Every process of this data folder's server, also those that outlived their postmaster."""
    found = []
    # The title of each child is "postgres: <cluster name>: what it does"; the name is drawn at random for each home.
    title = f"postgres: {places.cluster_name}: "
    for process in psutil.process_iter():
        try:
            if _is_postmaster(process, places.data) or " ".join(process.cmdline()).startswith(title):
                found.append(process)
        except psutil.Error:
            continue
    return found


def end(processes: list[psutil.Process], *, patience_s: float) -> None:
    """Let processes that lost their postmaster finish, then ask, then make them."""
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


def _is_postmaster(process: psutil.Process, data: Path) -> bool:
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    words = process.cmdline()
    if not words or Path(words[0]).name != "postgres" or "-D" not in words[:-1]:
        return False
    return Path(words[words.index("-D") + 1]) == data
