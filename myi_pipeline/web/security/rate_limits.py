"""How often anybody may ask, in three tiers per minute, and how often a credential may be wrong.

Every route has a tier (a test checks), and a refusal says when to come again. Counts live in this process's memory, as
there is only one. A valid credential is never refused for wrong ones, so nobody's guesses lock anyone out.
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

from myi_pipeline.people import audit
from myi_pipeline.people.audit import Event
from myi_pipeline.settings import Settings
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.client_address import client_address

if TYPE_CHECKING:
    from myi_pipeline.web.site import Site

_SWEEP_EVERY_S = 1.0
# A probe that asks ten times a second is no attack.
_LENIENT_TIMES = 10
_HOUR_S = 3_600.0
_EACH_UP_TO = 10
_MOST_ADDRESSES = 5_000


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


def limited_when_wrong(tier: Tier) -> Callable[[], Awaitable[None]]:
    """A dependency for what cannot be guessed: the route itself counts what is wrong (guesses.note_guess).

    Counting all that comes would let one who tries out secrets keep others at the same address from using good ones.
    """

    async def count_later() -> None:
        return None

    count_later.tier = tier  # type: ignore[attr-defined]
    return count_later


def limited(tier: Tier, what: str | None = None) -> Callable[[Request], Awaitable[None]]:
    """A dependency that counts a request by the user of a good credential, otherwise by address.

    Each `what` is counted apart. So nobody behind the same router uses up what is for those who are signed in.
    """

    async def count(request: Request) -> None:
        from myi_pipeline.web.security.identity import find_visitor

        site: Site = request.app.state.site
        visitor = await find_visitor(request, site) if tier is not Tier.LENIENT else None
        if visitor is not None:
            who = f"user {visitor.user_id}"
        else:
            who = client_address(request, site.settings.trusted_networks)
        site.limits.take(tier, what or tier.value, who)

    count.tier = tier  # type: ignore[attr-defined]
    return count


def limited_by_address(tier: Tier, what: str) -> Callable[[Request], Awaitable[None]]:
    """The same for what strangers alone ask, whose headers are no credential."""

    async def count(request: Request) -> None:
        site: Site = request.app.state.site
        site.limits.take(tier, what, client_address(request, site.settings.trusted_networks))

    count.tier = tier  # type: ignore[attr-defined]
    return count


class Guesses:
    """Wrong credentials of the present hour by address, in this process's memory.

    The audit log gets the first ten of an address in an hour and then every tenfold count, so a flood fills no disk."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._counts: dict[str, int] = {}

    def count(self, address: str) -> int | None:
        """One more of this address: how many there are now, or None if the log need not know."""
        if self._clock() - self._began >= _HOUR_S:
            self._began, self._counts = self._clock(), {}
        if address not in self._counts and len(self._counts) >= _MOST_ADDRESSES:
            address = "others"
        number = self._counts[address] = self._counts.get(address, 0) + 1
        return number if number <= _EACH_UP_TO or _is_power_of_ten(number) else None


async def note_guess(
    site: Site, address: str, what: str, *, event: Event = Event.WRONG_CREDENTIAL, user_id: int | None = None
) -> None:
    """Something wrong was shown: a token, a session, a link. `user_id` is whose it was before it ended.

    Raises Problem 429 after too many of one address within a minute; never for a session's cookie, which a browser
    sends unasked: a user who was signed out must reach the page to sign in.
    """
    number = site.guesses.count(address)
    if number is not None:
        detail = {"what": what, "number_this_hour": number}
        await site.pools.in_thread(audit.record, event, user_id=user_id, address=address, detail=detail)
    if what != "session":
        site.limits.take(Tier.SENSITIVE, "wrong credentials", address)


def _is_power_of_ten(number: int) -> bool:
    while number % 10 == 0:
        number //= 10
    return number == 1
