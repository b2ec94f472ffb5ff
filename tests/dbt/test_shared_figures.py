"""What is shown to others holds no play that its listener hid, and each play as it was corrected."""

from __future__ import annotations

import asyncio

from myi_pipeline.settings import Settings
from myi_pipeline.sharing.snapshots import Snapshot
from myi_pipeline.web.reads.marts import Marts as ReadMarts
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.reads.spans import Period
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.snapshots import Chosen, take_snapshot
from myi_pipeline.web.shown.spans import Span
from tests.dbt.conftest import Marts
from tests.dbt.polled import at
from tests.dbt.test_corrections import contents, correct, listener


def shown(marts: Marts, user_id: int) -> Snapshot:
    """The year of the plays, as it would be shared now."""
    day = at("01 00:00:00").date()
    person = Visitor(user_id=user_id, user_key="ana", display_name="Ana", time_zone="Europe/Berlin", session_id=1)

    async def take() -> Snapshot:
        pools = Pools(Settings.model_construct(api_connections=2), marts.warehouse)
        await pools.open()

        async def read(opened: ReadMarts) -> Snapshot:
            return await take_snapshot(opened, Chosen(kind="year", span=Span.of(Period.YEAR, day)), person)

        try:
            return await pools.read(user_id, read)
        finally:
            await pools.close()

    return asyncio.run(take())


def test_hidden_and_corrected_plays_are_as_everywhere_in_what_is_shown(marts: Marts) -> None:
    known = contents(marts)
    ana, ben = listener(marts, "ana", known), listener(marts, "ben", known)
    correct(marts, ana, "hide", artist_id=known["sleep"])
    correct(marts, ana, "delete", kind="episode")
    marts.refreshed()
    mine, theirs = shown(marts, ana), shown(marts, ben)
    assert mine.figures is not None
    assert theirs.figures is not None
    assert (mine.figures.plays, theirs.figures.plays) == (10, 30)
    assert [row.name for row in mine.lists[0].rows] == ["Singer"]
    assert {row.name for row in theirs.lists[0].rows} == {"Singer", "Sleep Sounds"}
    assert "Noise" not in mine.model_dump_json()
    # The hours in which they were are silent.
    assert mine.clock is not None
    assert sum(map(bool, mine.clock)) == 1
