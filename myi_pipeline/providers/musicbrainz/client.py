"""MusicBrainz' web service, read only.

It allows one request per second from one address, requires every program to identify itself and its operator, and
answers 503 to clients that ask too often (musicbrainz.org/doc/MusicBrainz_API/Rate_Limiting): each request waits for
its turn first, and a 503 pauses all processes. If MusicBrainz does not know something, the result is None.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from myi_pipeline.errors import BadInput, MyiError, Permanent, RateLimited, Transient, UnexpectedAnswer
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.governor import do_not_wait_for_disk
from myi_pipeline.providers.musicbrainz.answers import (
    Artist,
    Recording,
    read_artist,
    read_recording,
    read_recordings,
)
from myi_pipeline.providers.pacing import Pace
from myi_pipeline.providers.retries import WAITS_IN_PROCESS, is_worth_another_try
from myi_pipeline.providers.transport import Answer, Clock, HttpClient, make_http, retry_after, send, utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

SERVICE = "MusicBrainz"
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}\Z", re.ASCII)
_RECORDING_PARTS = "artist-credits releases genres tags"
_ARTIST_PARTS = "genres tags"
# Limit for a search: the right one is among the first, or the names are too common to be safe.
_MOST_FOUND = 25
# Characters with a meaning in Lucene, even within quotes.
_SPECIAL = re.compile(r'([\\"+\-!(){}\[\]^~*?:/]|&&|\|\|)')
_MOST_REDIRECTS = 3


_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class _Read(Protocol[_T_co]):
    def __call__(self, document: dict[str, Any], *, what: str) -> _T_co: ...


class Door(Protocol):
    """Keeps the pace of requests (providers.pacing.Pace)."""

    def wait(self) -> None: ...

    def blocked(self, *, retry_after: timedelta | None) -> Any: ...

    def passed(self) -> None: ...


class MusicBrainzClient:
    """Raises RateLimited (503, or others are using the quota), Transient, UnexpectedAnswer and Permanent (403)."""

    def __init__(
        self,
        http: HttpClient,
        *,
        url: str,
        user_agent: str,
        door: Door,
        clock: Clock,
        sleep: Callable[[float], None],
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {"User-Agent": user_agent}
        self._door = door
        self._clock = clock
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"MusicBrainzClient({self._url!r})"

    def recordings_by_isrc(self, isrc: str) -> tuple[Recording, ...] | None:
        """Every recording with this code; None if nobody entered it. Raises BadInput if it is not an ISRC."""
        code = isrc.strip().upper().replace("-", "")
        if not _ISRC.match(code):
            rule = "two letters, three letters or digits, seven digits"
            raise BadInput(f"{isrc[:20]!r} is not an ISRC", place="isrc", rule=rule)
        return self._get(f"/isrc/{code}", read_recordings, inc=_RECORDING_PARTS)

    def recording(self, recording_mbid: UUID) -> Recording | None:
        """One recording; for a merged one, the remaining one, with a different MBID."""
        return self._get(f"/recording/{recording_mbid}", read_recording, inc=_RECORDING_PARTS)

    def search_recordings(self, *, title: str, artist: str) -> tuple[Recording, ...]:
        """The best hits for both names, best first; they lack genres and other details."""
        query = f'recording:"{escape(title)}" AND artist:"{escape(artist)}"'
        return self._get("/recording", read_recordings, query=query, limit=str(_MOST_FOUND)) or ()

    def artist(self, artist_mbid: UUID) -> Artist | None:
        """An artist's genres and tags; for a merged one, those of the remaining one."""
        return self._get(f"/artist/{artist_mbid}", read_artist, inc=_ARTIST_PARTS)

    def _get(self, path: str, read: _Read[_T], **params: str) -> _T | None:
        waits = iter(WAITS_IN_PROCESS)
        while True:
            try:
                found = self._attempt(path, params)
                return read(found[1], what=found[0]) if found is not None else None
            except MyiError as error:
                wait = next(waits, None)
                if wait is None or not is_worth_another_try(error):
                    raise
                log.info("musicbrainz_request_repeated", path=path, reason=str(error))
                self._sleep(wait.total_seconds())

    def _attempt(self, path: str, params: dict[str, str]) -> tuple[str, dict[str, Any]] | None:
        url, asked = self._url + path, {**params, "fmt": "json"}
        for _ in range(_MOST_REDIRECTS + 1):
            self._door.wait()
            answer = send(self._http, "GET", url, headers=self._headers, params=asked, service=SERVICE)
            if answer.status not in (301, 302, 307, 308):
                return self._read(answer)
            # A merged entity may be answered with a redirect.
            url, asked = self._redirected(answer), params | {"fmt": "json"}
        raise UnexpectedAnswer(f"GET {path}: MusicBrainz redirects endlessly")

    def _redirected(self, answer: Answer) -> str:
        """Follows redirects on the same server only: nobody else learns what a person hears."""
        location = answer.headers.get("location", "")
        target, own = urlsplit(location), urlsplit(self._url)
        if target.netloc not in ("", own.netloc) or target.scheme not in ("", own.scheme) or not target.path:
            raise UnexpectedAnswer(f"{answer.what}: MusicBrainz redirects to another server")
        return f"{own.scheme}://{own.netloc}{target.path}"

    def _read(self, answer: Answer) -> tuple[str, dict[str, Any]] | None:
        status, what = answer.status, answer.what
        if status == 200:
            found = answer.document()
            self._door.passed()
            return what, found
        if status in (429, 503):
            until = self._door.blocked(retry_after=retry_after(answer, self._clock()))
            raise RateLimited(f"{what}: MusicBrainz reports too many requests", retry_at=until)
        if status == 404:
            answer.document()  # an HTML page with status 404 comes from something in between
            self._door.passed()
            return None
        said = answer.message()
        if status == 400:
            raise BadInput(f"{what}: MusicBrainz does not accept it{f' ({said})' if said else ''}", place="request")
        if status in (401, 403):
            raise Permanent(
                f"{what}: MusicBrainz refuses this installation ({status}): make sure that MYI_MUSICBRAINZ_CONTACT is"
                f" an address at which you can be reached"
            )
        if status >= 500:
            raise Transient(f"{what}: MusicBrainz answered {status}")
        raise UnexpectedAnswer(f"{what}: MusicBrainz answered {status}{f' ({said})' if said else ''}")


