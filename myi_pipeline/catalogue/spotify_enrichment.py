"""Asking Spotify about contents that are only known from archives: lengths, recording codes, pictures; one call each.

Two workers never ask for the same id. A call is made only if the catalogue's quota allows it. No failure here changes a
play, a circuit or a login.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import structlog

from myi_pipeline.catalogue import catalogue_store, spotify_queue
from myi_pipeline.catalogue.most_played import most_played, newer_mart_run
from myi_pipeline.catalogue.records import NamedAlbum, NamedArtist
from myi_pipeline.catalogue.spotify_answers import named_album, named_artist, polled_track
from myi_pipeline.catalogue.spotify_queue import Entry, EntryState, QueueCount
from myi_pipeline.errors import Gone, MyiError, Paused, UnexpectedAnswer
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers.retries import FailureKind, failure_kind, try_again_at
from myi_pipeline.providers.spotify.open_spotify import Spotify, open_spotify
from myi_pipeline.providers.token_vault import Credential
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# Per kind: what one client id may ask in twelve days.
MOST_QUEUED: Final = 5_000
# After this many network failures in a row, the ids are not to blame: Spotify cannot be reached.
MOST_FAILURES_IN_A_ROW: Final = 5


@dataclass(frozen=True, kw_only=True)
class EnrichmentResult:
    """What one run asked and learnt. `reason`: why it ended. `retry_at`: when another run is worthwhile, if known."""

    answered: int = 0
    relinked: int = 0
    gone: int = 0
    failed: int = 0
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def asked(self) -> int:
        return self.answered + self.relinked + self.gone + self.failed


def catalogue_status(warehouse: Warehouse) -> tuple[QueueCount, ...]:
    """The current state of the queue, by kind."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi catalogue")) as connection:
        return spotify_queue.count_queue(connection)


