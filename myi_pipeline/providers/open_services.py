"""Requests to Last.fm and ListenBrainz, with quota and retries around each.

One quota holds for a service, all users together: Last.fm counts by address and key, ListenBrainz by address or token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import TypeVar

import structlog

from myi_pipeline.errors import BadInput, MyiError
from myi_pipeline.postgres.connections import Pool, Role, Warehouse
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.providers.envelope import KeyRing
from myi_pipeline.providers.governor import Governor, do_not_wait_for_disk, service_limits
from myi_pipeline.providers.lastfm.client import LastfmClient
from myi_pipeline.providers.listenbrainz.client import ListenBrainzClient
from myi_pipeline.providers.retries import WAITS_IN_PROCESS, is_worth_another_try
from myi_pipeline.providers.scrobbles import ScrobbleReader, ScrobbleWriter, Service
from myi_pipeline.providers.transport import HttpClient, make_http, utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

T = TypeVar("T")


def service_trouble(settings: Settings, service: Service) -> str | None:
    """Why a service cannot be linked here; None when it can."""
    if service is Service.LASTFM and settings.lastfm_api_key is None:
        return (
            "Last.fm needs an API key of this installation: make one at https://www.last.fm/api/account/create and set"
            " MYI_LASTFM_API_KEY"
        )
    return None


class Services:
    """The clients that open_services yields. Safe for threads."""

    def __init__(
        self,
        *,
        settings: Settings,
        http: HttpClient,
        ledger: Pool,
        keys: KeyRing,
        clock: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._sleep = sleep
        self._governors = {
            service: Governor(
                ledger,
                client_id=service.client_id,
                limits=service_limits(settings)[service.client_id],
                clock=clock,
                sleep=sleep,
                service=service.value,
            )
            for service in Service
        }
        self.keys = keys

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
        """Raises BadInput when the service is not set up here."""
        return self.lastfm() if service is Service.LASTFM else self.listenbrainz()

    def writer(self, service: Service) -> ScrobbleWriter:
        """Raises BadInput when the service is not set up here."""
        return self.lastfm() if service is Service.LASTFM else self.listenbrainz()

    def read(self, request: Callable[[], T]) -> T:
        """Make a request that only reads; one that failed for a moment is made twice more, after seconds."""
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
    """Clients for as long as the context lasts. Raises KeyMissing when a stored secret cannot be opened.

    With the role `app` accounts can be linked, and their secrets not used: it may not read what it sealed.
    """
    keys = require_keys(settings, warehouse, role=role)
    urls = (settings.lastfm_url, settings.listenbrainz_url)
    with ExitStack() as stack:
        http = stack.enter_context(make_http(*urls))
        ledger = stack.enter_context(
            warehouse.pool(role, application_name="myi service quota", configure=do_not_wait_for_disk)
        )
        yield Services(settings=settings, http=http, ledger=ledger, keys=keys, clock=clock, sleep=sleep)
