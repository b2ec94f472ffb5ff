"""Running the API: its listeners, in one process and one loop.

Belongs here: sockets, signals and uvicorn's settings. Not here: what is served. Invariants: nothing listens anywhere
but where the settings say, which is loopback unless told otherwise; uvicorn logs no address and believes no header.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
import uvloop

from myi_pipeline.api.app import create_app, create_health_app
from myi_pipeline.api.database_guard import keep_embedded_server
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Warehouse

# Long enough for an upload's last bytes; a stream of events ends with its client or here.
_GRACE_S = 5


def run_api(settings: Settings, warehouse: Warehouse) -> None:
    """Serve until SIGINT or SIGTERM."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, warehouse))


async def _serve(settings: Settings, warehouse: Warehouse) -> None:
    app = create_app(settings, warehouse)
    servers = [_server(app, settings, settings.api_port)]
    if settings.metrics_port is not None:
        servers.append(_server(create_health_app(app), settings, settings.metrics_port))
    running = [asyncio.create_task(server.serve()) for server in servers]
    guard = asyncio.create_task(keep_embedded_server(app.state.site)) if warehouse.embedded else None
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)
    if guard is not None:
        guard.cancel()
        await asyncio.wait({guard})


def _server(app: Any, settings: Settings, port: int) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.api_host,
            port=port,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=1_000,
            h11_max_incomplete_event_size=64 * 1024,
        )
    )
