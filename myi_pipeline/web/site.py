"""What all routes of one running site share. None of it is global, so tests run several sites side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from anyio import CapacityLimiter
from fastapi import Depends
from starlette.requests import HTTPConnection

from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.sharing.visits import Visits
from myi_pipeline.storage.links import Links
from myi_pipeline.web.metrics import Metrics
from myi_pipeline.web.playlist_files import ExportWorkers
from myi_pipeline.web.reads.cursors import Cursors
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.security.rate_limits import Guesses, RateLimits
from myi_pipeline.web.security.visitors import KnownVisitors
from myi_pipeline.web.streams import Streams
from myi_pipeline.web.uploads import UploadWorkers

# The page on which a person lets an app in, below which the API sends people to the attempt of theirs.
APP_SIGN_IN_PAGE = "/sign-in/app"
_DRAWN_AT_ONCE = 2


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
    links: Links
    exports: ExportWorkers = field(default_factory=ExportWorkers)
    guesses: Guesses = field(default_factory=Guesses)
    visits: Visits = field(default_factory=Visits)
    # Places for drawing pictures.
    drawing: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(_DRAWN_AT_ONCE))


async def site_of(connection: HTTPConnection) -> Site:
    site: Site = connection.app.state.site
    return site


TheSite = Annotated[Site, Depends(site_of)]
