"""An embedded Postgres: one server for each MYI_HOME, shared by all of its processes.

Belongs here: supervising the server. What it holds is no matter of this folder. Invariant: it runs exactly while
somebody holds a lease on it (or until the next start or end after a holder was killed), nobody else can connect to it,
and no folder that MYI did not make changes its mode.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from myi_pipeline.warehouse.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "embedded_server"]


@contextmanager
def embedded_server(home: Path) -> Iterator[EmbeddedServer]:
    """The running server of this home, for as long as the context lasts. Raises Permanent, Transient, Busy."""
    server = EmbeddedServer(home)
    try:
        yield server
    finally:
        server.close()
