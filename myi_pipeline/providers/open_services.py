"""Requests to Last.fm and ListenBrainz, with quota and retries around each.

All users share one quota per service: Last.fm counts by address and key, ListenBrainz by address or token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar, assert_never

import structlog

from myi_pipeline.errors import BadInput, MyiError
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.governor import service_limits
from myi_pipeline.providers.lastfm.client import LastfmClient
from myi_pipeline.providers.listenbrainz.client import ListenBrainzClient
from myi_pipeline.providers.retries import WAITS_IN_PROCESS, is_worth_another_try
from myi_pipeline.providers.scrobbles import ScrobbleReader, ScrobbleWriter, Service
from myi_pipeline.providers.service_tools import ServiceTools, open_tools
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")


def service_trouble(settings: Settings, service: Service) -> str | None:
    """Why a service cannot be linked here; None if it can."""
    if service is Service.LASTFM and settings.lastfm_api_key is None:
        return (
            "Last.fm needs an API key of this installation: make one at https://www.last.fm/api/account/create and set"
            " MYI_LASTFM_API_KEY"
        )
    return None


class Services:
    """The clients that open_services yields. Thread-safe."""

    def __init__(self, tools: ServiceTools) -> None:
        self._settings = tools.settings
        self._http = tools.http
        self._clock = tools.clock
        self._sleep = tools.sleep
        limits = service_limits(tools.settings)
        self._governors = {
            each: tools.governor(each.client_id, service=each.value, limits=limits[each.client_id]) for each in Service
        }
        self.keys = tools.keys

    def listenbrainz(self) -> ListenBrainzClient:
        return ListenBrainzClient(
            self._http,
            url=self._settings.listenbrainz_url,
            gate=self._governors[Service.LISTENBRAINZ],
            clock=self._clock,
        )

    def lastfm(self) -> LastfmClient:
        """Raises BadInput without an API key."""
        trouble = service_trouble(self._settings, Service.LASTFM)
        if trouble is not None or self._settings.lastfm_api_key is None:
            raise BadInput(trouble or "Last.fm needs an API key", place="MYI_LASTFM_API_KEY")
        secret = self._settings.lastfm_api_secret
        return LastfmClient(
            self._http,
            url=self._settings.lastfm_url,
            api_key=self._settings.lastfm_api_key.get_secret_value(),
            secret=secret.get_secret_value() if secret is not None else None,
            gate=self._governors[Service.LASTFM],
            clock=self._clock,
        )

    def reader(self, service: Service) -> ScrobbleReader:
        """Raises BadInput if the service is not set up here."""
        return self._client(service)

    def writer(self, service: Service) -> ScrobbleWriter:
        """Raises BadInput if the service is not set up here."""
        return self._client(service)

    def _client(self, service: Service) -> LastfmClient | ListenBrainzClient:
        match service:
            case Service.LASTFM:
                return self.lastfm()
            case Service.LISTENBRAINZ:
                return self.listenbrainz()
        assert_never(service)

    def read(self, request: Callable[[], T]) -> T:
        """Makes a read-only request; after a transient failure it is retried twice, seconds later."""
        waits = iter(WAITS_IN_PROCESS)
        while True:
            try:
                return request()
            except MyiError as error:
                wait = next(waits, None)
                if wait is None or not is_worth_another_try(error):
                    raise
                log.info("service_request_repeated", reason=str(error))
                self._sleep(wait.total_seconds())


@contextmanager
def open_services(
    settings: Settings,
    warehouse: Warehouse,
    *,
    role: Role = Role.INGEST,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Services]:
    """Clients for the duration of the context: see open_tools."""
    urls = (settings.lastfm_url, settings.listenbrainz_url)
    with open_tools(settings, warehouse, *urls, role=role, clock=clock, sleep=sleep) as tools:
        yield Services(tools)
