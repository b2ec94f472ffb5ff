"""Polling users, many at a time: who is due, and the result of each poll.

The failure of one user's poll is a result like any other and stops no other poll.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta

import structlog

from myi_pipeline.errors import MyiError
from myi_pipeline.people.logins import ASK_NAMES_EVERY, learn_missing_names
from myi_pipeline.polling import poll_store
from myi_pipeline.polling.obstacles import Obstacle, obstacle_sentence
from myi_pipeline.polling.pace import LATEST_TURN
from myi_pipeline.polling.poll_one_user import Poller, PollResult
from myi_pipeline.polling.poll_store import DueUser
from myi_pipeline.postgres.connections import Pool, Role, Warehouse
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.providers.spotify.open_spotify import Spotify, open_spotify
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

__all__ = ["PollResult", "Polling", "due_now", "open_polling", "poll_turns", "poll_users", "pollable_users"]

log = structlog.get_logger(__name__)


def due_now(warehouse: Warehouse, *, now: datetime, within: timedelta = timedelta(0)) -> tuple[DueUser, ...]:
    """Users who may be polled and are due `within` this time, longest waiting first."""
    warehouse = warehouse.for_polls()
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi polls")) as connection:
        return poll_store.due_users(connection, now=now, within=within)


def pollable_users(warehouse: Warehouse, *, now: datetime) -> tuple[DueUser, ...]:
    """Everybody who may be polled, with the time of their next turn."""
    return due_now(warehouse, now=now, within=LATEST_TURN)


def poll_turns(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_keys: Collection[str],
    within: timedelta,
    force: bool,
    clock: Callable[[], datetime],
    correlation_id: str | None,
) -> tuple[PollResult, ...]:
    """Poll those of `user_keys` who are due `within` this time; with `force`, all who may be polled."""
    wanted = set(user_keys)
    turns = due_now(warehouse, now=clock(), within=LATEST_TURN if force else within)
    user_ids = [user.user_id for user in turns if user.user_key in wanted]
    if not user_ids:
        return ()
    return poll_users(
        settings,
        warehouse,
        user_ids=user_ids,
        force=force,
        within=within,
        clock=clock,
        correlation_id=correlation_id,
    )


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

    Raises KeyMissing if stored logins cannot be opened.
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
    warehouse = warehouse.for_polls()
    with (
        open_spotify(settings, warehouse, clock=clock, sleep=sleep) as spotify,
        warehouse.pool(Role.INGEST, application_name="myi polls") as pool,
        ThreadPoolExecutor(workers, thread_name_prefix="poll") as threads,
    ):
        yield Polling(spotify, pool, threads, clock=clock, correlation_id=correlation_id or settings.correlation_id)


class Polling:
    """Polls users, `workers` at a time."""

    def __init__(
        self,
        spotify: Spotify,
        pool: Pool,
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

        Users with an obstacle are skipped, with the reason. With `within`, so are users who are not due within that
        time; without it, users who were polled in the last five minutes. `force` overrides only the turn and the
        cool-down.
        """
        if not user_ids:
            return ()
        with self._pool.connection() as connection:
            users = poll_store.find_users(connection, user_ids=user_ids)
        # What each client id could spend on polls when the batch began.
        means = self._spotify.means({user.client_id for user in users.values() if user.client_id is not None})

        def one(user_id: int) -> PollResult:
            user = users.get(user_id)
            if user is None:
                return PollResult.failed(user_id, str(user_id), "there is no such user")
            if user.client_id is None:
                reason = obstacle_sentence(Obstacle.NOT_SIGNED_IN, user_key=user.user_key)
                return PollResult.skipped(user_id, user.user_key, reason)
            try:
                return self._poller.poll(user, means=means[user.client_id], force=force, within=within)
            except Exception as error:
                # The text of a foreign error may contain anything, so it is not shown.
                reason = str(error) if isinstance(error, MyiError) else f"unexpected: {type(error).__name__}"
                log.error("poll_failed", user=user.user_key, reason=reason)
                return PollResult.failed(user_id, user.user_key, reason)

        results = tuple(self._threads.map(one, user_ids))
        polled = [result.user_id for result in results if result.polled]
        if any(result.new_plays for result in results):
            with self._pool.connection() as connection:
                wake(connection, Wake.CHANGES)
        if polled:
            now = self._clock()
            with self._pool.connection() as connection:
                learn_missing_names(
                    self._spotify, connection, now=now, asked_before=now - ASK_NAMES_EVERY, user_ids=polled
                )
        return results
