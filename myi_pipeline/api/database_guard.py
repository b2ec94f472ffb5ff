"""Bringing the embedded Postgres back when it died under a running site.

Belongs here: noticing and starting it again. Not here: how (warehouse/embedded), nor a server of somebody else, which
its own people start. Invariant: a server that runs but does not answer is waited for, never ended.
"""

from __future__ import annotations

import asyncio

import structlog
from starlette.concurrency import run_in_threadpool

from myi_pipeline.api.site import Site
from myi_pipeline.core.errors import MyiError
from myi_pipeline.warehouse.embedded import EmbeddedServer

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 1.0
_PAUSE_AFTER_FAILURE_S = 10.0


async def keep_embedded_server(site: Site) -> None:
    """Until cancelled. Costs nothing while requests are served."""
    held: EmbeddedServer | None = None
    try:
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if not site.pools.is_gone:
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
            site.pools.is_gone = False
            log.warning("embedded_database_is_back")
    finally:
        if held is not None:
            held.close()
