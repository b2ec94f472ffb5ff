"""The API as one ASGI application.

Belongs here: putting layers and routes together, and the contract's outer parts. Not here: what any of them does.
Invariant: the order of the layers: an id before anything can fail, headers on every answer, refusals before routes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from myi_pipeline import __version__
from myi_pipeline.api import pages, problems
from myi_pipeline.api.assets import Assets
from myi_pipeline.api.contract import describe_app
from myi_pipeline.api.cursors import Cursors
from myi_pipeline.api.database import Pools
from myi_pipeline.api.metrics import Metrics
from myi_pipeline.api.requests import Boundary, Requests
from myi_pipeline.api.routes import account, figures, health, imports, plays, sign_in, top
from myi_pipeline.api.routes.pages import router as page_routes
from myi_pipeline.api.security.body_limits import BodyLimits
from myi_pipeline.api.security.headers import SecurityHeaders
from myi_pipeline.api.security.known_visitors import KnownVisitors
from myi_pipeline.api.security.rate_limits import RateLimits
from myi_pipeline.api.security.same_site import SameSite
from myi_pipeline.api.site import Site
from myi_pipeline.api.streams import Streams
from myi_pipeline.api.uploads import FORM_BYTES
from myi_pipeline.services.local_keys import local_key
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Warehouse

_WORTH_COMPRESSING_BYTES = 1_024
UPLOADS, UPLOAD_FORM = ("POST", "/v1/me/imports"), ("POST", "/imports")


def create_app(settings: Settings, warehouse: Warehouse) -> FastAPI:
    """The whole site. Opens connections when it starts and closes them when it ends."""
    site = _site(settings, warehouse)
    app = _app(site, title="MYI", version=__version__, openapi_url="/v1/openapi.json")
    for group in (figures, top, plays, imports, account):
        app.include_router(group.router)
    if settings.metrics_port is None:
        app.include_router(health.router)
    app.include_router(sign_in.make_router(settings))
    app.include_router(page_routes)
    app.mount("/static", Assets(), name="static")
    return app


def create_health_app(app: FastAPI) -> FastAPI:
    """Health and metrics alone, for a listener of their own; shares everything with the site."""
    site: Site = app.state.site
    made = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    made.state.site = site
    made.include_router(health.router)
    problems.install(made)
    made.add_middleware(Boundary)
    made.add_middleware(SecurityHeaders, settings=site.settings)
    made.add_middleware(Requests, observe=site.metrics.observe)
    return made


def _site(settings: Settings, warehouse: Warehouse) -> Site:
    return Site(
        settings=settings,
        warehouse=warehouse,
        pools=Pools(settings, warehouse),
        visitors=KnownVisitors(),
        limits=RateLimits(settings),
        metrics=Metrics(),
        cursors=Cursors(local_key(settings, "cursors")),
        streams=Streams(),
    )


def _app(site: Site, **contract: Any) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await site.pools.open()
        try:
            yield
        finally:
            await site.pools.close()

    settings = site.settings
    # The interactive pages of FastAPI load their scripts from elsewhere, which this site never does.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False, **contract)
    app.state.site = site
    app.openapi = partial(describe_app, app)  # type: ignore[method-assign]
    problems.install(app, as_page=pages.as_page)
    pages.install(app)
    app.add_middleware(Boundary)
    most = settings.api_max_upload_bytes
    app.add_middleware(BodyLimits, larger={UPLOADS: most, UPLOAD_FORM: most + FORM_BYTES}, as_page=pages.as_page)
    app.add_middleware(GZipMiddleware, minimum_size=_WORTH_COMPRESSING_BYTES, compresslevel=4)
    if settings.cors_origin_list:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origin_list,
            allow_methods=["GET"],
            allow_headers=["Authorization", "If-None-Match"],
            expose_headers=["ETag", "Link", "Retry-After", "X-Request-ID"],
            allow_credentials=False,
        )
    app.add_middleware(SameSite, settings=settings, free_paths=health.PATHS)
    app.add_middleware(SecurityHeaders, settings=settings)
    app.add_middleware(Requests, observe=site.metrics.observe)
    return app
