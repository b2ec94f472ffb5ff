"""What the embedded server is told: its configuration, written anew at every start.

Belongs here: sizes and rules. Durability is not for sale: fsync, full_page_writes and synchronous_commit stay on.
Invariant: no TCP port but a loopback one that was asked for, no connection without a password, no statement text in the
log.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from myi_pipeline.warehouse.embedded.places import Places
from myi_pipeline.warehouse.embedded.sql_port import LOOPBACK, USUAL_PORT

HBA = "# Written by MYI at every start.\nlocal all all scram-sha-256\n"
MIB = 1024 * 1024


def memory_bytes() -> int:
    """What this machine, or the container around us, has."""
    total = int(psutil.virtual_memory().total)
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total


def configuration(places: Places, *, memory: int, tcp_port: int | None = None) -> str:
    """The text of myi.conf."""

    def share(part: int, least_mib: int, most_mib: int) -> str:
        return f"{max(least_mib, min(most_mib, memory // part // MIB))}MB"

    settings = {
        "cluster_name": places.cluster_name,
        "listen_addresses": LOOPBACK if tcp_port is not None else "",
        "port": str(tcp_port or USUAL_PORT),
        "unix_socket_directories": '"' + str(places.socket).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        "password_encryption": "scram-sha-256",
        "max_connections": "100",
        "shared_buffers": share(8, 64, 1024),
        "effective_cache_size": share(2, 256, 65536),
        "work_mem": share(256, 4, 64),
        "maintenance_work_mem": share(32, 64, 512),
        "dynamic_shared_memory_type": _dynamic_memory(),
        # Imports come in bursts: fewer, larger checkpoints, each paid for once.
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        # Compiling costs more than any of our queries takes.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "update_process_title": "on",
        # One file for each day of the week, written over a week later.
        "logging_collector": "on",
        "log_directory": str(places.log),
        "log_filename": "postgres-%a.log",
        "log_file_mode": "0600",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_truncate_on_rotation": "on",
        "log_min_messages": "warning",
        "log_statement": "none",
        # Statements hold people's data.
        "log_min_error_statement": "panic",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
    }
    lines = [f"{name} = '{_escaped(value)}'" for name, value in settings.items()]
    return "\n".join(
        ["# Written by MYI at every start; put your own lines into postgresql.conf, below the include.", *lines, ""]
    )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _dynamic_memory() -> str:
    """Containers often give /dev/shm 64 MB, which one parallel query can fill; files are slower, but there is room."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return "posix"
    return "posix" if found.f_blocks * found.f_frsize >= 512 * MIB else "mmap"
