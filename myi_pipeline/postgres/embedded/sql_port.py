"""The port by which BI tools reach the server: one role, one database, this machine.

A claim lives exactly as long as the process that asked, because it is a flock that the kernel drops with it; claims are
made and given up under the home's lock.
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
# Postgres itself would take any address of the machine; a tool that says "localhost" may come from either of these.
_NETWORKS = ("127.0.0.1/32", "::1/128")


@dataclass(frozen=True)
class SqlPort:
    """Where the role may reach the database, both by their names on the server."""

    port: int
    role: str
    database: str

    def rules(self) -> str:
        """Lines of pg_hba.conf; what no line names is refused. Quoted names mean nothing but themselves."""
        return "".join(f'host "{self.database}" "{self.role}" {network} scram-sha-256\n' for network in _NETWORKS)


class Claim:
    """This process's wish for the port, for as long as it lives."""

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
    """The port that a living process asked for."""
    try:
        handle = os.open(_file(own), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        # Between its flock and its first byte a claim is empty, for a process that looks without the home's lock.
        with suppress(ValueError, TypeError):
            return SqlPort(**json.loads(os.read(handle, 4096)))
    finally:
        os.close(handle)
    return None


def _file(own: Path) -> Path:
    return own / "sql-port"


def refuse_unusable(wanted: SqlPort, where: Places) -> None:
    """Raises Permanent when the port is in use, or when its socket's name is too long; the server is down."""
    if len(os.fsencode(where.socket / _socket_name(wanted.port))) > LONGEST_SOCKET_PATH:
        raise Permanent(f"the path of the database's socket leaves no room for port {wanted.port}: use one below 10000")
    with socket.socket() as probe:
        # As servers do: the remains of an earlier connection are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted.port))
        except OSError:
            raise Permanent(
                f"port {wanted.port} is in use on {LOOPBACK}: choose another with --sql-port or MYI_SQL_PORT,"
                " or stop what listens there"
            ) from None


def name_socket(wanted: SqlPort | None, where: Places) -> None:
    """Postgres names its socket after its port; under this link everybody finds it whatever the port is."""
    if wanted is not None and wanted.port != USUAL_PORT:
        (where.socket / SOCKET_NAME).symlink_to(_socket_name(wanted.port))


def _socket_name(port: int) -> str:
    return SOCKET_NAME.replace(str(USUAL_PORT), str(port))
