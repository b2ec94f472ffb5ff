"""Both simulated services on one loopback port, in a thread of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.applications import Starlette

from myi_pipeline.simulator.live.server import listening_on, served_in_a_thread, url_of
from myi_pipeline.simulator.services import lastfm_app, listenbrainz_app
from myi_pipeline.simulator.services.accounts import ServiceState


@dataclass(frozen=True)
class SimulatedServices:
    """Both services while they run. No address ends in a slash."""

    url: str
    lastfm: ServiceState = field(repr=False)
    listenbrainz: ServiceState = field(repr=False)
    lastfm_key: str = lastfm_app.API_KEY
    lastfm_secret: str = lastfm_app.API_SECRET

    @property
    def lastfm_url(self) -> str:
        return f"{self.url}/lastfm"

    @property
    def listenbrainz_url(self) -> str:
        return f"{self.url}/listenbrainz"

    def allow(self, token: str, account: str) -> None:
        """A person allows a program to scrobble, on Last.fm's page."""
        self.lastfm.tokens[token] = account


@contextmanager
def running_services(
    *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), port: int = 0
) -> Iterator[SimulatedServices]:
    """Runs both services for the duration of the block. Raises SimulatorFailed."""
    lastfm, listenbrainz = ServiceState("lastfm", clock), ServiceState("listenbrainz", clock)
    app = Starlette(
        routes=[
            *lastfm_app.routes(lastfm, "/lastfm"),
            *listenbrainz_app.routes(listenbrainz, "/listenbrainz"),
        ]
    )
    with listening_on(port) as listening, served_in_a_thread(app, listening):
        yield SimulatedServices(url_of(listening), lastfm, listenbrainz)