def catalogue_has_work(warehouse: Warehouse, *, now: datetime) -> bool:
    """Whether a scheduled run may have anything to ask. Costs one small query."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi catalogue")) as connection:
        return spotify_queue.has_work(connection, now=now)


def enrich_catalogue(
    settings: Settings,
    warehouse: Warehouse,
    *,
    most_calls: int | None = None,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> EnrichmentResult:
    """Ask until nothing in the queue is due, the quota is used up, or `most_calls` ids were asked for.

    Any number of these may run at once. Raises KeyMissing if a stored login cannot be opened.
    """
    with (
        open_spotify(settings, warehouse, clock=clock, sleep=sleep) as spotify,
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi catalogue")) as connection,
    ):
        _fill_queue(warehouse, connection, now=clock())
        result = _Worker(spotify, connection, clock).run(most_calls)
        spotify_queue.note_idle(connection, until=result.retry_at)
        return result


def _fill_queue(warehouse: Warehouse, connection: Connection, *, now: datetime) -> None:
    """Queue what a newer mart run found to be played most, and drop what raw has learnt meanwhile."""
    mart_run_id = newer_mart_run(connection, than="catalogue_state")
    if mart_run_id is not None:
        with closing(warehouse.connect(Role.ANALYST, application_name="myi catalogue")) as reading:
            wanted = most_played(reading, ("track", "artist", "album"), most=MOST_QUEUED)
        spotify_queue.fill(connection, wanted, now=now, mart_run_id=mart_run_id)
    spotify_queue.drop_known(connection)


class _Worker:
    def __init__(self, spotify: Spotify, connection: Connection, clock: Callable[[], datetime]) -> None:
        self._spotify = spotify
        self._connection = connection
        self._clock = clock
        usable = [credential for credential in spotify.credentials() if credential.is_usable]
        is_open = spotify.open_circuits([credential.user_id for credential in usable])
        self._logins = [credential for credential in usable if credential.user_id not in is_open]
        self._why = "no user has a login that can ask Spotify"
        self._retry_at: datetime | None = None
        self._network_failures = 0

    def run(self, most_calls: int | None) -> EnrichmentResult:
        result = EnrichmentResult()
        while self._logins:
            if most_calls is not None and result.asked >= most_calls:
                return replace(result, reason="the requested number of ids was asked for")
            if self._network_failures >= MOST_FAILURES_IN_A_ROW:
                return replace(result, reason="Spotify cannot be reached", retry_at=self._retry_at)
            entry = spotify_queue.lease(self._connection, now=self._clock())
            if entry is None:
                return replace(result, reason="nothing is due")
            result = self._ask(entry, result)
        return replace(result, reason=self._why, retry_at=self._retry_at)

    def _ask(self, entry: Entry, result: EnrichmentResult) -> EnrichmentResult:
        """Ask with one login after the other until one may; the others are dropped for the rest of the run."""
        while self._logins:
            login = self._logins[0]
            try:
                state = self._learn(entry, login)
            except Gone as error:
                self._finish(entry, EntryState.GONE, error=error)
                return replace(result, gone=result.gone + 1)
            except MyiError as error:
                if self._is_about_login(error, login):
                    continue
                self._put_off(entry, error)
                return replace(result, failed=result.failed + 1)
            except BaseException:
                spotify_queue.finish(self._connection, entry, EntryState.WAITING, now=self._clock())
                raise
            self._network_failures = 0
            self._finish(entry, state)
            if state is EntryState.RELINKED:
                return replace(result, relinked=result.relinked + 1)
            return replace(result, answered=result.answered + 1)
        spotify_queue.finish(self._connection, entry, EntryState.WAITING, now=self._clock())
        return result

    def _is_about_login(self, error: MyiError, login: Credential) -> bool:
        """Whether the failure is not about the id. Then the login, or all logins of its client id, ask no more."""
        kind = failure_kind(error)
        if kind is FailureKind.PUT_OFF:
            self._logins = [each for each in self._logins if each.client_id != login.client_id]
            retry_at: datetime | None = getattr(error, "retry_at", None)
            self._retry_at = min(filter(None, (self._retry_at, retry_at)), default=None)
        elif kind is FailureKind.AUTHORISATION or isinstance(error, Paused):
            self._logins = [each for each in self._logins if each.user_id != login.user_id]
        else:
            return False
        self._why = str(error)
        return True

    def _learn(self, entry: Entry, login: Credential) -> EntryState:
        if entry.entity_kind == "track":
            return self._learn_track(entry, login)
        found: NamedArtist | NamedAlbum | None
        if entry.entity_kind == "artist":
            artist = self._spotify.call(
                login, lambda client, token: client.artist(token, entry.spotify_id), counts=False
            )
            found = named_artist(artist)
        else:
            album = self._spotify.call(login, lambda client, token: client.album(token, entry.spotify_id), counts=False)
            found = named_album(album)
        if found is not None:
            # Spotify may answer with another id; the pictures belong to the one that was asked for.
            catalogue_store.store_pictures(self._connection, [replace(found, uri=entry.uri)], is_replacing=True)
        return EntryState.ANSWERED

    def _learn_track(self, entry: Entry, login: Credential) -> EntryState:
        track = self._spotify.call(login, lambda client, token: client.track(token, entry.spotify_id), counts=False)
        polled = polled_track(track, self._clock())
        if polled is None or polled.content.uri is None:
            raise UnexpectedAnswer(f"/tracks/{entry.spotify_id}: Spotify's answer names no track")
        batch_id = catalogue_store.next_batch_id(self._connection)
        ids = catalogue_store.intern_tracks(self._connection, [polled], batch_id=batch_id)
        if polled.content.uri == entry.uri:
            return EntryState.ANSWERED
        catalogue_store.relink(self._connection, content_id=entry.entity_id, answering_id=ids[polled.content.key])
        return EntryState.RELINKED

    def _put_off(self, entry: Entry, error: MyiError) -> None:
        now = self._clock()
        due_at = try_again_at(error, failures=entry.failures + 1, now=now)
        is_network = failure_kind(error) is FailureKind.NETWORK
        self._network_failures = self._network_failures + 1 if is_network else 0
        self._retry_at = due_at if is_network else self._retry_at
        log.warning("catalogue_entry_failed", uri=entry.uri, due_at=due_at, reason=str(error))
        self._finish(entry, EntryState.WAITING, error=error, due_at=due_at, failed=True)

    def _finish(
        self,
        entry: Entry,
        state: EntryState,
        *,
        error: MyiError | None = None,
        due_at: datetime | None = None,
        failed: bool = False,
    ) -> None:
        reason = str(error) if error is not None else None
        spotify_queue.finish(
            self._connection, entry, state, now=self._clock(), due_at=due_at, failed=failed, error=reason
        )
