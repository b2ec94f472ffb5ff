"""Polling users: what Spotify says they played last goes into raw.

Belongs here: whom to ask, all of them at once, and what became of each. Not here: one user's page (poll_one_user), the
turn (core/polling_policy). Invariant: one user's failure is a result like any other and stops nobody else.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog

from myi_pipeline.core.errors import MyiError
from myi_pipeline.core.login_terms import Feature, features
from myi_pipeline.core.polling_policy import is_cooling_down, turn_has_come
from myi_pipeline.core.quota import Bucket
from myi_pipeline.services.connection_pool import ConnectionPool
from myi_pipeline.services.open_spotify import Spotify, open_spotify
from myi_pipeline.services.poll_one_user import Poller
from myi_pipeline.services.poll_results import PollResult
from myi_pipeline.settings import Settings
from myi_pipeline.spotify.transport import utc_now
from myi_pipeline.warehouse import poll_store, token_vault
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.poll_store import Candidate

__all__ = ["PollResult", "Polling", "open_polling", "poll_users"]

log = structlog.get_logger(__name__)


def poll_users(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_ids: Sequence[int],
    force: bool = False,
    within: timedelta | None = None,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    correlation_id: str | None = None,
    workers: int = 8,
) -> tuple[PollResult, ...]:
    """Poll these users concurrently, once; see `Polling.poll`.

    Raises KeyMissing when stored logins cannot be opened.
    """
    if not user_ids:
        return ()
    with open_polling(
        settings, warehouse, clock=clock, sleep=sleep, correlation_id=correlation_id, workers=workers
    ) as polling:
        return polling.poll(user_ids, force=force, within=within)


@contextmanager
def open_polling(
    settings: Settings,
    warehouse: Warehouse,
    *,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    correlation_id: str | None = None,
    workers: int = 8,
) -> Iterator[Polling]:
    """What polls share: connections to Spotify and the database, access tokens. Raises KeyMissing."""
    with (
        open_spotify(settings, warehouse, clock=clock, sleep=sleep) as spotify,
        ConnectionPool(warehouse, role=Role.INGEST, application_name="myi polls") as pool,
        ThreadPoolExecutor(workers, thread_name_prefix="poll") as threads,
    ):
        yield Polling(spotify, pool, threads, clock=clock, correlation_id=correlation_id or settings.correlation_id)


class Polling:
    """Polls users, `workers` at a time."""

    def __init__(
        self,
        spotify: Spotify,
        pool: ConnectionPool,
        threads: ThreadPoolExecutor,
        *,
        clock: Callable[[], datetime],
        correlation_id: str | None,
    ) -> None:
        self._spotify = spotify
        self._pool = pool
        self._threads = threads
        self._clock = clock
        self._poller = Poller(spotify, pool, clock=clock, jitter=random.random, correlation_id=correlation_id)

    def poll(
        self, user_ids: Sequence[int], *, force: bool = False, within: timedelta | None = None
    ) -> tuple[PollResult, ...]:
        """Poll these users concurrently; one result each, in the order of `user_ids`.

        Without `force` those in their cool-down are left out, and, when `within` is given, those whose turn does not
        come within that time. Never asked: who is paused, not signed in, whose circuit is open or whose quota is
        blocked.
        """
        if not user_ids:
            return ()
        with self._pool.take() as connection:
            candidates = poll_store.find_candidates(connection, user_ids=user_ids)
        asked = _Asked(self._spotify, candidates, now=self._clock(), force=force, within=within)

        def one(user_id: int) -> PollResult:
            candidate = candidates.get(user_id)
            if candidate is None:
                return PollResult.failed(user_id, str(user_id), "there is no such user")
            try:
                reason, retry_at = asked.why_not(candidate)
                if reason:
                    return PollResult.skipped(user_id, candidate.user_key, reason, retry_at=retry_at)
                return self._poller.poll(candidate, force=force)
            except Exception as error:
                # What is no error of ours may say anything: its text is shown to nobody.
                reason = str(error) if isinstance(error, MyiError) else f"unexpected: {type(error).__name__}"
                log.error("poll_failed", user=candidate.user_key, reason=reason)
                return PollResult.failed(user_id, candidate.user_key, reason)

        return tuple(self._threads.map(one, user_ids))


class _Asked:
    """Why a user is not asked; settled for a whole batch by few reads."""

    def __init__(
        self,
        spotify: Spotify,
        candidates: dict[int, Candidate],
        *,
        now: datetime,
        force: bool,
        within: timedelta | None,
    ) -> None:
        self._now = now
        self._force = force
        self._within = within
        self._open = spotify.open_circuits(list(candidates))
        clients = {candidate.client_id for candidate in candidates.values() if candidate.client_id is not None}
        self._blocked = {client: spotify.blocked_until(client, Bucket.POLLS) for client in clients}

    def why_not(self, candidate: Candidate) -> tuple[str, datetime | None]:
        """A sentence, and when it will be otherwise; an empty one when the user may be asked."""
        now, key = self._now, candidate.user_key
        if candidate.client_id is None:
            return f"not signed in to Spotify; sign in with: myi user login {key}", None
        if candidate.status == token_vault.REAUTH_REQUIRED:
            return f"the login has ended; sign in again: myi user login {key}", None
        if candidate.paused_at is not None:
            return f"paused; resume with: myi user resume {key}", None
        if Feature.POLLS not in features(candidate.scopes or ()):
            return f"the login does not allow it; sign in again: myi user login {key}", None
        if (open_until := self._open.get(candidate.user_id)) is not None:
            return f"requests failed too often; left alone for now (myi circuit reset {key} tries at once)", open_until
        if (blocked_until := self._blocked.get(candidate.client_id)) is not None:
            return "Spotify wants no polls of this client id for now", blocked_until
        if self._force:
            return "", None
        if candidate.polled_at is not None and is_cooling_down(candidate.polled_at, now):
            return "polled within the last five minutes", candidate.due_at
        if self._within is not None and not turn_has_come(
            due_at=candidate.due_at, polled_at=candidate.polled_at, now=now + self._within
        ):
            return "the turn has not come", candidate.due_at
        return "", None
