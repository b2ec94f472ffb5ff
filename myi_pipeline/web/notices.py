"""What the page of notices and the API do alike: adding an address, a webhook's new secret, tests.

An address that people give is looked up here, and never connected to: what is sent is sent by the daemon.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from myi_pipeline.notices import journal, targets
from myi_pipeline.notices.targets import Added, Channel
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.encryption_keys import require_keys
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site


async def add_target(
    request: Request,
    site: Site,
    person: Visitor,
    *,
    channel: Channel,
    url: str,
    name: str | None,
    kinds: tuple[str, ...] | None,
) -> Added:
    """Raises BadInput and Transient, in words for whoever typed it."""
    site.limits.take(Tier.SENSITIVE, "notices", str(person.user_id))

    def work() -> Added:
        keys = require_keys(site.settings, site.warehouse, role=Role.APP)
        with site.warehouse.connect(Role.APP, autocommit=True, application_name="myi api notices") as connection:
            return targets.add_target(
                connection, keys, user_id=person.user_id, channel=channel, url=url, name=name, kinds=kinds,
                allow_private=site.settings.webhooks_allow_private, now=datetime.now(UTC),
                address=client_address(request, site.settings.trusted_networks),
            )  # fmt: skip

    return await run_in_threadpool(work)


async def rotate(request: Request, site: Site, person: Visitor, target_id: UUID) -> str | None:
    """The new secret; None if this user has no such webhook."""
    site.limits.take(Tier.SENSITIVE, "notices", str(person.user_id))

    def work() -> str | None:
        keys = require_keys(site.settings, site.warehouse, role=Role.APP)
        with site.warehouse.connect(Role.APP, autocommit=True, application_name="myi api notices") as connection:
            return targets.rotate_secret(
                connection, keys, user_id=person.user_id, target_id=target_id,
                address=client_address(request, site.settings.trusted_networks),
            )  # fmt: skip

    return await run_in_threadpool(work)


async def send_test(site: Site, person: Visitor, target_id: UUID) -> UUID | None:
    """The delivery that is journalled; None if this user has no such target."""
    site.limits.take(Tier.SENSITIVE, "notices", str(person.user_id))
    return await site.pools.in_thread(
        journal.journal_test, user_id=person.user_id, target_id=target_id, site_url=site.settings.site_url,
        now=datetime.now(UTC),
    )  # fmt: skip
