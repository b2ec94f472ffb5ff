"""Drawing takes cores: it leaves the site's threads to those who wait for the database, and is counted."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import anyio.to_thread
import pytest
from anyio import CapacityLimiter

from myi_pipeline.settings import Settings
from myi_pipeline.web.dashboard import card_pictures, stories
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.rate_limits import RateLimits
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.cards import Frame, clock_card
from myi_pipeline.web.site import Site

CARD = clock_card(Frame("", ""), hours=[*range(24)], notes=[])


def test_only_as_many_are_drawn_at_once_as_there_are_places_and_other_threads_stay_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end, drawing, most = threading.Event(), 0, 0

    def slow(*_: object, **__: object) -> bytes:
        nonlocal drawing, most
        drawing += 1
        most = max(most, drawing)
        assert may_end.wait(60)
        drawing -= 1
        return b"picture"

    monkeypatch.setattr(card_pictures, "draw", slow)

    async def story() -> list[bytes]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 2
        places = CapacityLimiter(2)
        all_of_them = asyncio.gather(*(card_pictures.drawn(CARD, places) for _ in range(6)))
        try:
            async with asyncio.timeout(60):
                while drawing < 2:
                    await asyncio.sleep(0.01)
                await anyio.to_thread.run_sync(lambda: None)
        finally:
            may_end.set()
        return await all_of_them

    assert asyncio.run(story()) == [b"picture"] * 6
    assert most == 2


def test_a_persons_pictures_are_counted_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(api_sensitive_requests_per_minute=3, api_requests_per_minute=100)

    async def read(user_id: int, work: object) -> Any:
        return CARD

    site = cast(
        Site,
        SimpleNamespace(
            limits=RateLimits(settings), pools=SimpleNamespace(read=read), drawing=CapacityLimiter(2), settings=settings
        ),
    )
    asked = cast(Any, SimpleNamespace(label="2023"))

    def person(user_id: int) -> Visitor:
        return cast(Visitor, SimpleNamespace(user_id=user_id))

    async def story() -> None:
        for _ in range(3):
            assert (await stories._picture(person(1), site, asked, "hours", "png")).media_type == "image/png"
        with pytest.raises(Problem) as refused:
            await stories._picture(person(1), site, asked, "hours", "png")
        assert refused.value.status_code == 429
        # What is not drawn here, and what others ask, goes on.
        await stories._picture(person(1), site, asked, "hours", "svg")
        await stories._picture(person(2), site, asked, "hours", "png")

    asyncio.run(story())
