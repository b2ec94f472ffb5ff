"""Fetching the pictures that the house lacks: covers of the albums that are played most, then artists.

Belongs here: which are fetched in a run, how many at once, and what becomes of a failure. Not here: addresses and
sizes (core/pictures), the request, the store. Invariants: with MYI_COVERS false no request is made; two workers never
fetch one picture; nothing here raises for a picture or asks the Web API, so it costs no play, no quota, no enrichment.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import httpx
import psycopg
import structlog

from myi_pipeline.core.errors import MyiError, RateLimited, Unfit
from myi_pipeline.core.pictures import best_picture
from myi_pipeline.core.retries import FailureKind, failure_kind, try_again_at
from myi_pipeline.services.connection_pool import ConnectionPool
from myi_pipeline.settings import Settings
from myi_pipeline.spotify.pictures import fetch_picture
from myi_pipeline.spotify.transport import make_http, utc_now
from myi_pipeline.warehouse import picture_store
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.picture_store import Fetch, FetchState

log = structlog.get_logger(__name__)

MOST_A_RUN: Final = 200
# Of each kind: beyond these nobody looks at a list.
MOST_CONSIDERED: Final = 5_000
# A browser makes six requests at once.
AT_ONCE: Final = 4
# No request begins later than this after the first.
LONGEST_S: Final = 120.0
MOST_FAILURES_IN_A_ROW: Final = 5


@dataclass(frozen=True, kw_only=True)
class PicturesResult:
    """What one run fetched. `unfit` was there and no picture that is kept; `reason` says why it ended."""

    kept: int = 0
    kept_bytes: int = 0
    gone: int = 0
    unfit: int = 0
    failed: int = 0
    reason: str = ""


def pictures_wait(settings: Settings, warehouse: Warehouse, *, now: datetime) -> bool:
    """Whether a scheduled run would have a picture to fetch."""
    if not settings.covers:
        return False
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi covers")) as connection:
        is_signed_in = picture_store.somebody_is_signed_in(connection)
    return is_signed_in and bool(_wanted(warehouse, now=now, most=1))


def keep_pictures(
    settings: Settings,
    warehouse: Warehouse,
    *,
    most: int = MOST_A_RUN,
    longest_s: float = LONGEST_S,
    clock: Callable[[], datetime] = utc_now,
) -> PicturesResult:
    """Fetch up to `most` pictures. Any number of these may run at once. Raises nothing for Spotify or the database."""
    if not settings.covers:
        return PicturesResult(reason="MYI_COVERS is false")
    try:
        urls = _wanted(warehouse, now=clock(), most=most)
        with (
            make_http(settings.spotify_images_url) as http,
            ConnectionPool(warehouse, role=Role.INGEST, application_name="myi covers") as connections,
        ):
            return _Run(settings, http, connections, clock, until=time.monotonic() + longest_s).fetch(urls)
    except (MyiError, psycopg.Error) as error:
        log.warning("pictures_not_kept", reason=str(error))
        return PicturesResult(reason=f"it broke off: {error}")


def _wanted(warehouse: Warehouse, *, now: datetime, most: int) -> list[str]:
    """Addresses, each once, those of what is played most first."""
    if most < 1:
        return []
    with closing(warehouse.connect(Role.ANALYST, application_name="myi covers")) as reading:
        entities = picture_store.most_played(reading, most=MOST_CONSIDERED)
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi covers")) as connection:
        found = picture_store.lacking(connection, entities, now=now, most=most)
    best = [best_picture(pictures) for pictures in found]
    return list(dict.fromkeys(picture.url for picture in best if picture is not None))


class _Run:
    """One run: its workers share the addresses, the result, and the reason to stop."""

    def __init__(
        self,
        settings: Settings,
        http: httpx.Client,
        connections: ConnectionPool,
        clock: Callable[[], datetime],
        *,
        until: float,
    ) -> None:
        self._images_url = settings.spotify_images_url
        self._http = http
        self._connections = connections
        self._clock = clock
        self._until = until
        self._guard = threading.Lock()
        self._result = PicturesResult()
        self._stopped = ""
        self._failures_in_a_row = 0

    def fetch(self, urls: list[str]) -> PicturesResult:
        left = iter(urls)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="covers") as threads:
            workers = [threads.submit(self._work, left) for _ in range(min(AT_ONCE, len(urls)))]
            try:
                for worker in workers:
                    worker.result()
            finally:
                self._stop("it was stopped")
        done = "as many as wanted were fetched, or none is lacking"
        return replace(self._result, reason=done if self._stopped == "it was stopped" else self._stopped)

    def _work(self, left: Iterator[str]) -> None:
        while (url := self._next(left)) is not None:
            with self._connections.take() as connection:
                fetch = picture_store.lease(connection, url, now=self._clock())
            if fetch is not None:
                self._fetch(fetch)

    def _next(self, left: Iterator[str]) -> str | None:
        if time.monotonic() > self._until:
            self._stop("the time of a run is over")
        with self._guard:
            return None if self._stopped else next(left, None)

    def _fetch(self, fetch: Fetch) -> None:
        # No connection is held meanwhile: the host may take its time.
        try:
            picture = fetch_picture(self._http, images_url=self._images_url, url=fetch.url, now=self._clock())
        except MyiError as error:
            self._note_failure(fetch, error)
            return
        with self._connections.take() as connection:
            is_kept = picture_store.keep(
                connection, fetch, media_type=picture.media_type, content=picture.content, now=self._clock()
            )
        with self._guard:
            self._failures_in_a_row = 0
            if is_kept:
                found = self._result
                self._result = replace(found, kept=found.kept + 1, kept_bytes=found.kept_bytes + len(picture.content))

    def _note_failure(self, fetch: Fetch, error: MyiError) -> None:
        is_final = failure_kind(error) is FailureKind.GONE
        state = FetchState.WAITING
        if is_final:
            state = FetchState.UNFIT if isinstance(error, Unfit) else FetchState.GONE
        due_at = try_again_at(error, failures=fetch.failures + 1, now=self._clock())
        log.info("picture_not_kept", url=fetch.url, state=state.value, due_at=due_at, reason=str(error))
        with self._connections.take() as connection:
            picture_store.fail(connection, fetch, state, due_at=due_at, error=str(error))
        with self._guard:
            found = self._result
            match state:
                case FetchState.GONE:
                    self._result = replace(found, gone=found.gone + 1)
                case FetchState.UNFIT:
                    self._result = replace(found, unfit=found.unfit + 1)
                case FetchState.WAITING:
                    self._result = replace(found, failed=found.failed + 1)
            # An answer about one picture says that the host is there.
            self._failures_in_a_row = 0 if is_final else self._failures_in_a_row + 1
            is_silent = self._failures_in_a_row >= MOST_FAILURES_IN_A_ROW
        if isinstance(error, RateLimited):
            self._stop(str(error))
        elif is_silent:
            self._stop("Spotify's pictures cannot be reached")

    def _stop(self, reason: str) -> None:
        with self._guard:
            self._stopped = self._stopped or reason
