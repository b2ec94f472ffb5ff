"""Signing in at a simulated Spotify, as a person does it: for tests of what happens then."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

from myi_pipeline.people import logins, manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.spotify.open_spotify import open_spotify
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.simulator.live import Simulator
from tests.conftest import free_port

if TYPE_CHECKING:
    from tests.integration.api.conftest import RunningSite, SiteMaker

SIGN_INS = "/v1/me/sign-ins"


class Place:
    """A site beside a simulated Spotify."""

    def __init__(
        self, make_site: SiteMaker, start: Callable[[str], Simulator], *, path: str = "", **changes: object
    ) -> None:
        port = free_port()
        redirect = f"http://127.0.0.1:{port}{path}/callback"
        if path:
            changes["public_url"] = f"http://127.0.0.1:{port}{path}"
        self.simulator = start(redirect)
        self.changes = {
            "api_port": port,
            "spotify_client_id": "myi-simulated-client",
            "spotify_api_url": self.simulator.api_url,
            "spotify_accounts_url": self.simulator.accounts_url,
            "spotify_images_url": self.simulator.images_url,
            "spotify_redirect_uri": redirect,
            **changes,
        }
        self.site: RunningSite = make_site(**self.changes)

    def connect(self, key: str, listener: str) -> int:
        """What `myi user login` does."""
        settings, warehouse = self.site.settings, self.site.warehouse
        user_id = self.site.user(key)
        with (
            open_spotify(settings, warehouse) as opened,
            warehouse.connect(Role.INGEST, autocommit=True) as connection,
        ):
            pending = logins.begin_login(opened, settings, user_id=user_id, user_key=key)
            redirected = self.simulator.visit(pending.url, listener)
            logins.finish_login(opened, connection, pending, redirected=redirected, now=utc_now())
        return user_id

    def begin(self, browser: httpx.Client, path: str = "/sign-in/spotify", **form: str) -> str:
        """The address at Spotify to which the browser is sent."""
        answer = browser.post(path, data=form)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def agreed(self, browser: httpx.Client, listener: str, **form: str) -> str:
        """The address to which Spotify sends the browser after the person agreed; not opened yet."""
        return self.simulator.visit(self.begin(browser, **form), listener)


def who(browser: httpx.Client) -> int:
    return browser.get(SIGN_INS).status_code


def make_link(site: RunningSite, key: str = "ana") -> str:
    user_id = site.user(key)
    with site.warehouse.connect(Role.APP, autocommit=True) as connection:
        return manage_access.make_link(connection, user_id=user_id)


def use_link(browser: httpx.Client, secret: str) -> httpx.Response:
    """What the page of a link sends after the person has confirmed."""
    return browser.post("/link", data={"secret": secret, "confirm": "yes"})


def look_at_link(browser: httpx.Client, secret: str) -> httpx.Response:
    """What it sends before: whom would this sign in?"""
    return browser.post("/link", data={"secret": secret})
