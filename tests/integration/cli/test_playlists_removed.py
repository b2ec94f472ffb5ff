"""`myi playlists remove`: by number, for one user, and back by the same command that brought it."""

from __future__ import annotations

from collections.abc import Callable

from myi_pipeline.postgres.connections import Role, Warehouse
from tests.integration.cli.test_playlists_made import Lists, lists

__all__ = ["lists"]


def states(lists: Lists) -> list[tuple[str, int]]:
    found = lists.myi("playlists", "list", "ana", "--json").document["playlists"]
    return [(each["state"], each["versions"]) for each in found]


def test_a_list_is_removed_and_comes_back_with_its_file(lists: Lists) -> None:
    number = lists.keep(1, 2)
    ran = lists.myi("playlists", "remove", number)
    assert (ran.code, "is removed; its history stays" in ran.out) == (0, True), ran.err
    assert states(lists) == [("gone", 2)]
    again = lists.myi("playlists", "remove", number, "--user", "ana", "--json")
    assert (again.code, again.document["removed"]) == (0, {"playlist_id": int(number), "is_new": False})
    assert "was removed before" in lists.myi("playlists", "remove", number).out
    assert states(lists) == [("gone", 2)]
    assert lists.entries(number) == [1, 2]
    assert lists.keep(1, 2) == number
    assert states(lists) == [("readable", 3)]


def test_a_list_that_was_made_comes_back_when_it_is_made_again(lists: Lists) -> None:
    number = lists.keep(1, 2)
    lists.keep(2)
    made = lists.restored(number, "--removed")
    assert lists.myi("playlists", "remove", made["playlist_id"], "--user", "ana").code == 0
    again = lists.restored(number, "--removed")
    assert (again["playlist_id"], again["version_no"], again["is_new"]) == (made["playlist_id"], 3, True)


def test_what_is_not_this_users_or_a_services_stays(lists: Lists, myi: Callable, warehouse: Warehouse) -> None:
    number = lists.keep(1)
    assert myi("user", "add", "ben").code == 0
    for arguments, code, said in (
        ((number, "--user", "ben"), 1, f"no playlist {number}"),
        ((number, "--user", "nobody"), 2, "nobody"),
        (("9999",), 1, "no playlist 9999"),
    ):
        ran = myi("playlists", "remove", *arguments)
        assert (ran.code, said in ran.err) == (code, True), (arguments, ran.err)
    assert states(lists) == [("readable", 1)]
    with warehouse.connect(Role.OWNER) as connection:
        connection.execute(
            "with account as (insert into app.provider_accounts (user_id, provider, provider_account, linked_at)"
            " values (1, 'deezer', '42', now()) returning account_id),"
            " list as (insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)"
            " select 1, account_id, 'deezer', 'x', now() from account returning playlist_id)"
            " insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name)"
            " select playlist_id, 1, now(), 'unreadable', 'There' from list"
        )
        row = connection.execute("select max(playlist_id) from raw.playlists").fetchone()
    assert row is not None
    ran = myi("playlists", "remove", row[0])
    assert (ran.code, "account at Deezer: delete it there" in ran.err) == (1, True), ran.err
