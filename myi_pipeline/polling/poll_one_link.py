"""Polling one linked account at Last.fm or ListenBrainz: reading pages backwards, storing each.

Every page is stored separately, together with how far its span has been read; if killed, the next poll continues from
there. The reason in a result is a sentence that anybody may see: it contains no secret.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import structlog

from myi_pipeline.catalogue import catalogue_store
from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.catalogue.plays import PlayRecord, QuarantinedRow
from myi_pipeline.catalogue.scrobbles import intern_scrobbled, scrobble_records
from myi_pipeline.catalogue.sources import POLLED_SOURCES
from myi_pipeline.errors import AuthRevoked, MyiError, RateLimited, Transient, UnexpectedAnswer
from myi_pipeline.polling import scrobble_store as store
from myi_pipeline.polling.obstacles import (
    ALWAYS_BLOCKING,
    BLOCKING_A_DUE_POLL,
    BLOCKING_A_REQUESTED_POLL,
    first_obstacle,
    obstacle_sentence,
    read_obstacles,
)
from myi_pipeline.polling.scrobble_rules import (
    PAGES_A_POLL,
    LinkState,
    NamedScrobble,
    Stretch,
    find_new,
    is_long_look,
    next_due,
    next_stretch,
)
from myi_pipeline.postgres.connections import Connection, Pool, retry_conflicts
from myi_pipeline.providers import service_vault
from myi_pipeline.providers.open_services import Services
from myi_pipeline.providers.retries import try_again_at
from myi_pipeline.providers.scrobbles import ScrobblePage, Service
from myi_pipeline.providers.service_vault import LinkedAccount

log = structlog.get_logger(__name__)

# A missing or private account is checked once a day, as it may come back.
_GONE_FOR = timedelta(days=1)
# The error for a page without anything readable.
_REFUSED_KEPT = 50

Outcome = Literal["new", "known", "none", "skipped", "failed"]
POLLED = ("new", "known", "none")


@dataclass(frozen=True, kw_only=True)
class LinkResult:
    """One account's poll. `none`: there are no scrobbles yet. `is_complete`: nothing is left to be read backwards.

    `retry_at` is the next turn.
    """

    user_id: int
    user_key: str
    service: Service
    outcome: Outcome
    account: str = ""
    pages: int = 0
    items: int = 0
    new_plays: int = 0
    known_plays: int = 0
    late_plays: int = 0
    refused_items: int = 0
    oldest_played_at: datetime | None = None
    newest_played_at: datetime | None = None
    is_complete: bool = False
    reason: str = ""
    retry_at: datetime | None = None

    @property
    def polled(self) -> bool:
        """Whether the service was asked and has answered."""
        return self.outcome in POLLED


class LinkChanged(Transient):
    """The page may belong to another account than the one that is linked now."""


def result_of(link: LinkedAccount, outcome: Outcome, reason: str = "", **values: Any) -> LinkResult:
    return LinkResult(
        user_id=link.user_id,
        user_key=link.user_key,
        service=link.service,
        account=link.account,
        outcome=outcome,
        reason=reason,
        **values,
    )


@dataclass
class _Tally:
    """The totals over the pages of one poll."""

    pages: int = 0
    items: int = 0
    new: int = 0
    known: int = 0
    late: int = 0
    refused: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    is_playing: bool = False
    is_skipping: bool = False


class LinkPoller:
    """Polls accounts one by one; thread-safe. `after_page` is called when a page has been stored."""

    def __init__(
        self,
        services: Services,
        pool: Pool,
        *,
        clock: Callable[[], datetime],
        correlation_id: str | None,
        after_page: Callable[[], None] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._services = services
        self._pool = pool
        self._clock = clock
        self._correlation_id = correlation_id
        self._after_page = after_page
        self._jitter = jitter

    def poll(self, link: LinkedAccount, *, force: bool, is_whole: bool, is_turn: bool) -> LinkResult:
        """Poll this account, unless there is an obstacle. Failures of requests are results; others are raised."""
        with (
            self._pool.connection() as connection,
            store.link_lock(connection, user_id=link.user_id, service=link.service) as is_held,
        ):
            if not is_held:
                return result_of(link, "skipped", "another process is polling this account")
            # Under the lock: another process may have polled since.
            kinds = ALWAYS_BLOCKING if force else BLOCKING_A_DUE_POLL if is_turn else BLOCKING_A_REQUESTED_POLL
            obstacles = read_obstacles(connection, user_id=link.user_id, service=link.service)
            found = first_obstacle(obstacles, kinds, now=self._clock())
            if found is not None:
                sentence = obstacle_sentence(found.obstacle, user_key=link.user_key, service=link.service)
                return result_of(link, "skipped", sentence, retry_at=found.stands_until)
            return self._read(connection, link, is_whole=is_whole)

    def _read(self, connection: Connection, link: LinkedAccount, *, is_whole: bool) -> LinkResult:
        before = store.read_state(connection, user_id=link.user_id, service=link.service)
        standing = store.read_stretches(connection, user_id=link.user_id, service=link.service)
        now = self._clock()
        first = next_stretch(before, standing, now=now)
        work = [first, *standing]
        if is_whole and not any(each.since is None for each in work):
            work.append(Stretch(None, None, None, now))
        tally = _Tally()
        try:
            while work and tally.pages < PAGES_A_POLL:
                stretch = work.pop(0)
                left = self._read_stretch(connection, link, stretch, tally, most=PAGES_A_POLL - tally.pages)
                if left is not None:
                    work.insert(0, left)
        except LinkChanged as error:
            return self._summarise(link, tally, "skipped", str(error), is_complete=False)
        except MyiError as error:
            return self._put_off(connection, link, tally, error)
        after = store.read_state(connection, user_id=link.user_id, service=link.service)
        polled_at = self._clock()
        due_at = next_due(
            newest_at=after.newest_at, is_playing=tally.is_playing, is_unfinished=bool(work), now=polled_at
        )
        after = replace(after, polled_at=polled_at, due_at=due_at, failures=0, last_error=None)
        self._store_state(connection, link, after)
        return self._summarise(
            link, tally, _outcome(tally), _sentence(tally, work), is_complete=not work, retry_at=due_at
        )

    def _read_stretch(
        self, connection: Connection, link: LinkedAccount, stretch: Stretch, tally: _Tally, *, most: int
    ) -> Stretch | None:
        """Reads at most `most` pages of it; returns what is left, or None at its end."""
        reader = self._services.reader(link.service)
        token = self._token(link)
        for _ in range(most):
            asked, since = stretch.read_down_to, stretch.since
            page = self._services.read(lambda: reader.page(link.account, before=asked, since=since, token=token))  # noqa: B023
            stretch_left = self._store_page(connection, link, stretch, page, tally)
            if self._after_page is not None:
                self._after_page()
            if stretch_left is None:
                return None
            stretch = stretch_left
        return stretch

    def _token(self, link: LinkedAccount) -> str | None:
        """Uses a token if there is one, because ListenBrainz then counts requests by user. None is required."""
        if not link.service.traits.has_tokens or not link.has_good_secret:
            return None
        return service_vault.open_secret(self._services.keys, link)

    def _store_page(
        self, connection: Connection, link: LinkedAccount, stretch: Stretch, page: ScrobblePage, tally: _Tally
    ) -> Stretch | None:
        user_id, service, polled_at = link.user_id, link.service, self._clock()
        results = scrobble_records(page, source=POLLED_SOURCES[service], now=polled_at)
        refused = [result for result in results if isinstance(result, QuarantinedRow)]
        records = [result for result in results if isinstance(result, PlayRecord)]
        if page.bad and not page.scrobbles:
            raise UnexpectedAnswer(
                f"none of the {page.items} scrobbles of a page could be understood; the first: {page.bad[0].detail}"
            )
        new = self._new_records(connection, link, records)
        poll_id = catalogue_store.next_batch_id(connection)
        ids: dict[str, int] = {}
        if new:
            # In short transactions of their own: see the modules. If this fails, the next poll finds what they stored.
            ensure_partitions(connection, {record.played_at.date() for record in new})
        if records:
            # For known ones, too: a service may learn a recording's name later than its listen.
            ids = intern_scrobbled(connection, records, batch_id=poll_id)
        plays = [(record.played_at, ids[record.content.key] if record.content else None) for record in new]
        times = [record.played_at for record in records]
        is_at_end = page.more_before is None or (stretch.since is not None and page.more_before <= stretch.since)
        left = None if is_at_end else replace(stretch, read_down_to=page.more_before)

        def transaction() -> tuple[int, int, Stretch | None]:
            with connection.transaction():
                if not store.is_still_linked(connection, user_id=user_id, service=service, account=link.account):
                    raise LinkChanged(
                        "the account was changed while it was being read; nothing from that page was stored"
                    )
                before = store.read_state(connection, user_id=user_id, service=service)
                inserted = (
                    store.insert_plays(connection, plays, user_id=user_id, service=service, poll_id=poll_id)
                    if plays
                    else 0
                )
                # While the past is read for the first time, none of it counts as late.
                newest = before.newest_at if before.read_whole_at is not None else None
                late = sum(newest is not None and played_at < newest for played_at, _ in plays)
                after = replace(
                    before,
                    newest_at=max((*times, *([before.newest_at] if before.newest_at else [])), default=None),
                    new_seen_at=polled_at if inserted else before.new_seen_at,
                )
                if left is None:
                    if stretch.stretch_id is not None:
                        store.end_stretch(connection, stretch)
                    if is_long_look(stretch):
                        after = replace(after, looked_back_at=stretch.opened_at)
                    if stretch.since is None:
                        after = replace(after, read_whole_at=stretch.opened_at)
                    kept = None
                else:
                    number = store.store_stretch(connection, left, user_id=user_id, service=service)
                    kept = replace(left, stretch_id=number)
                store.store_state(connection, after, user_id=user_id, service=service)
                entry = store.PageEntry(
                    items=page.items,
                    new_plays=inserted,
                    known_plays=page.items - inserted - len(refused),
                    late_plays=min(late, inserted),
                    refused_items=len(refused),
                    oldest_played_at=min(times, default=None),
                    newest_played_at=max(times, default=None),
                    refused=[_as_document(row) for row in refused[:_REFUSED_KEPT]],
                    correlation_id=self._correlation_id,
                )
                store.record_page(
                    connection,
                    entry,
                    poll_id=poll_id,
                    user_id=user_id,
                    service=service,
                    account=link.account,
                    polled_at=polled_at,
                )
            return inserted, min(late, inserted), kept

        inserted, late, kept = retry_conflicts(transaction)
        _add(tally, page, inserted=inserted, late=late, refused=len(refused), times=times)
        return kept

    def _new_records(
        self, connection: Connection, link: LinkedAccount, records: Sequence[PlayRecord]
    ) -> list[PlayRecord]:
        if not records:
            return []
        times = [record.played_at for record in records]
        stored = store.known_scrobbles(
            connection, user_id=link.user_id, service=link.service, oldest=min(times), newest=max(times)
        )
        seen = [NamedScrobble(record.played_at, frozenset(_names(record))) for record in records]
        return [records[place] for place in find_new(seen, stored)]

    def _put_off(self, connection: Connection, link: LinkedAccount, tally: _Tally, error: MyiError) -> LinkResult:
        now = self._clock()
        before = store.read_state(connection, user_id=link.user_id, service=link.service)
        if isinstance(error, AuthRevoked):
            # The next poll reads without the token; sending waits for a new one.
            service_vault.note_secret_ended(connection, link, now=now)
        if isinstance(error, RateLimited):
            after = replace(before, due_at=error.retry_at)
            self._store_state(connection, link, after)
            outcome = _outcome(tally) if tally.pages else "skipped"
            return self._summarise(link, tally, outcome, str(error), is_complete=False, retry_at=error.retry_at)
        failures = before.failures + 1
        due_at = try_again_at(error, failures=failures, now=now, jitter=self._jitter()) or now + _GONE_FOR
        after = replace(before, due_at=min(due_at, now + _GONE_FOR), failures=failures, last_error=str(error))
        self._store_state(connection, link, after)
        log.warning("service_poll_failed", user=link.user_key, service=link.service.value, reason=str(error))
        return self._summarise(link, tally, "failed", str(error), is_complete=False, retry_at=after.due_at)

    def _store_state(self, connection: Connection, link: LinkedAccount, state: LinkState) -> None:
        with connection.transaction():
            # The state of an account that was unlinked in the meantime is gone.
            if store.is_still_linked(connection, user_id=link.user_id, service=link.service, account=link.account):
                store.store_state(connection, state, user_id=link.user_id, service=link.service)

    def _summarise(
        self,
        link: LinkedAccount,
        tally: _Tally,
        outcome: Outcome,
        reason: str,
        *,
        is_complete: bool,
        retry_at: datetime | None = None,
    ) -> LinkResult:
        return result_of(
            link,
            outcome,
            reason,
            pages=tally.pages,
            items=tally.items,
            new_plays=tally.new,
            known_plays=tally.known,
            late_plays=tally.late,
            refused_items=tally.refused,
            oldest_played_at=tally.oldest,
            newest_played_at=tally.newest,
            is_complete=is_complete,
            retry_at=retry_at,
        )


def _outcome(tally: _Tally) -> Outcome:
    return "new" if tally.new else "known" if tally.known else "none"


def _names(record: PlayRecord) -> list[str]:
    content = record.content
    if content is None:
        return []
    return [content.key, content.match_key] if content.match_title else [content.key]


def _as_document(row: QuarantinedRow) -> dict[str, Any]:
    return {"index": row.row_index, "reason": row.reason, "detail": row.detail, "row": row.row}


def _add(
    tally: _Tally, page: ScrobblePage, *, inserted: int, late: int, refused: int, times: Sequence[datetime]
) -> None:
    tally.pages += 1
    tally.items += page.items
    tally.new += inserted
    tally.known += page.items - inserted - refused
    tally.late += late
    tally.refused += refused
    tally.is_playing = tally.is_playing or page.is_playing
    tally.is_skipping = tally.is_skipping or page.is_skipping
    for moment in times:
        tally.oldest = moment if tally.oldest is None else min(tally.oldest, moment)
        tally.newest = moment if tally.newest is None else max(tally.newest, moment)


def _sentence(tally: _Tally, left: Sequence[Stretch]) -> str:
    parts = []
    if tally.late:
        parts.append(f"{tally.late} appeared late")
    if tally.refused:
        parts.append(f"{tally.refused} could not be understood")
    if tally.is_skipping:
        parts.append("more scrobbles than fit on a page have the same second, so some cannot be read")
    down_to = max((each.read_down_to for each in left if each.read_down_to is not None), default=None)
    if down_to is not None:
        parts.append(f"read back to {down_to:%Y-%m-%d}; older ones follow")
    return "; ".join(parts)
