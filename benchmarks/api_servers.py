"""Child processes of the benchmark: the API as `myi api` runs it, and a bare application beside it.

    python -m benchmarks.api_servers api|bare PORT

The bare one is what is left when everything is taken away but the statements of a read: no routes, no checks, no
version, no transaction; each connection of its pool has the user set once, so the same row security holds. It reads as
psycopg does by itself, with its pool, prepared statements and rows; its JSON is made by the same library.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any
from urllib.parse import parse_qs

import orjson
import psycopg
import uvicorn
import uvloop
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from benchmarks.api_statements import reads
from myi_pipeline.logs import configure_logs
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Role
from myi_pipeline.settings import load_settings
from myi_pipeline.web.server import run_api


async def serve_bare(url: str, port: int, *, user_id: int, artist_id: int) -> None:
    async def configure(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("select set_config('app.user_id', %s, false)", (str(user_id),))

    statements = {
        read.name: [(each.sql, {"user_id": user_id, **each.values}) for each in read.statements]
        for read in reads(artist_id=artist_id)
    }
    pool = AsyncConnectionPool(
        url, min_size=8, max_size=8, open=False, configure=configure, kwargs={"autocommit": True}
    )
    await pool.open(wait=True)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        found = []
        async with pool.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            for sql, values in statements[parse_qs(scope["query_string"].decode())["read"][0]]:
                await cursor.execute(sql, values)
                found.append(await cursor.fetchall())
        body = orjson.dumps({"data": found}, option=orjson.OPT_UTC_Z)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, host="127.0.0.1", port=port, access_log=False, log_config=None, lifespan="off")
    await uvicorn.Server(config).serve()


def main() -> None:
    which, port = sys.argv[1], int(sys.argv[2])
    settings = load_settings()
    configure_logs(level=settings.log_level.value, layout=settings.log_format.value)
    with open_warehouse(settings) as warehouse:
        if which == "api":
            run_api(settings, warehouse)
            return
        user_id, artist_id = int(os.environ["BENCH_USER"]), int(os.environ["BENCH_ARTIST"])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_bare(warehouse.url(Role.API), port, user_id=user_id, artist_id=artist_id))


if __name__ == "__main__":
    main()
