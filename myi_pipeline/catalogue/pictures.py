"""Fetching pictures of albums, artists and playlists from Spotify's picture host.

Neither an access token nor any header that identifies a person is sent there. Every picture is a complete JPEG, PNG or
WebP of at most MOST_BYTES bytes. The host is not part of the Web API and does not use its quota.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import psycopg
import structlog

from myi_pipeline.catalogue import picture_store
from myi_pipeline.catalogue.most_played import most_played
from myi_pipeline.catalogue.picture_rules import MOST_BYTES, best_picture, is_whole, media_type_of, picture_path
from myi_pipeline.catalogue.picture_store import Fetch, FetchState
from myi_pipeline.errors import Gone, MyiError, RateLimited, Transient, UnexpectedAnswer, Unfit
from myi_pipeline.postgres.connections import Pool, Role, Warehouse
from myi_pipeline.providers.retries import FailureKind, failure_kind, try_again_at
from myi_pipeline.providers.transport import Answer, HttpClient, TooLarge, make_http, retry_after, send, utc_now
from myi_pipeline.settings import Settings

# No compression: pictures are compressed already, and a small response could unpack to a huge one.
_HEADERS: Final = {"Accept": "image/jpeg, image/webp, image/png", "Accept-Encoding": "identity"}
_USUAL_PAUSE, _LONGEST_PAUSE = timedelta(minutes=10), timedelta(days=1)


@dataclass(frozen=True)
class FetchedPicture:
    """`media_type` is determined from the bytes."""

    media_type: str
    content: bytes = field(repr=False)


def fetch_picture(http: HttpClient, *, images_url: str, url: str, now: datetime) -> FetchedPicture:
    """Fetch the picture with the address `url` from the host at `images_url`.

    Raises Gone, Unfit, RateLimited, Transient and UnexpectedAnswer.
    """
    path = picture_path(url)
    if path is None:
        raise Unfit("a picture's address does not lead to Spotify's picture host")
    try:
        answer = send(http, "GET", images_url + path, headers=_HEADERS, most_bytes=MOST_BYTES, is_unpacked=False)
    except TooLarge as error:
        raise Unfit(str(error)) from None
    if answer.status != 200:
        raise _failure(answer, now)
    media_type = media_type_of(answer.body)
    if media_type is None:
        said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()[:40]
        if said.startswith("image/"):
            raise Unfit(f"{answer.what}: what was sent as {said} is not a JPEG, PNG or WebP")
        # A proxy or a network's sign-in page may have answered, which says nothing about the picture.
        raise UnexpectedAnswer(f"{answer.what}: Spotify answered with something other than a picture")
    if not is_whole(answer.body):
        raise UnexpectedAnswer(f"{answer.what}: Spotify answered with an incomplete picture")
    return FetchedPicture(media_type, answer.body)


def _failure(answer: Answer, now: datetime) -> Exception:
    status, what = answer.status, answer.what
    if status == 429:
        at = now + min(retry_after(answer, now) or _USUAL_PAUSE, _LONGEST_PAUSE)
        return RateLimited(f"{what}: Spotify says too many requests; again at {at:%Y-%m-%d %H:%M} UTC", retry_at=at)
    if status in (404, 410):
        return Gone(f"{what}: Spotify does not have it")
    if status >= 500:
        return Transient(f"{what}: Spotify answered {status}")
    return UnexpectedAnswer(f"{what}: Spotify answered {status}")


log = structlog.get_logger(__name__)

MOST_A_RUN: Final = 200
# Per kind: nobody scrolls further down a list.
MOST_CONSIDERED: Final = 5_000
# For comparison, a browser makes six requests at once.
AT_ONCE: Final = 4
# No request starts later than this after the first.
LONGEST_S: Final = 120.0
MOST_FAILURES_IN_A_ROW: Final = 5


@dataclass(frozen=True, kw_only=True)
class PicturesResult:
    """What one run fetched. `unfit`: answers that are not an acceptable picture. `reason`: why the run ended."""

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
    """Fetch up to `most` pictures. Any number of these may run at once. Failures of Spotify or the database are
    reported in the result instead of raised.
    """
    if not settings.covers:
        return PicturesResult(reason="MYI_COVERS is false")
    try:
        urls = _wanted(warehouse, now=clock(), most=most)
        with (
            make_http(settings.spotify_images_url) as http,
            warehouse.pool(Role.INGEST, application_name="myi covers") as connections,
        ):
            return _Run(settings, http, connections, clock, until=time.monotonic() + longest_s).fetch(urls)
    except (MyiError, psycopg.Error) as error:
        log.warning("pictures_not_kept", reason=str(error))
        return PicturesResult(reason=f"it failed: {error}")


def _wanted(warehouse: Warehouse, *, now: datetime, most: int) -> list[str]:
    """Distinct addresses, those of what is played most first."""
    if most < 1:
        return []
    with closing(warehouse.connect(Role.ANALYST, application_name="myi covers")) as reading:
        entities = [
            (each.entity_kind, each.entity_id)
            for each in most_played(reading, ("album", "artist"), most=MOST_CONSIDERED)
        ]
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi covers")) as connection:
        found = picture_store.lacking(connection, entities, now=now, most=most)
        of_lists = picture_store.lacking_of_lists(connection, now=now, most=most)
    best = [best_picture(pictures) for pictures in found]
    urls = [picture.url for picture in best if picture is not None]
    urls += [url for url in of_lists if picture_path(url) is not None]
    return list(dict.fromkeys(urls))[:most]


class _Run:
    """One run: its workers share the addresses, the result, and the reason to stop."""

    def __init__(
        self,
        settings: Settings,
        http: HttpClient,
        connections: Pool,
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
        done = "the requested number was fetched, or no more are missing"
        return replace(self._result, reason=done if self._stopped == "it was stopped" else self._stopped)

    def _work(self, left: Iterator[str]) -> None:
        while (url := self._next(left)) is not None:
            with self._connections.connection() as connection:
                fetch = picture_store.lease(connection, url, now=self._clock())
            if fetch is not None:
                self._fetch(fetch)

    def _next(self, left: Iterator[str]) -> str | None:
        if time.monotonic() > self._until:
            self._stop("the time limit of a run was reached")
        with self._guard:
            return None if self._stopped else next(left, None)

    def _fetch(self, fetch: Fetch) -> None:
        # No database connection is held while the host takes its time.
        try:
            picture = fetch_picture(self._http, images_url=self._images_url, url=fetch.url, now=self._clock())
        except MyiError as error:
            self._note_failure(fetch, error)
            return
        with self._connections.connection() as connection:
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
        with self._connections.connection() as connection:
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
            # A final answer about one picture shows that the host can be reached.
            self._failures_in_a_row = 0 if is_final else self._failures_in_a_row + 1
            is_silent = self._failures_in_a_row >= MOST_FAILURES_IN_A_ROW
        if isinstance(error, RateLimited):
            self._stop(str(error))
        elif is_silent:
            self._stop("Spotify's pictures cannot be reached")

    def _stop(self, reason: str) -> None:
        with self._guard:
            self._stopped = self._stopped or reason
