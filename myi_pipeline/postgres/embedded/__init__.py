"""An embedded Postgres: one server for each MYI_HOME, shared by all of its processes.

It runs as long as a process holds a lease on it; if the last holder is killed, until the next process starts or ends.
The only access from outside is for one role over an optional loopback port. MYI never changes the mode of a folder that
it did not create.
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
    """The running server of this home, with an optional port, for the duration of the context.

    Raises Permanent, Transient, Busy.
    """
    server = EmbeddedServer(home, tcp=tcp)
    try:
        yield server
    finally:
        server.close()


def open_sql_port(home: Path) -> SqlPort | None:
    """The port opened by a running process of this home, if any; starts nothing."""
    return claimed(home / "postgres")
