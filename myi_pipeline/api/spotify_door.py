"""The site's way to Spotify, for sign-in alone.

Belongs here: opening it for one sign-in, in a thread. Invariants: it is opened as the role `app`, which can put a login
into its envelope and never take one out; while Spotify is slow, no connection is missing elsewhere.
"""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool

from myi_pipeline.api.site import Site
from myi_pipeline.services import sign_in
from myi_pipeline.services.open_spotify import open_spotify
from myi_pipeline.services.sign_in import BegunSignIn, FinishedSignIn
from myi_pipeline.spotify.transport import utc_now
from myi_pipeline.warehouse.connections import Role


async def begin(site: Site, *, return_to: str, user_id: int | None) -> BegunSignIn:
    """Raises MyiError."""

    def work() -> BegunSignIn:
        with (
            open_spotify(site.settings, site.warehouse, role=Role.APP) as spotify,
            site.warehouse.connect(Role.APP, autocommit=True) as connection,
        ):
            return sign_in.begin_sign_in(connection, spotify, site.settings, return_to=return_to, user_id=user_id)

    return await run_in_threadpool(work)


async def finish(site: Site, *, query: str, browser_secret: str, session_user: int | None) -> FinishedSignIn:
    """Raises MyiError; what each means for a person stands in its message."""

    def work() -> FinishedSignIn:
        with (
            open_spotify(site.settings, site.warehouse, role=Role.APP) as spotify,
            site.warehouse.connect(Role.APP, autocommit=True) as connection,
        ):
            return sign_in.finish_sign_in(
                connection,
                spotify,
                site.settings,
                query=query,
                browser_secret=browser_secret,
                session_user=session_user,
                now=utc_now(),
            )

    return await run_in_threadpool(work)
