"""A play is one play whatever tells it: polls that disagree, archives that know it by other ids, account data."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dbt.polled import ACCOUNT, API, EXTENDED

FIRST = datetime(2024, 3, 1, 5, 30, tzinfo=UTC)
NAMES = {EXTENDED: "extended_history", ACCOUNT: "account_history", API: "spotify_api"}


class Telling:
    """Plays hours apart, each told by some of all that can tell it; what must come of it is known beforehand."""

    def __init__(self, marts: Any, seed: int) -> None:
        self.marts, self.random = marts, random.Random(seed)
        self.user = marts.add_user("ada")
        self.ids = [marts.add_content("Song", uri=f"spotify:track:{n}", album=f"Album {n}") for n in range(3)]
        self.by_name = [marts.add_content("Song"), marts.add_content("SONG")]
        self.plays = [self.one_play(FIRST + timedelta(hours=4 * number)) for number in range(120)]

    def one_play(self, began: datetime) -> dict[int, int]:
        """Stores what is told of a play; how often, by source."""
        began += timedelta(milliseconds=self.random.randrange(3_600_000))
        heard = timedelta(milliseconds=self.random.choice([8_000, 12_345, 29_999, 30_000, 180_000]))
        ended = began + heard
        told: dict[int, int] = {}
        for batch in self.random.sample([11, 12, 13], self.random.choice([0, 1, 1, 2, 3])):
            moment = ended + timedelta(milliseconds=150 + self.random.choice([0, 0, 1, 2, 850]))
            # Spotify tells no play without a name, but may have lost it by the next poll.
            lost = [None] if API in told else []
            self.tell(told, API, moment, self.random.choice([*self.ids, self.ids[0], *lost]), None, batch)
        ms = round(heard / timedelta(milliseconds=1))
        for batch in self.random.sample([1, 2, 3], self.random.choice([0, 0, 1, 2, 3])):
            content = self.random.choice([*self.ids, self.ids[0], self.by_name[0], None])
            self.tell(told, EXTENDED, ended.replace(microsecond=0), content, ms, batch)
        for batch in self.random.sample([4, 5], self.random.choice([0, 0, 1, 2])):
            minute = ended.replace(second=0, microsecond=0)
            self.tell(told, ACCOUNT, minute, self.random.choice(self.by_name), ms, batch)
        return told

    def tell(
        self, told: dict[int, int], source: int, at: datetime, content: int | None, ms: int | None, batch: int
    ) -> None:
        self.marts.add_play(self.user, at, content, ms, source=source, batch=batch)
        told[source] = told.get(source, 0) + 1

    def expected(self) -> list[tuple[str, bool]]:
        """The source that stands for each play that anything tells, and whether others confirm it."""
        rank = (EXTENDED, ACCOUNT, API)
        return [(NAMES[min(told, key=rank.index)], len(told) > 1) for told in self.plays if told]

    def found(self) -> list[tuple[str, bool]]:
        found = self.marts.read("select source, confirmed_by is not null from marts.fct_plays order by played_at")
        return [(source, is_confirmed) for source, is_confirmed in found]


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))])
def test_every_play_that_anything_tells_is_one_play(marts: Any, seed: int) -> None:
    telling = Telling(marts, seed)
    marts.refreshed()
    assert telling.found() == telling.expected()
