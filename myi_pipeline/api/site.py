"""What all routes of one running API share.

Belongs here: the object that `create_app` makes once, and finding it from a request. Invariant: nothing of it is
global, so that tests run several side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from myi_pipeline.api.cursors import Cursors
from myi_pipeline.api.database import Pools
from myi_pipeline.api.metrics import Metrics
from myi_pipeline.api.security.known_visitors import KnownVisitors
from myi_pipeline.api.security.rate_limits import RateLimits
from myi_pipeline.api.streams import Streams
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Warehouse


@dataclass(frozen=True)
class Site:
    settings: Settings
    warehouse: Warehouse
    pools: Pools
    visitors: KnownVisitors
    limits: RateLimits
    metrics: Metrics
    cursors: Cursors
    streams: Streams


async def site_of(connection: HTTPConnection) -> Site:
    site: Site = connection.app.state.site
    return site


TheSite = Annotated[Site, Depends(site_of)]
