"""Asking MusicBrainz about what was played: recordings, artists, first releases, genres.

A track is looked for by its recording code, then by the MBID that a source gave, then by its names; the rules are in
`recording_rules`. Two workers never ask about the same entry. An answer is stored in the transaction that marks its
entry as answered. No failure here changes a play.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from myi_pipeline.catalogue import musicbrainz_queue as queue
from myi_pipeline.catalogue.most_played import newer_mart_run
from myi_pipeline.catalogue.musicbrainz_queue import Entry, EntryState, Idle, QueueCount
from myi_pipeline.catalogue.musicbrainz_store import FoundBy, store_artist, store_recording
from myi_pipeline.catalogue.recording_rules import Wanted, choose_by_code, choose_by_names, search_title
from myi_pipeline.errors import BadInput, MyiError, Permanent
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.providers.musicbrainz.answers import Artist, Recording
from myi_pipeline.providers.musicbrainz.client import MusicBrainzClient, open_musicbrainz, why_off
from myi_pipeline.providers.retries import FailureKind, failure_kind, try_again_at
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# At one request a second, two days of work.
MOST_QUEUED: Final = 50_000
# What a run of an hour can ask, with up to four requests for a track.
MOST_A_RUN: Final = 2_000
# After this many network failures in a row, the entries are not to blame: MusicBrainz cannot be reached.
MOST_FAILURES_IN_A_ROW: Final = 5
_REFUSED_WAIT: Final = timedelta(hours=6)


@dataclass(frozen=True, kw_only=True)
class GenresResult:
    """What one run asked and learnt. `reason`: why it ended. `retry_at`: when another run is worthwhile, if known."""

    found: int = 0
    not_found: int = 0
    failed: int = 0
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def asked(self) -> int:
        return self.found + self.not_found + self.failed


@dataclass(frozen=True, kw_only=True)
class GenresStatus:
    """The queue by kind. `off`: why MusicBrainz is not asked at all; `idle`: what holds the queue up now."""

    off: str
    idle: Idle
    queue: tuple[QueueCount, ...]


def genres_status(settings: Settings, warehouse: Warehouse, *, now: datetime) -> GenresStatus:
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi genres")) as connection:
        return GenresStatus(
            off=why_off(settings), idle=queue.read_idle(connection, now=now), queue=queue.count_queue(connection)
        )


def genres_have_work(settings: Settings, warehouse: Warehouse, *, now: datetime) -> bool:
    """Whether a scheduled run may have anything to ask. Costs one small query, or none if MusicBrainz is off."""
    if why_off(settings):
        return False
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi genres")) as connection:
        return queue.has_work(connection, now=now)


def enrich_genres(
    settings: Settings,
    warehouse: Warehouse,
    *,
    most: int | None = None,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> GenresResult:
    """Ask until nothing is due, MusicBrainz asks to wait, or `most` tracks and artists were looked up.

    Any number of these may run at once. Without a contact address nothing is asked, and the result says so.
    """
    if off := why_off(settings):
        return GenresResult(reason=off)
    with (
        open_musicbrainz(settings, warehouse, clock=clock, sleep=sleep) as client,
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi genres")) as connection,
    ):
        _fill_queue(warehouse, connection, now=clock())
        result = _Worker(client, connection, clock).run(most)
        queue.note_idle(connection, Idle(result.retry_at, result.reason if result.retry_at else None))
        return result


def _fill_queue(warehouse: Warehouse, connection: Connection, *, now: datetime) -> None:
    mart_run_id = newer_mart_run(connection, than="musicbrainz_state")
    if mart_run_id is not None:
        with closing(warehouse.connect(Role.ANALYST, application_name="myi genres")) as reading:
            tracks = queue.most_played(reading, most=MOST_QUEUED)
        queue.fill(connection, tracks, now=now, mart_run_id=mart_run_id)
    queue.revive(connection, now=now)


class _Worker:
    def __init__(self, client: MusicBrainzClient, connection: Connection, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._connection = connection
        self._clock = clock
        self._network_failures = 0

    def run(self, most: int | None) -> GenresResult:
        result = GenresResult()
        while not result.reason:
            if most is not None and result.asked >= most:
                return replace(result, reason="the requested number of look-ups was made")
            entry = queue.lease(self._connection, now=self._clock())
            if entry is None:
                return replace(result, reason="nothing is due")
            result = self._ask(entry, result)
        return result

    def _ask(self, entry: Entry, result: GenresResult) -> GenresResult:
        try:
            is_found = self._ask_for_artist(entry) if entry.artist_mbid is not None else self._ask_for_track(entry)
        except MyiError as error:
            return self._failed(entry, error, result)
        except BaseException:
            queue.finish(self._connection, entry, EntryState.WAITING, now=self._clock())
            raise
        self._network_failures = 0
        if is_found:
            return replace(result, found=result.found + 1)
        return replace(result, not_found=result.not_found + 1)

    def _ask_for_artist(self, entry: Entry) -> bool:
        assert entry.artist_mbid is not None
        found = self._client.artist(entry.artist_mbid)
        return self._keep(entry, found, found_by="mbid")

    def _ask_for_track(self, entry: Entry) -> bool:
        found, found_by = self._look_for(entry)
        return self._keep(entry, found, found_by=found_by)

    def _look_for(self, entry: Entry) -> tuple[Recording | None, FoundBy]:
        wanted = Wanted(title=entry.title, artist=entry.artist, album=entry.album, length_ms=entry.length_ms)
        if entry.isrc is not None:
            found = choose_by_code(wanted, self._by_isrc(entry.isrc))
            if found is not None:
                return found, "isrc"
        if entry.recording_mbid is not None:
            found = self._client.recording(entry.recording_mbid)
            if found is not None:
                return found, "mbid"
        if entry.title is not None and entry.artist is not None:
            hits = self._client.search_recordings(title=search_title(entry.title), artist=entry.artist)
            best = choose_by_names(wanted, hits)
            if best is not None:
                # Search results have no genres.
                return self._client.recording(best.recording_mbid), "names"
        return None, "names"

    def _by_isrc(self, isrc: str) -> tuple[Recording, ...]:
        try:
            return self._client.recordings_by_isrc(isrc) or ()
        except BadInput as error:
            # Labels mistype codes; the names may still find it.
            log.info("recording_code_refused", reason=str(error))
            return ()

    def _keep(self, entry: Entry, found: Recording | Artist | None, *, found_by: FoundBy) -> bool:
        """Store the answer and mark the entry as answered; do neither if the lease was lost meanwhile."""

        def run() -> None:
            now = self._clock()
            with self._connection.transaction():
                state = EntryState.FOUND if found is not None else EntryState.NOT_FOUND
                if not queue.finish(self._connection, entry, state, now=now):
                    return
                if isinstance(found, Artist) and entry.artist_mbid is not None:
                    store_artist(self._connection, found.votes, artist_mbid=entry.artist_mbid)
                elif isinstance(found, Recording) and entry.content_id is not None:
                    store_recording(self._connection, found, content_id=entry.content_id, found_by=found_by, now=now)
                    artists = ((each.artist_mbid, each.votes is not None) for each in found.credits)
                    queue.queue_artists(self._connection, artists, plays=entry.plays, now=now)

        retry_conflicts(run)
        return found is not None

    def _failed(self, entry: Entry, error: MyiError, result: GenresResult) -> GenresResult:
        """End the run if the failure is not about this entry; otherwise put the entry off."""
        now = self._clock()
        kind = failure_kind(error)
        is_refusal = isinstance(error, Permanent) and not isinstance(error, BadInput)
        if kind is FailureKind.PUT_OFF or is_refusal:
            queue.finish(self._connection, entry, EntryState.WAITING, now=now)
            retry_at = getattr(error, "retry_at", None) or now + _REFUSED_WAIT
            return replace(result, reason=str(error), retry_at=retry_at)
        due_at = try_again_at(error, failures=entry.failures + 1, now=now)
        self._network_failures = self._network_failures + 1 if kind is FailureKind.NETWORK else 0
        log.warning("musicbrainz_entry_failed", entry_id=entry.entry_id, due_at=due_at, reason=str(error))
        queue.finish(self._connection, entry, EntryState.WAITING, now=now, due_at=due_at, failed=True, error=str(error))
        result = replace(result, failed=result.failed + 1)
        if self._network_failures >= MOST_FAILURES_IN_A_ROW:
            return replace(result, reason="MusicBrainz cannot be reached", retry_at=due_at)
        return result
