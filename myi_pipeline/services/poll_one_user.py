"""One user's poll: the whole window, held against raw, and stored.

Belongs here: the order of request, interning and commit. Not here: what a page means (core/poll_windows), whom to poll.
Invariants: plays, state, log, span and gaps commit together or not at all; a play is in raw before anything says that
it was seen; two pollers of one user come one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from myi_pipeline.core.errors import AuthRevoked, CircuitOpen, MyiError, RateLimited
from myi_pipeline.core.poll_windows import Comparison, GapReason, Page, PollState, compare, span_start
from myi_pipeline.core.polling_policy import after_failure, after_poll, is_cooling_down
from myi_pipeline.services.connection_pool import Connection, ConnectionPool
from myi_pipeline.services.open_spotify import Spotify
from myi_pipeline.services.poll_results import Outcome, PollResult
from myi_pipeline.services.read_poll_page import ReadPage, as_document, read_page
from myi_pipeline.services.refresh_credentials import Paused
from myi_pipeline.spotify.models import RecentlyPlayedPage
from myi_pipeline.warehouse import catalogue_store, poll_store
from myi_pipeline.warehouse.loading.conflicts import retry_conflicts
from myi_pipeline.warehouse.loading.partitions import ensure_partitions
from myi_pipeline.warehouse.poll_store import Candidate, PollEntry

log = structlog.get_logger(__name__)

# Spotify's times are better than a wrong clock of this machine: a play that is ahead of it by a day is still a play.
CLOCK_MAY_BE_BEHIND = timedelta(days=7)
_OVERFLOWS = (GapReason.WINDOW_OVERFLOW, GapReason.OUTAGE)


class Poller:
    """Polls users one by one; safe for threads."""

    def __init__(
        self,
        spotify: Spotify,
        pool: ConnectionPool,
        *,
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
        correlation_id: str | None,
    ) -> None:
        self._spotify = spotify
        self._pool = pool
        self._clock = clock
        self._jitter = jitter
        self._correlation_id = correlation_id

    def poll(self, candidate: Candidate, *, force: bool = False) -> PollResult:
        """Ask and store. Failures of the request are results; others are raised."""
        user_id, key = candidate.user_id, candidate.user_key
        with (
            self._pool.take() as connection,
            poll_store.poll_lock(connection, user_id=user_id) as is_held,
        ):
            if not is_held:
                return PollResult.skipped(user_id, key, "another process is polling this user")
            before = poll_store.read_state(connection, user_id=user_id)
            if not force and is_cooling_down(before.polled_at, self._clock()):
                return PollResult.skipped(user_id, key, "polled within the last five minutes", retry_at=before.due_at)
            try:
                page = self._spotify.call(user_id, lambda client, token: client.recently_played(token))
                return self._store(connection, candidate, before, page)
            except Paused as error:
                return PollResult.skipped(user_id, key, str(error))
            except MyiError as error:
                after = self._put_off(connection, candidate, before, error)
                is_put_off = isinstance(error, (RateLimited, CircuitOpen))
                make = PollResult.skipped if is_put_off else PollResult.failed
                return make(user_id, key, str(error), retry_at=None if isinstance(error, AuthRevoked) else after.due_at)
            except Exception as error:
                if not connection.broken:
                    self._put_off(connection, candidate, before, error)
                raise

    def _put_off(self, connection: Connection, candidate: Candidate, before: PollState, error: Exception) -> PollState:
        after = after_failure(before, error, now=self._clock(), jitter=self._jitter())
        poll_store.store_state(connection, after, user_id=candidate.user_id)
        return after

    def _store(
        self, connection: Connection, candidate: Candidate, before: PollState, page: RecentlyPlayedPage
    ) -> PollResult:
        user_id, polled_at = candidate.user_id, self._clock()
        read = read_page(connection, page, user_id=user_id, now=polled_at + CLOCK_MAY_BE_BEHIND)
        poll_id = poll_store.next_poll_id(connection)
        ids: dict[str, int] = {}
        if read.new:
            # Both in short transactions of their own: see the modules. What they leave, a repetition finds again.
            ensure_partitions(connection, {record.played_at.date() for record in read.new})
            ids = catalogue_store.intern_tracks(connection, read.tracks, batch_id=poll_id)

        def transaction() -> PollResult:
            with connection.transaction():
                return self._commit(connection, candidate, before, read, ids=ids, poll_id=poll_id, polled_at=polled_at)

        return retry_conflicts(transaction)

    def _commit(
        self,
        connection: Connection,
        candidate: Candidate,
        before: PollState,
        read: ReadPage,
        *,
        ids: dict[str, int],
        poll_id: int,
        polled_at: datetime,
    ) -> PollResult:
        user_id = candidate.user_id
        plays = [(record.played_at, ids[record.content.key] if record.content else None) for record in read.new]
        new = {id(record) for record in read.new}
        seen = Page(
            polled_at=polled_at,
            is_full=read.is_full,
            new=[record.played_at for record in read.new],
            known=[record.played_at for record in read.records if id(record) not in new],
            refused=read.around_refused,
        )
        found = compare(
            before,
            seen,
            known_before=lambda moment: poll_store.known_before(connection, user_id=user_id, moment=moment),
        )
        inserted = poll_store.insert_plays(connection, plays, user_id=user_id, poll_id=poll_id) if plays else 0
        after = after_poll(before, seen, found, jitter=self._jitter())
        outcome = _outcome(seen, found)
        if before.polled_at is None:
            poll_store.open_span(connection, user_id=user_id, polled_from=span_start(seen))
        ended = poll_store.close_open_gap(
            connection, user_id=user_id, gap_end=None if found.connects else seen.oldest or polled_at
        )
        if before.refused or seen.refused:
            since = seen.oldest if seen.is_full else None
            poll_store.judge_refused_again(connection, user_id=user_id, since=since)
        # The gap that ended here already says why.
        gaps = [gap for gap in found.gaps if ended is None or gap.reason not in _OVERFLOWS]
        poll_store.add_gaps(connection, gaps, user_id=user_id, now=polled_at)
        poll_store.store_state(connection, after, user_id=user_id)
        entry = PollEntry(
            outcome=outcome,
            items=read.items,
            new_plays=inserted,
            known_plays=read.items - inserted - len(read.refused),
            late_plays=min(found.late, inserted),
            refused_items=len(read.refused),
            oldest_played_at=seen.oldest,
            newest_played_at=seen.newest,
            newest_known_before=before.newest_played_at,
            refused=[as_document(row) for row in read.refused],
            correlation_id=self._correlation_id,
        )
        poll_store.record_poll(connection, entry, poll_id=poll_id, user_id=user_id, polled_at=polled_at)
        return PollResult(
            user_id=user_id,
            user_key=candidate.user_key,
            outcome=outcome,
            items=entry.items,
            new_plays=entry.new_plays,
            known_plays=entry.known_plays,
            late_plays=entry.late_plays,
            refused_items=entry.refused_items,
            oldest_played_at=seen.oldest,
            newest_played_at=seen.newest,
            gap_start=min((gap.start for gap in found.gaps), default=None),
            gap_end=max((gap.end for gap in found.gaps), default=None),
            reason=_sentence(entry, found),
            retry_at=after.due_at,
        )


def _outcome(page: Page, found: Comparison) -> Outcome:
    if found.gaps:
        return "gap"
    if page.new:
        return "new"
    return "known" if page.known else "none"


def _sentence(entry: PollEntry, found: Comparison) -> str:
    parts = []
    if found.gaps:
        parts.append("plays may be missing in between")
    if entry.late_plays:
        parts.append(f"{entry.late_plays} surfaced late")
    if entry.refused_items:
        parts.append(f"{entry.refused_items} could not be understood")
    return "; ".join(parts)
