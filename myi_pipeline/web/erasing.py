"""What the page about erasing an account and the API do alike: looking at what would go, asking, and withdrawing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request

from myi_pipeline.operations.erase_users import count_all
from myi_pipeline.people import erasures
from myi_pipeline.people.erasures import ErasureRequest
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site


async def look_at_erasure(site: Site, person: Visitor) -> tuple[dict[str, int], ErasureRequest | None]:
    """What would be erased, counted in words, and what the person asked for."""
    counts = await site.pools.in_thread(count_all, site.settings, user_id=person.user_id, user_key=person.user_key)
    return counts, await site.pools.in_thread(erasures.find_request, user_id=person.user_id)


async def ask_for_erasure(request: Request, site: Site, person: Visitor, *, confirmation: str) -> ErasureRequest:
    """Raises BadInput and ImportIsRunning."""
    erasures.check_confirmation(user_key=person.user_key, confirmation=confirmation)
    return await site.pools.in_thread(
        erasures.request_erasure,
        user_id=person.user_id,
        now=datetime.now(UTC),
        grace=timedelta(days=site.settings.erasure_grace_days),
        address=client_address(request, site.settings.trusted_networks),
    )


async def withdraw_erasure(request: Request, site: Site, person: Visitor) -> bool:
    """False if there is nothing that could be withdrawn."""
    return await site.pools.in_thread(
        erasures.withdraw,
        user_id=person.user_id,
        now=datetime.now(UTC),
        address=client_address(request, site.settings.trusted_networks),
    )
