"""The port for BI tools: one role, one database, connections from this machine only.

A claim ends with its process at the latest, because it is a flock, which the kernel releases. Claims are made and
released under the home's lock.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from myi_pipeline.errors import Busy, Permanent
from myi_pipeline.postgres.embedded.places import SOCKET_NAME, Places
from myi_pipeline.postgres.embedded.socket_folders import LONGEST_SOCKET_PATH

LOOPBACK = "127.0.0.1"
USUAL_PORT = 5432
# Connections from other addresses of this machine are refused; "localhost" can be either of these.
_NETWORKS = ("127.0.0.1/32", "::1/128")


@dataclass(frozen=True)
class SqlPort:
    """The port, with the names of the role and the database on the server."""

    port: int
    role: str
    database: str

    def rules(self) -> str:
        """Lines for pg_hba.conf; everything else is refused. Quoting disables the special meaning of names."""
        return "".join(f'host "{self.database}" "{self.role}" {network} scram-sha-256\n' for network in _NETWORKS)


class Claim:
    """This process's claim to the port, until it is released or the process ends."""

    def __init__(self, own: Path, wanted: SqlPort) -> None:
        """Raises Busy. The caller holds the home's lock."""
        self._path = _file(own)
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise Busy("another `myi up` has the SQL port open: end that one first") from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, json.dumps(asdict(wanted)).encode())

    def release(self) -> None:
        """The caller holds the home's lock."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)


def claimed(own: Path) -> SqlPort | None:
    """The port that a running process has claimed, if any."""
    try:
        handle = os.open(_file(own), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # A reader without the home's lock may find the file still empty, between its locking and its first write.
        with suppress(ValueError, TypeError):
            return SqlPort(**json.loads(os.read(handle, 4096)))
    finally:
        os.close(handle)
    return None


def _file(own: Path) -> Path:
    return own / "sql-port"


def refuse_unusable(wanted: SqlPort, where: Places) -> None:
    """Raises Permanent if the port is in use, or the path of its socket too long. The server must be down."""
    if len(os.fsencode(where.socket / _socket_name(wanted.port))) > LONGEST_SOCKET_PATH:
        raise Permanent(f"the path of the database's socket leaves no room for port {wanted.port}: use one below 10000")
    with socket.socket() as probe:
        # As servers do, so that remains of earlier connections do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted.port))
        except OSError:
            raise Permanent(
                f"port {wanted.port} is in use on {LOOPBACK}: choose another with --sql-port or MYI_SQL_PORT,"
                " or stop what listens there"
            ) from None


def name_socket(wanted: SqlPort | None, where: Places) -> None:
    """Postgres names its socket after its port; clients find it under this link, whatever the port is."""
    if wanted is not None and wanted.port != USUAL_PORT:
        (where.socket / SOCKET_NAME).symlink_to(_socket_name(wanted.port))


def _socket_name(port: int) -> str:
    return SOCKET_NAME.replace(str(USUAL_PORT), str(port))
