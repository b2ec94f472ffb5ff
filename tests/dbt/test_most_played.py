"""What the catalogue asks about first is what the marts play most."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from myi_pipeline.catalogue import spotify_queue
from myi_pipeline.catalogue.most_played import Kind, most_played, newer_mart_run
from myi_pipeline.postgres.connections import Role

KINDS: tuple[Kind, ...] = ("track", "artist", "album")


def test_the_queue_holds_what_is_played_most_and_lacks_what_only_spotify_knows(marts: Any) -> None:
    users = [marts.add_user("ada"), marts.add_user("bob")]
    rare, often, known, unnamed = (
        marts.add_content("Rare", "Band", uri="spotify:track:1a", album="Album"),
        marts.add_content("Often", "Choir", uri="spotify:track:2b"),
        marts.add_content("Known", "Band", uri="spotify:track:3c", duration_ms=200_000),
        marts.add_content("Unnamed", "Band"),
    )
    marts.sql("update raw.contents set isrc = 'ZZ' where content_id = %s", known)
    marts.sql("update raw.artists set uri = 'spotify:artist:4d' where name = 'Band'")
    for number, content in enumerate((rare, often, often, known, known, known, unnamed)):
        marts.add_play(users[number % 2], f"2024-03-01 10:0{number}:00Z", content)
    marts.refreshed()

    with closing(marts.warehouse.connect(Role.ANALYST)) as connection:
        found = most_played(connection, KINDS, most=10)
        assert len(most_played(connection, KINDS, most=1)) == 3
    with closing(marts.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        mart_run_id = newer_mart_run(connection, than="catalogue_state")
        spotify_queue.fill(connection, found, now=marts.sql("select now()")[0][0], mart_run_id=mart_run_id)
        assert newer_mart_run(connection, than="catalogue_state") is None
    queue = "select uri, plays from ops.catalogue_queue order by place, plays desc"
    assert marts.sql(queue) == [("spotify:track:2b", 2), ("spotify:track:1a", 1), ("spotify:artist:4d", 5)]
    marts.sql("delete from ops.catalogue_queue")
    marts.sql("update ops.catalogue_state set mart_run_id = null")
