"""Polling linked accounts at Last.fm and ListenBrainz: whose turn it is, and all of them, a few at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta

import structlog

from myi_pipeline.errors import MyiError
from myi_pipeline.polling import scrobble_store as store
from myi_pipeline.polling.obstacles import Obstacle, obstacle_sentence
from myi_pipeline.polling.poll_one_link import LinkPoller, LinkResult, result_of
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.providers import service_vault
from myi_pipeline.providers.open_services import open_services
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.providers.service_vault import LinkedAccount
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# No turn is further ahead than this, so it covers every account that may be polled.
_LATEST_TURN = timedelta(hours=25)


def due_links(warehouse: Warehouse, *, now: datetime, within: timedelta = timedelta(0)) -> tuple[store.DueLink, ...]:
    """Accounts that may be polled and are due `within` this time, longest waiting first."""
    warehouse = warehouse.for_polls()
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi services")) as connection:
        return store.due_links(connection, now=now, within=within)


def poll_links(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_keys: Collection[str] | None = None,
    service: Service | None = None,
    force: bool = False,
    is_whole: bool = False,
    only_due: bool = False,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    correlation_id: str | None = None,
    workers: int = 4,
    after_page: Callable[[], None] | None = None,
) -> tuple[LinkResult, ...]:
    """Poll the linked accounts of these users (None: of everybody), a few at a time; one result each.

    `only_due` restricts this to accounts that are due. `force` overrides only the turn and the cool-down. `is_whole`
    reads everything again, from now backwards. Raises KeyMissing if stored secrets cannot be opened.
    """
    warehouse = warehouse.for_polls()
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi services")) as connection:
        links = [
            link
            for link in service_vault.list_links(connection)
            if (user_keys is None or link.user_key in user_keys) and service in (None, link.service)
        ]
        if only_due:
            turns = store.due_links(connection, now=clock(), within=_LATEST_TURN if force else timedelta(0))
            due = {(turn.user_id, turn.service) for turn in turns}
            links = [link for link in links if (link.user_id, link.service) in due]
    if not links:
        return ()
    with (
        open_services(settings, warehouse, clock=clock, sleep=sleep) as services,
        warehouse.pool(Role.INGEST, application_name="myi services") as pool,
        ThreadPoolExecutor(workers, thread_name_prefix="service") as threads,
    ):
        poller = LinkPoller(
            services,
            pool,
            clock=clock,
            correlation_id=correlation_id or settings.correlation_id,
            after_page=after_page,
        )

        def one(link: LinkedAccount) -> LinkResult:
            try:
                return poller.poll(link, force=force, is_whole=is_whole, is_turn=only_due)
            except Exception as error:
                # The text of a foreign error may contain anything, so it is not shown.
                reason = str(error) if isinstance(error, MyiError) else f"unexpected: {type(error).__name__}"
                log.error("service_poll_failed", user=link.user_key, service=link.service.value, reason=reason)
                return result_of(link, "failed", reason)

        results = tuple(threads.map(one, links))
        if any(result.new_plays for result in results):
            with pool.connection() as connection:
                wake(connection, Wake.CHANGES)
        return results


def not_linked(user_key: str, service: Service) -> str:
    """The error for a user without such an account."""
    return obstacle_sentence(Obstacle.NOT_SIGNED_IN, user_key=user_key, service=service)
