"""Top lists are a read in index order, and data tests notice marts that do not add up."""

from __future__ import annotations

from typing import Any

from myi_pipeline.catalogue.plays import ContentKind
from myi_pipeline.postgres.connections import Role

TOP = (
    "select track_id from marts.agg_period_tracks where user_id = %s and period = 'all' and period_start = '1970-01-01'"
    " order by counted_plays desc, ms_played desc, track_id limit 3"
)


def test_ties_in_a_top_list_go_by_time_heard_and_then_by_the_older_id(marts: Any) -> None:
    user = marts.add_user("ada")
    songs = [marts.add_content(title, uri=f"spotify:track:{title}") for title in "abcd"]
    for number, (song, ms_played) in enumerate(zip(songs, (40_000, 40_000, 50_000, 29_000), strict=True)):
        marts.add_play(user, f"2024-03-01 10:0{number}:00Z", song, ms_played)
    marts.add_play(user, "2024-03-01 10:09:00Z", songs[3], 500)
    marts.refreshed()
    assert marts.read(TOP, user) == [(songs[2],), (songs[0],), (songs[1],)]


def test_a_top_list_is_read_in_index_order_without_a_sort(marts: Any) -> None:
    """As the API asks for it: the table below the view."""
    stored = TOP.replace("agg_period_tracks", "agg_period_tracks_stored").replace("period = 'all' and ", "")
    with marts.warehouse.connect(Role.OWNER) as connection:
        connection.execute("set local enable_seqscan = off")
        plan = "\n".join(line for (line,) in connection.execute(b"explain " + stored.encode(), (1,)).fetchall())
    assert "Sort" not in plan
    assert "Index" in plan


def test_episodes_of_one_show_lead_to_it_however_it_is_spelt(marts: Any) -> None:
    episode, chapter = ContentKind.EPISODE, ContentKind.CHAPTER
    marts.add_content("Monday", None, uri="spotify:episode:1", album="The Daily", kind=episode)
    marts.add_content("Tuesday", None, uri="spotify:episode:2", album="the  daily", kind=episode)
    marts.add_content("One", None, uri="spotify:episode:3", album="The Daily", kind=chapter)
    marts.add_content("Two", "Ann Author", album="The Daily", kind=chapter)
    marts.add_content("Of no show", None, uri="spotify:episode:4", kind=episode)
    marts.add_content("Song", album="The Daily")
    marts.refreshed()
    query = "select kind, name, author, contents from marts.dim_shows order by kind"
    assert marts.read(query) == [("audiobook", "The Daily", "Ann Author", 2), ("podcast", "The Daily", None, 2)]
    joined = "marts.dim_contents as content left join marts.dim_shows as show using (show_id)"
    assert marts.read(f"select count(*), count(show.name) from {joined}") == [(6, 4)]
