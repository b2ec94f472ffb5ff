"""The site as one ASGI application: middleware, routes and pages put together.

The order of middleware matters: a request has an id before anything can fail, every answer gets its headers, and
refusals come before routes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from myi_pipeline import __version__
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.providers.shared_keys import shared_keys
from myi_pipeline.settings import Settings
from myi_pipeline.storage.links import Links
from myi_pipeline.web import downloads, playlist_uploads, problems
from myi_pipeline.web.api.openapi import describe_app
from myi_pipeline.web.api.routes import (
    account,
    attempts,
    figures,
    genres,
    health,
    imports,
    listenbrainz,
    live,
    migration_events,
    plays,
    search,
    top,
)
from myi_pipeline.web.api.routes import corrections as correction_routes
from myi_pipeline.web.api.routes import erasure as erasure_routes
from myi_pipeline.web.api.routes import made_playlists as made_playlist_routes
from myi_pipeline.web.api.routes import migrations as migration_routes
from myi_pipeline.web.api.routes import music as music_routes
from myi_pipeline.web.api.routes import notices as notice_routes
from myi_pipeline.web.api.routes import own_playlists as own_playlist_routes
from myi_pipeline.web.api.routes import playlist_files as playlist_file_routes
from myi_pipeline.web.api.routes import playlists as playlist_routes
from myi_pipeline.web.api.routes import recordings as recording_routes
from myi_pipeline.web.api.routes import saved_migrations as saved_migration_routes
from myi_pipeline.web.api.routes import shares as share_routes
from myi_pipeline.web.api.routes import take_away as take_away_routes
from myi_pipeline.web.dashboard import account as account_page
from myi_pipeline.web.dashboard import (
    app_sign_in,
    corrections,
    coverage,
    covers,
    erasure,
    history,
    household,
    import_stages,
    insights,
    migration_keeping,
    migration_reports,
    migration_stages,
    migrations,
    music,
    on_this_day,
    overview,
    pages,
    provider_links,
    recordings,
    search_page,
    sessions,
    shared_page,
    shares,
    shows,
    sign_in,
    stories,
    top_lists,
    years,
)
from myi_pipeline.web.dashboard import genres as genres_page
from myi_pipeline.web.dashboard import imports as imports_page
from myi_pipeline.web.dashboard import live as live_page
from myi_pipeline.web.dashboard import notices as notices_page
from myi_pipeline.web.dashboard import playlist_keeping as playlist_keeping_page
from myi_pipeline.web.dashboard import playlists as playlists_page
from myi_pipeline.web.dashboard import services as services_page
from myi_pipeline.web.dashboard import take_away as take_away_page
from myi_pipeline.web.dashboard.assets import Assets
from myi_pipeline.web.metrics import Metrics
from myi_pipeline.web.middleware.body_limits import BodyLimitMiddleware
from myi_pipeline.web.middleware.error_boundary import ErrorBoundaryMiddleware
from myi_pipeline.web.middleware.methods import MethodsMiddleware
from myi_pipeline.web.middleware.request_log import RequestLogMiddleware
from myi_pipeline.web.middleware.same_site import SameSiteMiddleware
from myi_pipeline.web.middleware.scrobbler_paths import ScrobblerPathsMiddleware
from myi_pipeline.web.middleware.security_headers import SecurityHeadersMiddleware
from myi_pipeline.web.middleware.seen import SeenMiddleware
from myi_pipeline.web.reads.cursors import Cursors
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.security.rate_limits import RateLimits
from myi_pipeline.web.security.visitors import KnownVisitors
from myi_pipeline.web.shown.looks import LookMiddleware
from myi_pipeline.web.site import Site
from myi_pipeline.web.site_path import FilesBelow, SitePathMiddleware
from myi_pipeline.web.streams import Streams
from myi_pipeline.web.uploads import FORM_BYTES, UploadWorkers

_WORTH_COMPRESSING_BYTES = 1_024
_PAGES = (
    overview, live_page, top_lists, music, recordings, covers, shows, years, stories, insights, genres_page,
    # Before the page of one playlist, of which "exports" is no number.
    playlist_keeping_page,
    playlists_page, migration_stages, migrations, on_this_day, history, search_page, sessions, corrections, coverage,
    import_stages, imports_page, account_page, services_page, take_away_page, app_sign_in, erasure, shares,
    household, shared_page, notices_page, migration_keeping, migration_reports,
)  # fmt: skip
UPLOADS, UPLOAD_FORM = ("POST", "/v1/me/imports"), ("POST", "/imports")


class _PageCompressionMiddleware(GZipMiddleware):
    """Compresses pages and their files. Answers of the API agree their encoding with the client themselves, because
    their ETags name it.

    Lengths of compressed pages tell strangers nothing (BREACH): they hold no secret but a token or link in the answer
    to a form of this site's own page, and other sites' requests come without the session's cookie (SameSite) or,
    where they lead the whole window here, hold nothing but figures.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_api = scope["type"] == "http" and problems.is_of_the_contract(scope["path"])
        if is_api:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(settings: Settings, warehouse: Warehouse) -> FastAPI:
    """The whole site. Opens connections when it starts and closes them when it ends."""
    site = _site(settings, warehouse)
    app = _app(site, title="MYI", version=__version__, openapi_url="/v1/openapi.json")
    for group in (
        figures, top, genres, plays, search, music_routes, recording_routes,
        # Before the routes of one playlist, of which "exports" is no number.
        playlist_file_routes,
        playlist_routes, made_playlist_routes, own_playlist_routes, migration_routes, live, imports, correction_routes,
        account, attempts, take_away_routes, erasure_routes, share_routes, notice_routes, migration_events,
        saved_migration_routes,
    ):  # fmt: skip
        app.include_router(group.router)
    if settings.metrics_port is None:
        app.include_router(health.router)
    app.include_router(listenbrainz.make_router(), include_in_schema=False)
    app.include_router(downloads.router, include_in_schema=False)
    app.include_router(sign_in.make_router(settings))
    app.include_router(provider_links.make_router(settings))
    for page in _PAGES:
        app.include_router(page.router, include_in_schema=False)
    path = settings.site_path
    app.mount("/static", FilesBelow(Assets(), path) if path else Assets(), name="static")
    return app


