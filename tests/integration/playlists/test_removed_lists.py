"""Lists that are no service's are removed with their history kept, by their user alone, and come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg.errors import InsufficientPrivilege

from myi_pipeline.errors import BadInput
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.playlists.kept import list_heads, list_versions
from myi_pipeline.playlists.migration import saved
from myi_pipeline.playlists.own_lists import MOST_LISTS, MadeList, keep_contents
from myi_pipeline.playlists.removing import ListOfService, remove_list
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.playlists import PlaylistEntry, PlaylistHead
from tests.integration.playlists.mover import LONG_AGO, Mover, at_tidal, mover, song

__all__ = ["at_tidal", "mover"]

LATER = LONG_AGO + timedelta(days=1)


def removed(mover: Mover, playlist_id: int, connection: Connection | None = None, **more: Any) -> bool:
    return remove_list(
        connection or mover.connection, playlist_id=playlist_id, **{"user_id": mover.user_id, "now": LATER, **more}
    )


def versions(mover: Mover, playlist_id: int) -> list[tuple[int, str, int | None]]:
    """Oldest first: number, state, entries."""
    found = list_versions(mover.connection, user_id=mover.user_id, playlist_id=playlist_id)
    return [(each.version_no, each.state, each.items) for each in reversed(found)]


def made(mover: Mover, name: str = "Most played") -> MadeList:
    ids = [id for (id,) in mover.connection.execute("select content_id from raw.contents order by 1").fetchall()]
    return keep_contents(
        mover.connection, user_id=mover.user_id, name=name, description="", content_ids=ids, now=LONG_AGO
    )


def test_a_removed_list_keeps_its_history_and_removing_it_twice_adds_nothing(
    mover: Mover, warehouse: Warehouse
) -> None:
    source = mover.source([1, 2, 3])
    assert mover.source([1, 2]) == source
    with warehouse.connect(Role.OWNER) as owner:
        owner.execute("delete from ops.changed_playlists")
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        assert removed(mover, source, connection, address="192.0.2.7")
        assert not removed(mover, source, connection, now=LATER + timedelta(days=1))
    assert versions(mover, source) == [(1, "readable", 3), (2, "readable", 2), (3, "gone", 2)]
    (newest, *_) = list_versions(mover.connection, user_id=mover.user_id, playlist_id=source)
    assert (newest.name, newest.seen_at) == ("Mine", LATER)
    assert [head.state for head in list_heads(mover.connection, user_id=mover.user_id)] == ["gone"]
    with warehouse.connect(Role.OWNER) as owner:
        changed = owner.execute("select playlist_id, user_id from ops.changed_playlists").fetchall()
        told = owner.execute(
            "select user_id, address, detail from app.audit where event = 'playlist_removed'"
        ).fetchall()
    assert changed == [(source, mover.user_id)]
    assert told == [(mover.user_id, "192.0.2.7", {"playlist": source})]


@pytest.mark.parametrize("role", [Role.APP, Role.INGEST])
def test_another_users_list_is_not_there(mover: Mover, warehouse: Warehouse, role: Role) -> None:
    source = mover.source([1])
    ben = add_user(mover.connection, user_key="ben", time_zone="UTC").user_id
    with warehouse.connect(role, autocommit=True) as connection:
        for playlist_id in (source, 10**6):
            with pytest.raises(BadInput, match=f"no playlist {playlist_id}") as refused:
                removed(mover, playlist_id, connection, user_id=ben)
            assert refused.value.place == "playlist"
    assert versions(mover, source) == [(1, "readable", 1)]


def test_whomever_the_web_names_it_removes_lists_of_the_user_of_its_transaction_alone(
    mover: Mover, warehouse: Warehouse
) -> None:
    source = mover.source([1])
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        for user in ("", str(mover.user_id + 1)):
            connection.execute("select set_config('app.user_id', %s, false)", (user,))
            with pytest.raises(InsufficientPrivilege, match="not a list of this user"):
                connection.execute("select * from ops.remove_list(%s, %s, now())", (mover.user_id, source))
    assert versions(mover, source) == [(1, "readable", 1)]


def test_a_list_of_a_linked_account_is_removed_at_its_service(mover: Mover) -> None:
    stored = store_playlist(
        mover.connection, user_id=mover.user_id, account_id=mover.target.account_id, provider="tidal",
        head=PlaylistHead(playlist_id="there", name="There"), entries=[], now=LONG_AGO,
    )  # fmt: skip
    with pytest.raises(ListOfService, match="account at TIDAL: delete it there"):
        removed(mover, stored.playlist_id)
    assert versions(mover, stored.playlist_id) == [(1, "readable", 0)]


def test_the_same_file_brings_its_list_back(mover: Mover) -> None:
    """Nothing on it differs from the version that was removed."""
    source = mover.source([1, 2])
    for _ in range(2):
        removed(mover, source)
        assert mover.source([1, 2]) == source
        assert mover.source([1, 2]) == source
    states = [state for _, state, _ in versions(mover, source)]
    assert states == ["readable", "gone", "readable", "gone", "readable"]


def test_an_archive_brings_a_list_back_with_its_latest_entries(mover: Mover) -> None:
    """An archive of an earlier year is older than what the list was last: its entries are no news."""

    def archive(*numbers: int) -> bool:
        return store_playlist(
            mover.connection, user_id=mover.user_id, account_id=None, provider="file",
            head=PlaylistHead(playlist_id="Mine", name="Mine"),
            entries=[PlaylistEntry(track=song(number)) for number in numbers], now=LATER, skips_known=True,
        ).is_new  # fmt: skip

    assert [archive(1), archive(1, 2), archive(1)] == [True, True, False]
    (head,) = list_heads(mover.connection, user_id=mover.user_id)
    removed(mover, head.playlist_id)
    assert [archive(1), archive(1), archive(1, 2)] == [True, False, False]
    expected = [(1, "readable", 1), (2, "readable", 2), (3, "gone", 2), (4, "readable", 2)]
    assert versions(mover, head.playlist_id) == expected


def test_a_list_that_is_made_again_is_back(mover: Mover) -> None:
    mover.source([1, 2])
    first = made(mover)
    removed(mover, first.playlist_id)
    again = made(mover)
    assert (again.playlist_id, again.version_no, again.is_new) == (first.playlist_id, 3, True)
    assert not made(mover).is_new
    assert [state for _, state, _ in versions(mover, first.playlist_id)] == ["readable", "gone", "readable"]


def test_removed_lists_do_not_count_towards_the_limit(mover: Mover) -> None:
    mover.source([1])
    first = made(mover, "first")
    mover.connection.execute(
        "insert into raw.playlists (user_id, provider, provider_playlist, first_seen_at)"
        " select %s, 'file', '/plays/' || n, now() from generate_series(2, %s) as n",
        (mover.user_id, MOST_LISTS),
    )
    with pytest.raises(BadInput, match="at most 1,000"):
        made(mover, "one more")
    removed(mover, first.playlist_id)
    assert made(mover, "one more").is_new
    # There is no place for it any more.
    with pytest.raises(BadInput, match="at most 1,000"):
        made(mover, "first")
    assert [state for _, state, _ in versions(mover, first.playlist_id)] == ["readable", "gone"]


def test_removed_at_once_by_several_it_has_one_further_version(mover: Mover, warehouse: Warehouse) -> None:
    source = mover.source([1, 2, 3])

    def remove(_: int) -> bool:
        with warehouse.connect(Role.APP, autocommit=True) as connection:
            return removed(mover, source, connection)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(remove, range(12))) == 1
    assert versions(mover, source) == [(1, "readable", 3), (2, "gone", 3)]


def test_a_migration_of_a_removed_list_goes_on_and_its_sync_has_nothing_to_add(mover: Mover) -> None:
    """As when a playlist has left its service: a version of it was planned, and its entries are the same."""
    mover.tidal.add_tracks(3)
    source = mover.source([1, 2, 3])
    moved = mover.plan(source)
    removed(mover, source)
    assert mover.run(moved).is_done
    assert mover.tracks(moved) == ["1", "2", "3"]
    saved.save(mover.connection, user_id=mover.user_id, migration_id=moved, is_daily=True, now=LATER)
    due = mover.connection.execute(load_sql("playlists/saved_due"), {"before": LATER, "limit": 9})
    assert due.description is not None
    names = [column.name for column in due.description]
    (row,) = [dict(zip(names, each, strict=True)) for each in due.fetchall()]
    assert (row["source_playlist_id"], row["version_no"], row["has_news"]) == (source, 2, False)
