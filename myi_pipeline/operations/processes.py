"""Processes of this host by marks that no other process has: ids are used again, and clocks are set while they run."""

from __future__ import annotations

import socket
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import psutil

from myi_pipeline.settings import Settings

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")


def installation_name(settings: Settings) -> str:
    """This host and home as one name. A copy of a home has another, on the same host or elsewhere."""
    host = socket.gethostname()
    with suppress(OSError):
        machine = _MACHINE_ID.read_text(encoding="ascii").strip()
        inode = settings.home.stat().st_ino
        digest = sha256(f"{machine}\0{host}\0{settings.home}\0{inode}".encode()).hexdigest()
        return f"{host}-{digest[:12]}"
    return f"{host}-{sha256(f'{host}{settings.home}'.encode()).hexdigest()[:12]}"


def this_boot() -> str:
    """Changes when the machine is restarted; empty where the system does not say."""
    with suppress(OSError):
        return _BOOT_ID.read_text(encoding="ascii").strip()
    return ""


def process_mark(pid: int) -> str | None:
    """A process as "id:start"; the start does not move when the clock is set. None when it has ended."""
    if _BOOT_ID.exists():
        with suppress(OSError, IndexError):
            # The name in parentheses may hold spaces; the state is the first field after it, the start the 20th.
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            return None if fields[0] in "ZX" else f"{pid}:{fields[19]}"
        return None
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{pid}:{process.create_time()}"
    return None


def is_alive(mark: str) -> bool:
    return process_mark(int(mark.partition(":")[0])) == mark
