"""A saved migration at the made-up Spotify, which shows writes late and lists tracks under other ids: what a run that
was cancelled has written is known to the next one.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from myi_pipeline.playlists.migration import deciding, saved
from myi_pipeline.playlists.migration.driving import Cancelled, Driver
from myi_pipeline.simulator.live import world_of
from tests.integration.credentials.conftest import make_setup
from tests.integration.playlists.conftest import Lists, lists
from tests.integration.playlists.movers import MovingToSpotify, moving_to_spotify

__all__ = ["lists", "make_setup"]


@pytest.fixture
def spotify(lists: Lists) -> Iterator[MovingToSpotify]:
    with moving_to_spotify(lists) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("late_by_s", [0, 20])
def test_what_a_cancelled_run_has_written_is_not_added_again(spotify: MovingToSpotify, late_by_s: int) -> None:
    world = world_of(spotify.lists.setup.simulator.spec)
    moved = next(
        each for each in world.tracks.values()
        if each.archive_id not in (None, each.api_id) and not each.is_gone
    )  # fmt: skip
    connection, about = spotify.connection, {"user_id": spotify.user_id}
    # Somebody has said that track 1 is one which Spotify lists under another id.
    elsewhere = spotify.plan(spotify.source([1], name="Elsewhere"))
    deciding.decide(
        connection, migration=spotify.find(elsewhere), position=0, kind="is",
        uri=f"spotify:track:{moved.archive_id}", now=spotify.clock.now(),
    )  # fmt: skip
    there = spotify.make("There", spotify.uris([3]))
    first = spotify.plan(spotify.source([0]), into=there)
    assert spotify.run(first).is_done
    kept = saved.save(connection, **about, migration_id=first, is_daily=False, now=spotify.clock.now()).saved_id

    numbers = [number % 60 for number in range(150)]
    spotify.source(numbers)
    if late_by_s:
        spotify.lists.setup.simulator.control.limit_playlists(late_by_s=late_by_s)
    driver = Driver(spotify.settings, spotify.warehouse, clock=spotify.clock, sleep=spotify.sleep)
    run = saved.repeat(connection, **about, saved_id=kept, now=spotify.clock.now()).migration_id
    assert driver.take(run) == "plan"
    driver.snap(run)
    driver.match(run)
    assert driver.take(run) == "apply"

    def cancel() -> None:
        connection.execute(
            "update app.migrations set cancel_asked_at = %s where migration_id = %s", (spotify.clock.now(), run)
        )

    with pytest.raises(Cancelled):
        driver.apply(run, on_settled=cancel)
    again = saved.repeat(connection, **about, saved_id=kept, now=spotify.clock.now()).migration_id
    driver.run_now(again)
    assert spotify.find(again).state == "done"
    listed = dict(zip(range(60), spotify.uris(range(60)), strict=True))
    listed[1] = f"spotify:track:{moved.api_id}"
    _, held = spotify.all()[there]
    assert held == [listed[3], *(listed[number] for number in numbers)]
