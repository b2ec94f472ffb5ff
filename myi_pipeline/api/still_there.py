"""Whether a server that is silent still answers anybody.

Belongs here: the question, by the cheapest means there is. Not here: what follows from it (exchange.py). Invariants: it
takes none of the server's connections and needs no password; whoever asks knows within PATIENCE_S.
"""

from __future__ import annotations

import asyncio
import struct
from pathlib import PurePosixPath

# A statement that runs for long and a server that stands still look the same; after so long a silence we ask.
SILENCE_S = 0.4
PATIENCE_S = 0.6
# Whether TLS is spoken: answered with one letter before any sign-in, also by a server whose connections are all taken.
# https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


async def is_still_there(host: str, port: int) -> bool:
    """Whether the server at this address, or in this folder's socket, answers a newcomer."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await _connect(host, port)
            try:
                writer.write(_SSL_REQUEST)
                return len(await reader.read(1)) == 1
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if host.startswith("/"):
        return await asyncio.open_unix_connection(PurePosixPath(host) / f".s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)