def escape(text: str) -> str:
    """`text` for a quoted phrase of Lucene, in one line."""
    return _SPECIAL.sub(lambda found: "".join(f"\\{char}" for char in found[0]), " ".join(text.split()))


@contextmanager
def open_musicbrainz(
    settings: Settings,
    warehouse: Warehouse,
    *,
    clock: Callable[[], Any] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[MusicBrainzClient]:
    """A client that shares its pace with all processes. Raises Permanent without a contact: nothing is asked then."""
    user_agent = settings.musicbrainz_user_agent
    if user_agent is None:
        raise Permanent(why_off(settings))
    with (
        make_http(settings.musicbrainz_url) as http,
        warehouse.pool(Role.INGEST, application_name="myi musicbrainz", configure=do_not_wait_for_disk) as ledger,
    ):
        pace = Pace(
            ledger,
            service=SERVICE,
            interval=timedelta(milliseconds=settings.musicbrainz_interval_ms),
            clock=clock,
            sleep=sleep,
        )
        yield MusicBrainzClient(
            http, url=settings.musicbrainz_url, user_agent=user_agent, door=pace, clock=clock, sleep=sleep
        )


def why_off(settings: Settings) -> str:
    """Why MusicBrainz is not used and how to change that; empty if it is used."""
    if settings.musicbrainz_contact is not None:
        return ""
    return (
        "MusicBrainz is off: it would learn which titles are played here, and it requires an address at which you can"
        " be reached. To switch it on, set MYI_MUSICBRAINZ_CONTACT to your e-mail address or website"
    )
