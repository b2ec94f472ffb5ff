"""Replacing the data folder by one of a newer Postgres. If that is killed, the home still has one of the two.

A record is written before the upgrade begins and removed when it is over. If there is one, its writer was killed, as it
held the home's lock. The next process then ends remaining processes of the upgrade, and completes or undoes the
replacement.
"""

from __future__ import annotations

import json
import logging
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.embedded import processes
from myi_pipeline.postgres.role_passwords import write_private

log = logging.getLogger(__name__)

_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Replacement:
    """Names of folders next to `data`: that of the new data, and the later one of the old data."""

    new: str
    old: str


def begin(own: Path, replacement: Replacement) -> None:
    write_private(_record(own), json.dumps(asdict(replacement)) + "\n")


def swap(own: Path, area: Path, replacement: Replacement) -> None:
    """Replace the old data by the new. If killed between the two steps, `settle` completes it."""
    os.rename(area / "data", area / replacement.old)
    os.rename(area / replacement.new, area / "data")
    end(own)


def end(own: Path) -> None:
    _record(own).unlink(missing_ok=True)


def settle(own: Path, area: Path) -> None:
    """Complete or undo a killed upgrade. The caller holds the home's lock. Raises Permanent."""
    try:
        found = json.loads(_record(own).read_text(encoding="utf-8"))
        replacement = Replacement(str(found["new"]), str(found["old"]))
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        raise Permanent(f"{_record(own)} is damaged: remove it, if {area / 'data'} is the database") from None
    _end_processes(area, replacement)
    data, new, old = area / "data", area / replacement.new, area / replacement.old
    if not data.exists():
        # The new data were complete, or the old ones would still be in place.
        source = new if new.exists() else old
        log.warning("completing an upgrade of the database that was killed: %s becomes %s", source, data)
        os.rename(source, data)
    end(own)


def _end_processes(area: Path, replacement: Replacement) -> None:
    """End programs that work on the new data, and a server that pg_upgrade started on the old data (`-b`)."""
    found = []
    mark = str(area / replacement.new)
    server = processes.running_in(area / "data")
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            is_left = any(mark in word for word in words) or (process == server and "-b" in words)
            if is_left and process.pid != os.getpid():
                found.append(process)
                # A fast, clean shutdown for a server; also ends other programs.
                process.send_signal(signal.SIGINT)
    if found:
        log.warning("ending %d processes that a killed upgrade of the database left behind", len(found))
        processes.end(found, patience_s=_PATIENCE_S)


def _record(own: Path) -> Path:
    return own / "upgrade.json"