def create_health_app(app: FastAPI) -> FastAPI:
    """Health and metrics alone, for a listener of their own; shares everything with the site."""
    site: Site = app.state.site
    made = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    made.state.site = site
    made.include_router(health.router)
    problems.install(made)
    made.add_middleware(ErrorBoundaryMiddleware)
    made.add_middleware(MethodsMiddleware)
    made.add_middleware(SecurityHeadersMiddleware, settings=site.settings)
    made.add_middleware(RequestLogMiddleware, observe=site.metrics.observe)
    return made


def _site(settings: Settings, warehouse: Warehouse) -> Site:
    return Site(
        settings=settings,
        warehouse=warehouse,
        pools=Pools(settings, warehouse),
        visitors=KnownVisitors(),
        limits=RateLimits(settings),
        metrics=Metrics(),
        cursors=Cursors(shared_keys(settings, "cursors")),
        streams=Streams(),
        uploads=UploadWorkers(),
        links=Links(shared_keys(settings, "downloads")),
    )


def _app(site: Site, **contract: Any) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await site.pools.open()
        try:
            yield
        finally:
            site.uploads.close()
            await site.pools.close()

    settings = site.settings
    # The interactive pages of FastAPI load their scripts from elsewhere, which this site never does.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False, **contract)
    app.state.site = site
    app.openapi = partial(describe_app, app)  # type: ignore[method-assign]
    problems.install(app, as_page=pages.as_page)
    pages.install(app)
    app.add_middleware(_PageCompressionMiddleware, minimum_size=_WORTH_COMPRESSING_BYTES, compresslevel=4)
    app.add_middleware(ErrorBoundaryMiddleware)
    app.add_middleware(MethodsMiddleware)
    most = settings.api_max_upload_bytes
    larger = {
        UPLOADS: most, UPLOAD_FORM: most + FORM_BYTES, **playlist_uploads.LARGER_BODIES, **listenbrainz.LARGER_BODIES
    }  # fmt: skip
    app.add_middleware(BodyLimitMiddleware, larger=larger, as_page=pages.as_page)
    if settings.cors_origin_list:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origin_list,
            allow_methods=["GET", "HEAD"],
            allow_headers=["Authorization", "If-None-Match"],
            expose_headers=["ETag", "Link", "Retry-After", "X-Request-ID"],
            allow_credentials=False,
        )
    app.add_middleware(SameSiteMiddleware, settings=settings, free_paths=health.PATHS, local_paths=(health.METRICS,))
    app.add_middleware(LookMiddleware, settings=settings)
    app.add_middleware(SeenMiddleware, settings=settings, pools=site.pools)
    app.add_middleware(SecurityHeadersMiddleware, settings=settings)
    app.add_middleware(RequestLogMiddleware, observe=site.metrics.observe)
    app.add_middleware(ScrobblerPathsMiddleware)
    if settings.site_path:
        app.add_middleware(SitePathMiddleware, path=settings.site_path)
    return app
