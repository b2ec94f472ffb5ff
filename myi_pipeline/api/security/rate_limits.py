"""How often anybody may ask: three tiers of the last minute.

Belongs here: the tiers and their counting. Not here: who a visitor is. Invariant: every route has a tier (a test sees
to it), and a refusal says when to come again. Counts live in this process's memory, as there is one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from threading import Timer
from typing import TYPE_CHECKING, Any

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from starlette.requests import Request

from myi_pipeline.api.problems import Problem
from myi_pipeline.api.security.client_address import client_address
from myi_pipeline.settings import Settings

if TYPE_CHECKING:
    from myi_pipeline.api.site import Site

_SWEEP_EVERY_S = 1.0
# A probe that asks ten times a second is no attack.
_LENIENT_TIMES = 10


class Tier(StrEnum):
    """`sensitive`: sign-in, upload, export, wrong credentials; `normal`: reading; `lenient`: health."""

    SENSITIVE = "sensitive"
    NORMAL = "normal"
    LENIENT = "lenient"


class _Storage(MemoryStorage):
    """Sweeps at most once a second: the library's own timer makes a thread for it every 10 ms of a busy time."""

    @property
    def timer(self) -> Timer:
        return self._timer

    @timer.setter
    def timer(self, made: Timer) -> None:
        made.interval = _SWEEP_EVERY_S
        made.daemon = True
        self._timer = made


class RateLimits:
    """The counts of one process."""

    def __init__(self, settings: Settings) -> None:
        storage = _Storage()
        self._exact = MovingWindowRateLimiter(storage)
        # Keeps two numbers a visitor, where the exact one keeps every request of the minute.
        self._smooth = SlidingWindowCounterRateLimiter(storage)
        self._items = {
            Tier.SENSITIVE: RateLimitItemPerMinute(settings.api_sensitive_requests_per_minute),
            Tier.NORMAL: RateLimitItemPerMinute(settings.api_requests_per_minute),
            Tier.LENIENT: RateLimitItemPerMinute(settings.api_requests_per_minute * _LENIENT_TIMES),
        }

    def take(self, tier: Tier, what: str, who: str) -> None:
        """Count one. Raises Problem 429."""
        item = self._items[tier]
        limiter = self._exact if tier is Tier.SENSITIVE else self._smooth
        if not limiter.hit(item, what, who):
            self._refuse(limiter, item, what, who)

    def check(self, tier: Tier, what: str, who: str) -> None:
        """Raises Problem 429 when none is left; counts nothing."""
        item = self._items[tier]
        limiter = self._exact if tier is Tier.SENSITIVE else self._smooth
        if not limiter.test(item, what, who):
            self._refuse(limiter, item, what, who)

    def _refuse(self, limiter: Any, item: RateLimitItemPerMinute, what: str, who: str) -> None:
        at = limiter.get_window_stats(item, what, who).reset_time
        wait_s = max(1, math.ceil(at - time.time()))
        raise Problem(
            429,
            "too-many-requests",
            f"Too many requests; try again in {wait_s} s.",
            headers={"Retry-After": str(wait_s)},
        )


def limited(tier: Tier, what: str | None = None) -> Callable[[Request], Awaitable[None]]:
    """A dependency that counts a request of an address. Each `what` is counted apart."""

    async def count(request: Request) -> None:
        site: Site = request.app.state.site
        site.limits.take(tier, what or tier.value, client_address(request, site.settings.trusted_networks))

    count.tier = tier  # type: ignore[attr-defined]
    return count
