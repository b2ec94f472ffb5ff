"""Running the site: its listeners in one process and one event loop, and the embedded Postgres under it.

Nothing listens anywhere but where the settings say, which is loopback by default.
"""

from __future__ import annotations

import asyncio
import gc

import structlog
import uvicorn
import uvloop
from starlette.concurrency import run_in_threadpool

from myi_pipeline.errors import MyiError
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.postgres.embedded import EmbeddedServer
from myi_pipeline.settings import Settings
from myi_pipeline.web.app import create_app, create_health_app
from myi_pipeline.web.connection_limits import ConnectionLimits, keep_connections, server_config
from myi_pipeline.web.site import Site

# Long enough for an upload's last bytes; a stream of events ends with its client or here.
_GRACE_S = 5
_LOOK_EVERY_S = 1.0
_PAUSE_AFTER_FAILURE_S = 10.0

log = structlog.get_logger(__name__)


def run_api(settings: Settings, warehouse: Warehouse) -> None:
    """Serve until SIGINT or SIGTERM."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, warehouse))


async def _serve(settings: Settings, warehouse: Warehouse) -> None:
    app = create_app(settings, warehouse)
    # What is there now stays: looking through it for garbage held every request up for 60 ms, again and again.
    gc.collect()
    gc.freeze()
    limits = ConnectionLimits(per_address=settings.api_client_connections, uncapped=settings.trusted_networks)
    kept = keep_connections(limits)
    places = [(app, settings.api_port)]
    if settings.metrics_port is not None:
        places.append((create_health_app(app), settings.metrics_port))
    servers = [
        uvicorn.Server(server_config(each, kept, host=settings.api_host, port=port, grace_s=_GRACE_S))
        for each, port in places
    ]
    running = [asyncio.create_task(server.serve()) for server in servers]
    guard = asyncio.create_task(_keep_embedded_server(app.state.site)) if warehouse.embedded else None
    await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for server in servers:
        server.should_exit = True
    await asyncio.gather(*running)
    if guard is not None:
        guard.cancel()
        await asyncio.wait({guard})


async def _keep_embedded_server(site: Site) -> None:
    """Starts the embedded Postgres again when it has died under a running site, until cancelled.

    A server that runs but does not answer is waited for, never ended; one that is not embedded is left to its owner.
    """
    held: EmbeddedServer | None = None
    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if not site.pools.outage.is_known:
                continue
            log.warning("embedded_database_gone")
            try:
                found = await run_in_threadpool(EmbeddedServer, site.settings.home)
            except MyiError as error:
                log.error("embedded_database_not_started", reason=str(error))
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)
                continue
            if held is not None:
                await run_in_threadpool(held.close)
            held = found
            site.pools.outage.is_known = False
            log.warning("embedded_database_is_back")
    finally:
        if held is not None:
            held.close()
