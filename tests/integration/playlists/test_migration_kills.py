"""Playlists are moved by processes that are killed anywhere, while answers get lost: at every service the target holds
each planned entry exactly once and in order, the source is untouched, and a further run writes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from myi_pipeline.postgres.connections import Warehouse
from tests.integration.credentials.conftest import make_setup
from tests.integration.credentials.worker_process import LATER, Order, Worker, running_worker
from tests.integration.playlists.conftest import Lists, lists
from tests.integration.playlists.movers import (
    FAULTS,
    AtService,
    moving_to_spotify,
    moving_to_tidal,
    moving_to_youtube,
)
from tests.integration.providers.conftest import AtTidal, AtYouTube, at_tidal, at_youtube

__all__ = ["at_tidal", "at_youtube", "lists", "make_setup"]

# Those of one move are about so many; what lies beyond ends unharmed.
MOST_STEPS = 120
MOST_STARTS = 200
EVERY_ARROW = 1_000
RAW_SOURCE = """
select position, kind, content_id, added_at from raw.playlist_items where playlist_id = %s order by items_key, position
"""


class Move:
    """One playlist on its way. `before`: what the account held."""

    def __init__(self, at: AtService, dice: Random, *, entries: int) -> None:
        self.at = at
        count = len(at.tracks)
        numbers = [dice.randrange(count) for _ in range(entries)]
        # The same one twice in a row, and at both ends.
        numbers[1], numbers[-1] = numbers[0], numbers[0]
        self.wanted = at.uris(numbers)
        source = at.make("Source", self.wanted)
        self.source_id = at.source(numbers, playlist=source)
        at.make("Mine", [])
        into, self.is_equal = None, dice.random() < 0.4
        there: Sequence[str] = ()
        if self.is_equal or dice.random() < 0.3:
            # Half of what stands there can stay.
            there = at.uris([dice.choice((dice.choice(numbers), dice.randrange(count))) for _ in range(entries // 2)])
            into = at.make("There", there)
        self.held = at.all()
        self.raw = at.connection.execute(RAW_SOURCE, (self.source_id,)).fetchall()
        self.number = at.plan(self.source_id, into=into, is_equal=self.is_equal)
        self.expected = self.wanted if self.is_equal else [*there, *self.wanted]

    def trouble(self) -> list[str]:
        """What is not as it should be, now that the migration is done."""
        at, found = self.at, []
        migration = at.find(self.number)
        if migration.state != "done":
            found.append(f"migration {self.number} is {migration.state}: {migration.last_error}")
        held = at.all()
        moved = held.pop(migration.target_playlist or "", ("", []))[1]
        if moved != self.expected:
            found.append(f"migration {self.number}: {len(moved)} entries, and not the {len(self.expected)} planned")
        was = {key: value for key, value in self.held.items() if key != migration.target_playlist}
        if held != was:
            found.append(f"migration {self.number} changed other playlists: {len(held)} instead of {len(was)}")
        if at.connection.execute(RAW_SOURCE, (self.source_id,)).fetchall() != self.raw:
            found.append(f"migration {self.number} changed its source")
        writes = at.writes()
        if at.run(self.number).requests or at.writes() != writes:
            found.append(f"migration {self.number} writes a second time")
        return found


def kill(
    at: AtService, worker: Worker, log: Path, *, kills: int, entries: int, seed: int = 3, is_broken: bool = False
) -> list[str]:  # fmt: skip
    """Move playlists, kill each move again and again, lose answers meanwhile, and look at everything at its end. The
    first process of each move is killed at the next arrow, so that a thousand kills strike every one of them.
    """
    dice, killed, lost, trouble = Random(seed), 0, 0, list[str]()
    arrows = itertools.cycle(range(1, MOST_STEPS + 1))
    for _ in range(dice.randrange(MOST_STEPS) if kills < EVERY_ARROW else 0):
        next(arrows)
    struck, ended_before = set[int](), MOST_STEPS + 1
    while killed < kills:
        at.sign_in_again()
        move = Move(at, dice, entries=entries)
        for start in range(MOST_STARTS):
            at.clock.advance(61)
            is_last = start > 12
            if not is_last and dice.random() < 0.5:
                at.forget_faults()
                at.fail(dice.choice(FAULTS), after=dice.randrange(3))
                lost += 1
            arrow = next(arrows) if start == 0 else dice.randint(1, MOST_STEPS)
            order = Order(
                task="move_playlist", now=at.clock.now().isoformat(), user_ids=(at.user_id,),
                migration_id=move.number, kill_at_step=None if is_last else arrow, is_broken=is_broken,
            )  # fmt: skip
            outcome = worker.carry_out(order)
            if outcome.was_killed:
                struck.add(arrow)
            elif not is_last and start == 0:
                ended_before = min(ended_before, arrow)
            if is_broken and not outcome.was_killed and outcome.code not in (0, LATER):
                # What it repeats may also be refused.
                return [log.read_text()[-3_000:]]
            assert outcome.was_killed or outcome.code in (0, LATER), log.read_text()[-3_000:]
            killed += outcome.was_killed
            if outcome.code == 0:
                break
        at.forget_faults()
        trouble += move.trouble()
        if trouble and is_broken:
            break
    assert lost or is_broken
    if kills >= EVERY_ARROW:
        assert struck >= set(range(1, ended_before)), f"{len(struck)} arrows, moves may end before the {ended_before}th"
    return trouble


@pytest.fixture(params=["tidal", "spotify", "youtube"])
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    service: str, request: pytest.FixtureRequest, warehouse: Warehouse, tmp_path: Path, *, kills: int,
    is_broken: bool = False,
) -> list[str]:  # fmt: skip
    log = tmp_path / "worker.log"
    if service == "tidal":
        tidal: AtTidal = request.getfixturevalue("at_tidal")
        with (
            moving_to_tidal(tidal, warehouse) as to_tidal,
            running_worker(to_tidal.settings, warehouse, log) as worker,
        ):
            return kill(to_tidal, worker, log, kills=kills, entries=120, is_broken=is_broken)
    if service == "spotify":
        found: Lists = request.getfixturevalue("lists")
        found.setup.settings = found.setup.settings.model_copy(update={"spotify_catalogue_calls_per_day": 1_000_000})
        with (
            moving_to_spotify(found) as to_spotify,
            running_worker(to_spotify.settings, warehouse, log) as worker,
        ):
            return kill(to_spotify, worker, log, kills=kills, entries=230, is_broken=is_broken)
    youtube: AtYouTube = request.getfixturevalue("at_youtube")
    youtube.world.units_a_day = 100_000_000
    youtube.settings = youtube.settings.model_copy(update={"youtube_units_per_day": 100_000_000})
    with (
        moving_to_youtube(youtube, warehouse, videos=12) as to_youtube,
        running_worker(to_youtube.settings, warehouse, log) as worker,
    ):
        return kill(to_youtube, worker, log, kills=kills, entries=9, is_broken=is_broken)


def test_killed_anywhere_a_moved_playlist_is_as_planned_and_nothing_is_written_twice(
    service: str, request: pytest.FixtureRequest, warehouse: Warehouse, tmp_path: Path, migration_kills: int
) -> None:
    assert run(service, request, warehouse, tmp_path, kills=migration_kills) == []


@pytest.mark.long
@pytest.mark.timeout(14_400)
def test_killed_many_times_every_moved_playlist_is_as_planned(
    service: str, request: pytest.FixtureRequest, warehouse: Warehouse, tmp_path: Path, migration_kills: int
) -> None:
    assert run(service, request, warehouse, tmp_path, kills=migration_kills) == []


@pytest.mark.long
def test_a_move_that_repeats_what_was_not_answered_is_found_out_broken(
    service: str, request: pytest.FixtureRequest, warehouse: Warehouse, tmp_path: Path
) -> None:
    """The property can fail: a service without keys does a repeated write twice."""
    assert run(service, request, warehouse, tmp_path, kills=400, is_broken=True) != []
