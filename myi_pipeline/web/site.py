"""What all routes of one running site share. None of it is global, so tests run several sites side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.web.metrics import Metrics
from myi_pipeline.web.reads.cursors import Cursors
from myi_pipeline.web.reads.database import Pools
from myi_pipeline.web.security.rate_limits import Guesses, RateLimits
from myi_pipeline.web.security.visitors import KnownVisitors
from myi_pipeline.web.streams import Streams
from myi_pipeline.web.uploads import UploadWorkers


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
    uploads: UploadWorkers
    guesses: Guesses = field(default_factory=Guesses)


async def site_of(connection: HTTPConnection) -> Site:
    site: Site = connection.app.state.site
    return site


TheSite = Annotated[Site, Depends(site_of)]
