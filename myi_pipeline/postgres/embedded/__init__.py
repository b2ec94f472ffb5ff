"""An embedded Postgres: one server for each MYI_HOME, shared by all of its processes.

It runs exactly while a process holds a lease on it (or until the next start or end after a holder was killed). Nobody
else can connect to it, except one role over a loopback port that was asked for, and no folder that MYI did not make
changes its mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from myi_pipeline.postgres.embedded.server import EmbeddedServer, adopt
from myi_pipeline.postgres.embedded.sql_port import SqlPort, claimed

__all__ = ["EmbeddedServer", "SqlPort", "adopt", "embedded_server", "open_sql_port"]


@contextmanager
def embedded_server(home: Path, *, tcp: SqlPort | None = None) -> Iterator[EmbeddedServer]:
    """The running server of this home, and a port if asked for, as long as the context lasts.

    Raises Permanent, Transient, Busy.
    """
    server = EmbeddedServer(home, tcp=tcp)
    try:
        yield server
    finally:
        server.close()


def open_sql_port(home: Path) -> SqlPort | None:
    """The port that a living process of this home has open; starts nothing."""
    return claimed(home / "postgres")
