"""Live requests to Spotify: immediate polls, what is playing, and top lists.

Pages may not use a login, so they leave a wish in `ops.live_wishes`, and the process that runs this takes it. A wish is
taken before it is fulfilled: if it is lost with its process, the page repeats it, or the poll is due anyway.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import NamedTuple

import structlog

from myi_pipeline.errors import MyiError
from myi_pipeline.polling.now_playing import read_now_playing
from myi_pipeline.polling.poll_users import Polling, PollResult
from myi_pipeline.polling.top_items import TopResult, refresh_when_seen
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.providers.spotify.open_spotify import open_spotify
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

_AT_ONCE = 4


class Wish(NamedTuple):
    user_id: int
    wish: str


def take_wishes(connection: Connection) -> list[Wish]:
    """All waiting wishes, each taken by one process."""
    rows = connection.execute("delete from ops.live_wishes returning user_id, wish").fetchall()
    return [Wish(*row) for row in rows]


class Fulfilment:
    """Fulfils wishes, a few at once; a failure is logged."""

    def __init__(self, fulfil: Callable[[Wish], None], threads: ThreadPoolExecutor) -> None:
        self._fulfil, self._threads = fulfil, threads
        self._under_way: set[Wish] = set()

    def begin(self, wishes: list[Wish]) -> None:
        """A wish that is repeated while it is being fulfilled is dropped."""
        for wish in wishes:
            if wish not in self._under_way:
                self._under_way.add(wish)
                self._threads.submit(self._one, wish)

    def _one(self, wish: Wish) -> None:
        try:
            self._fulfil(wish)
        except MyiError as error:
            log.warning("wish_not_fulfilled", wish=wish.wish, user_id=wish.user_id, reason=str(error))
        except Exception as error:
            # Its text may contain anything.
            log.error("wish_not_fulfilled", wish=wish.wish, user_id=wish.user_id, reason=type(error).__name__)
        finally:
            self._under_way.discard(wish)


@contextmanager
def fulfilling_wishes(
    settings: Settings,
    warehouse: Warehouse,
    *,
    on_poll: Callable[[PollResult], None],
    on_top_lists: Callable[[TopResult], None] = lambda _: None,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Fulfilment]:
    """Connections to Spotify and the database for live requests.

    `on_poll` is called after each poll, `on_top_lists` after each reading of top lists. Raises KeyMissing if stored
    logins cannot be opened.
    """
    with ExitStack() as stack:
        spotify = stack.enter_context(open_spotify(settings, warehouse, clock=clock, sleep=sleep))
        pool = stack.enter_context(warehouse.pool(Role.INGEST, application_name="myi live"))
        # Two pools, because a wish waits for its poll; the polls' pool is closed after that of the waiting wishes.
        polls = stack.enter_context(ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="poll"))
        threads = stack.enter_context(ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="wish"))
        polling = Polling(spotify, pool, polls, clock=clock, correlation_id=None)

        def fulfil(wish: Wish) -> None:
            if wish.wish == "now_playing":
                read_now_playing(spotify, pool, user_id=wish.user_id, clock=clock)
                return
            if wish.wish == "top_lists":
                with pool.connection() as connection:
                    lists = refresh_when_seen(spotify, connection, user_id=wish.user_id, clock=clock)
                if lists is not None:
                    on_top_lists(lists)
                return
            for result in polling.poll([wish.user_id]):
                on_poll(result)

        yield Fulfilment(fulfil, threads)
