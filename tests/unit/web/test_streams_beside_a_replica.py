"""What streams send never goes back in time, whichever server serves each look."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from myi_pipeline.web.dashboard import import_stages, live
from myi_pipeline.web.reads.replica import Seen, current
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site

PERSON = cast(Visitor, SimpleNamespace(user_id=5, user_key="ada", time_zone="UTC"))


class Pools:
    """Notes what was seen at the time of each read; an import that is loaded and counted."""

    def __init__(self) -> None:
        self.needed: list[dict[int, int]] = []
        self.by_primary: list[bool] = []

    async def read(self, user_id: int, work: object) -> Any:
        seen = current.get()
        assert seen is not None
        self.needed.append(dict(seen.needed))
        self.by_primary.append(seen.primary_alone)
        return None

    async def in_thread(self, work: object) -> Any:
        return SimpleNamespace(import_id=1, needs_confirmation=False, status="loaded", rows_loaded=9)

    async def ask_access(self, sql: bytes, values: object) -> tuple[Any, ...]:
        return None, False, True, False


@pytest.fixture
def pools() -> Pools:
    return Pools()


def test_a_look_needs_the_version_that_was_shown_before(pools: Pools) -> None:
    async def story() -> None:
        current.set(Seen())
        site = cast(Site, SimpleNamespace(pools=pools))
        await live._newer_plays(site, PERSON, None)
        await live._newer_plays(site, PERSON, 17)

    asyncio.run(story())
    assert pools.needed == [{}, {5: 17}]


def test_the_figures_of_an_import_that_is_done_are_the_primarys(pools: Pools) -> None:
    async def story() -> str | None:
        current.set(Seen())
        return (await import_stages.find_stage(cast(Site, SimpleNamespace(pools=pools)), PERSON, 1)).name

    assert asyncio.run(story()) == "done"
    assert pools.by_primary == [True]
