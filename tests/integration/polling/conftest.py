"""A setup whose listeners play exactly what a test says, and polls of it.

`Polls` is a setup of the tests of logins with Ana signed in as listener-1, who is silent until she is told to play.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle, islice
from typing import Any

import pytest

from myi_pipeline.polling.poll_users import PollResult, poll_users
from myi_pipeline.simulator.live import ListenerSpec, LiveListener, ScriptedPlay, TrueLivePlay, world_of
from tests.integration.credentials.conftest import Setup, SetupMaker, make_setup

__all__ = ["make_setup"]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class Polls:
    """One listener under full control. Times are those of the setup's clock."""

    setup: Setup
    user_id: int

    @property
    def now(self) -> datetime:
        return self.setup.clock.now()

    def wait(self, step: timedelta) -> None:
        self.setup.clock.advance(step)

    def listener(self) -> LiveListener:
        return self.setup.simulator.control.listener("listener-1")

    def play(
        self,
        count: int,
        *,
        every: timedelta = 3 * MINUTE,
        start: datetime | None = None,
        surfaces_at: datetime | None = None,
        **fields: Any,
    ) -> list[datetime]:
        """Ana plays so many tracks, a minute of each, the clock goes along unless `start` is given; their times."""
        began = start or self.now
        world = world_of(self.setup.simulator.spec)
        tracks = islice(cycle(sorted(world.listable)), count)
        plays = [
            ScriptedPlay(
                started_at=began + number * every,
                track=track,
                ms_played=60_000,
                surfaces_at=surfaces_at,
                offline=surfaces_at is not None,
                **fields,
            )
            for number, track in enumerate(tracks)
        ]
        self.setup.simulator.control.add_plays("listener-1", *plays)
        if start is None:
            self.wait(count * every)
        return [play.started_at + timedelta(milliseconds=60_150) for play in plays]

    def poll(self, **options: Any) -> PollResult:
        """Now, whoever's turn it is."""
        (result,) = self.poll_all([self.user_id], **({"force": True} | options))
        return result

    def poll_all(self, user_ids: Sequence[int], **options: Any) -> tuple[PollResult, ...]:
        setup = self.setup
        given = {"clock": setup.clock, "sleep": setup.sleep} | options
        return poll_users(setup.settings, setup.warehouse, user_ids=user_ids, **given)

    def kept(self, user_id: int | None = None) -> list[datetime]:
        rows = self.setup.sql(
            "select played_at from raw.listening_events where source_id = 3 and user_id = %s order by 1",
            user_id or self.user_id,
        )
        return [row[0] for row in rows]

    def gaps(self) -> list[tuple[datetime, datetime | None, str]]:
        return self.setup.sql(
            "select gap_start, gap_end, reason from raw.poll_gaps where user_id = %s order by gap_start", self.user_id
        )

    def spans(self) -> list[tuple[datetime, datetime | None]]:
        return self.setup.sql(
            "select polled_from, polled_to from raw.polled_spans where user_id = %s order by 1", self.user_id
        )

    def truth(self) -> list[TrueLivePlay]:
        return list(self.listener().truth(until=self.now))


PollsMaker = Callable[..., Polls]


@pytest.fixture
def polls(make_setup: SetupMaker) -> Polls:
    setup = make_setup()
    setup.simulator.control.put_listener(ListenerSpec(key="listener-1", plays_per_day=0))
    setup.sign_in(setup.open())
    return Polls(setup, setup.user("ana"))
