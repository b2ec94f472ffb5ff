"""Lists that MYI makes are playlists as any other: moved to a service, made by two processes at once, of one user."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from psycopg.errors import InsufficientPrivilege

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.own_lists import MOST_LISTS, MadeList, keep_contents, restore
from myi_pipeline.postgres.connections import Role, Warehouse
from tests.integration.playlists.mover import LONG_AGO, Mover, at_tidal, mover

__all__ = ["at_tidal", "mover"]


def contents(mover: Mover) -> list[int]:
    return [id for (id,) in mover.connection.execute("select content_id from raw.contents order by 1").fetchall()]


def test_what_was_removed_is_moved_to_a_service_in_its_order(mover: Mover) -> None:
    mover.tidal.add_tracks(5)
    source = mover.source([1, 2, 3, 2, 4, 5])
    assert mover.source([4]) == source
    made = restore(mover.connection, user_id=mover.user_id, playlist_id=source, only_removed=True, now=LONG_AGO)
    moved = mover.plan(made.playlist_id)
    assert mover.run(moved).is_done
    assert mover.tracks(moved) == ["1", "2", "3", "2", "5"]
    (playlist,) = mover.tidal.tidal.world.playlists.values()
    assert {each.added_at for each in playlist.entries} == {LONG_AGO}


def test_made_at_once_by_several_a_list_has_one_version(mover: Mover, warehouse: Warehouse) -> None:
    mover.source([1, 2, 3])
    wanted = contents(mover)

    def make(_: int) -> MadeList:
        with warehouse.connect(Role.APP, autocommit=True) as connection:
            return keep_contents(
                connection, user_id=mover.user_id, name="Most played", description="", content_ids=wanted, now=LONG_AGO
            )

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(12)))
    assert {(each.playlist_id, each.version_no) for each in made} == {(made[0].playlist_id, 1)}
    assert sum(each.is_new for each in made) == 1
    query = "select content_id from raw.playlist_items where playlist_id = %s order by position"
    assert mover.connection.execute(query, (made[0].playlist_id,)).fetchall() == [(id,) for id in wanted]


def test_there_is_a_bound_and_what_names_nothing_is_refused(mover: Mover) -> None:
    mover.source([1])

    def make(name: str, *ids: int) -> MadeList:
        return keep_contents(
            mover.connection, user_id=mover.user_id, name=name, description="", content_ids=ids, now=LONG_AGO
        )

    with pytest.raises(BadInput, match="removed since"):
        make("x", 10**9)
    with pytest.raises(BadInput, match="no plays match"):
        make("x")
    (one,) = contents(mover)
    made = make("kept", one)
    mover.connection.execute(
        "insert into raw.playlists (user_id, provider, provider_playlist, first_seen_at)"
        " select %s, 'file', '/plays/' || n, now() from generate_series(2, %s) as n",
        (mover.user_id, MOST_LISTS),
    )
    with pytest.raises(BadInput, match="at most 1,000"):
        make("one more", one)
    # Those that are there go on.
    assert make("kept", one) == MadeList(**{**vars(made), "is_new": False})


def test_the_web_reads_and_makes_lists_by_functions_alone(mover: Mover, warehouse: Warehouse) -> None:
    source = mover.source([1, 2])
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        with pytest.raises(BadInput) as nobodys:
            restore(connection, user_id=mover.user_id + 1, playlist_id=source, version_no=1, now=LONG_AGO)
        assert nobodys.value.place == "playlist"
        assert restore(connection, user_id=mover.user_id, playlist_id=source, version_no=1, now=LONG_AGO).entries == 2
        rights = connection.execute(
            "select count(*) from pg_class as c inner join pg_namespace as n on n.oid = c.relnamespace"
            " where n.nspname = 'raw' and c.relname like 'playlist%'"
            " and has_table_privilege(c.oid, 'select, insert, update, delete')"
        ).fetchone()
    assert rights == (0,)


def test_whomever_the_web_names_it_gets_the_playlists_of_the_user_of_its_transaction(
    mover: Mover, warehouse: Warehouse
) -> None:
    """The functions once trusted their argument: a query that named another user's number read that user's lists."""
    source, ana = mover.source([1, 2]), mover.user_id
    asked: dict[str, tuple[object, ...]] = {
        "select count(*) from ops.playlists_of(%s)": (ana,),
        "select count(*) from ops.playlist_versions_of(%s, %s)": (ana, source),
        "select count(*) from ops.playlist_entries_of(%s, %s, 1)": (ana, source),
        "select count(*) from ops.playlist_removed_of(%s, %s, 1)": (ana, source),
    }
    assert mover.source([2]) == source
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        for user, are_told in (("", False), (str(ana + 1), False), (str(ana), True)):
            connection.execute("select set_config('app.user_id', %s, false)", (user,))
            for query, values in asked.items():
                row = connection.execute(query.encode(), values).fetchone()
                assert row is not None
                assert (row[0] > 0) == are_told, query
        connection.execute("select set_config('app.user_id', %s, false)", (str(ana + 1),))
        with pytest.raises(InsufficientPrivilege, match="not a list of this user"):
            connection.execute("select * from ops.keep_list(%s, '/x', 'x', '', '[]', now())", (ana,))
