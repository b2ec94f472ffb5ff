"""A gathering that is killed at any step: every list is whole as it once was, and the next gathering has all of it."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.integration.credentials.worker_process import Order, running_worker
from tests.integration.playlists.conftest import Lists

# Those of a gathering with three changed lists are about so many; what lies beyond ends unharmed.
STEPS = 200
# A playlist without a version, and a version whose entries are not as many as it says.
HALF = """
select 'no version: ' || p.provider_playlist
from raw.playlists as p
where not exists (select from raw.playlist_versions as v where v.playlist_id = p.playlist_id)
union all
select 'entries without a version: ' || p.provider_playlist
from raw.playlists as p
where exists (
    select from raw.playlist_items as i
    where i.playlist_id = p.playlist_id and not exists (
        select from raw.playlist_versions as v where v.playlist_id = i.playlist_id and v.items_key = i.items_key
    )
)
union all
select 'not whole: ' || p.provider_playlist || ' ' || v.version_no
from raw.playlist_versions as v
inner join raw.playlists as p on p.playlist_id = v.playlist_id
where v.items <> (
    select count(*) from raw.playlist_items as i where i.playlist_id = v.playlist_id and i.items_key = v.items_key
)
union all
select 'a version is missing: ' || playlist_id
from raw.playlist_versions group by playlist_id having max(version_no) <> count(*)
"""
NAMES = ("one", "two", "three")


def kill(lists: Lists, tmp_path: Path, *, kills: int, is_broken: bool = False) -> list[str]:
    """Kill gatherings at random steps, change a list before each, and look at everything after each."""
    dice, killed, trouble = Random(5), 0, []
    setup = lists.setup
    with running_worker(setup.settings, setup.warehouse, tmp_path / "worker.log") as worker:
        for round_number in range(20 * kills):
            for name in NAMES:
                numbers = [dice.randrange(40) for _ in range(dice.choice((0, 3, 60)))]
                lists.put(name, lists.entries(numbers), name=f"{name} {round_number}")
            setup.clock.advance(60)
            order = Order(
                task="gather_playlists",
                now=setup.clock.now().isoformat(),
                kill_at_step=dice.randint(1, STEPS),
                is_broken=is_broken,
            )
            outcome = worker.carry_out(order)
            assert outcome.was_killed or outcome.code == 0, (tmp_path / "worker.log").read_text()
            killed += outcome.was_killed
            trouble += [row[0] for row in setup.sql(HALF)]
            if killed == kills:
                break
    assert killed == kills
    setup.clock.advance(60)
    result = lists.gather()
    trouble += [] if result.outcome == "gathered" else [str(result)]
    for name in NAMES:
        if [uri for _, uri in lists.kept(name)] != lists.truth(name):
            trouble.append(f"{name} is not as it is at Spotify")
    running = setup.sql("select count(*) from ops.playlist_gatherings where outcome = 'running'")
    return trouble if running == [(0,)] else [*trouble, "a gathering that died is said to run"]


def test_killed_anywhere_in_a_gathering_every_list_is_whole_and_the_next_has_all(
    lists: Lists, tmp_path: Path, poll_kills: int
) -> None:
    assert kill(lists, tmp_path, kills=poll_kills) == []


@pytest.mark.long
@pytest.mark.timeout(7_200)
def test_killed_anywhere_in_many_gatherings_every_list_is_whole(
    lists: Lists, tmp_path: Path, poll_kills: int
) -> None:  # fmt: skip
    assert kill(lists, tmp_path, kills=poll_kills) == []


@pytest.mark.long
def test_a_gathering_that_commits_in_pieces_is_found_out_broken(lists: Lists, tmp_path: Path) -> None:
    """The property can fail: this is what the one transaction is for."""
    assert kill(lists, tmp_path, kills=20, is_broken=True) != []
