"""Top lists are a read in index order, and data tests notice marts that do not add up."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg.rows import class_row

from myi_pipeline.catalogue.plays import ContentKind
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.reads.cursors import FIRST_PAGE
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.shows import episodes_of, show_of
from myi_pipeline.web.reads.spans import LAST_DAY
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import OLDEST, top_order

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


def test_shows_are_added_up_from_an_index_of_their_plays_alone(marts: Any) -> None:
    """They took half a second of a million plays, almost all of which are music."""
    user = marts.add_user("ada")
    song = marts.add_content("Song", uri="spotify:track:1")
    episode = marts.add_content("Monday", uri="spotify:episode:1", album="The Daily", kind=ContentKind.EPISODE)
    for number in range(60):
        marts.add_play(user, f"2024-03-01 10:{number:02}:00Z", episode if number % 30 == 0 else song)
    marts.refreshed()
    values = {"user_id": user, "kind": "episode", "first_day": OLDEST, "last_day": LAST_DAY, "seen": 0, "limit": 50}
    values |= top_order("show").values(FIRST_PAGE)
    marts.sql("analyze marts.fct_plays_stored")
    with marts.warehouse.connect(Role.OWNER) as connection:
        connection.execute("set local enable_seqscan = off")
        connection.execute("set local plan_cache_mode = force_generic_plan")
        plan = "\n".join(
            line for (line,) in connection.execute(b"explain " + load_sql("top_shows", by="plays"), values).fetchall()
        )
        ((index,),) = connection.execute(
            "select indexrelid::regclass::text from pg_index"
            " where indrelid = 'marts.fct_plays_stored'::regclass and pg_get_expr(indpred, indrelid) like '%episode%'"
        ).fetchall()
    assert f"Index Only Scan using {index.partition('.')[2]} " in plan, plan


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


@dataclass
class MartsOf:
    """One user's marts, as reads see them."""

    connection: psycopg.Connection[Any]
    user_id: int

    async def fetch(self, row: type[Any], sql: bytes, **values: object) -> list[Any]:
        with self.connection.cursor(row_factory=class_row(row)) as cursor:
            return cursor.execute(sql, {"user_id": self.user_id, **values}).fetchall()


def test_a_show_has_the_plays_that_its_place_in_the_list_counts(marts: Any) -> None:
    """Not those of a book of its name, nor of a show whose name differs by an accent alone."""
    user = marts.add_user("ada")
    episode = ContentKind.EPISODE
    monday = marts.add_content("Monday", None, uri="spotify:episode:11", album="Café Talk", kind=episode)
    tuesday = marts.add_content("Tuesday", None, uri="spotify:episode:12", album="café  talk", kind=episode)
    other = marts.add_content("Monday", None, uri="spotify:episode:13", album="Cafe Talk", kind=episode)
    chapter = marts.add_content("One", None, uri="spotify:episode:14", album="Café Talk", kind=ContentKind.CHAPTER)
    for minute, content in enumerate((monday, tuesday, other, chapter)):
        marts.add_play(user, f"2024-03-01 10:0{minute}:00Z", content, 40_000)
    marts.refreshed()

    def found(content_id: int) -> set[int]:
        with marts.warehouse.connect(Role.OWNER, autocommit=True) as connection:
            read = cast(Marts, MartsOf(connection, user))
            show = asyncio.run(show_of(read, content_id))
            assert show is not None
            return {each.content_id for each in asyncio.run(episodes_of(read, show))}

    assert found(monday) == found(tuesday) == {monday, tuesday}
    assert found(other) == {other}
    assert found(chapter) == {chapter}
