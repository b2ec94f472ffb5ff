"""Playlists are gathered whole and in order, only when they changed, and nothing of them is ever lost."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from myi_pipeline.playlists.rules import GATHER_EVERY, REFUSED_AGAIN_AFTER
from myi_pipeline.providers.login_owners import LoginUse
from myi_pipeline.simulator.live import LIKED, ScriptedEntry
from tests.integration.credentials.conftest import CLIENT
from tests.integration.playlists.conftest import LONG_AGO, Lists

MINUTE = timedelta(minutes=1)


def test_a_list_is_kept_whole_with_all_that_is_no_track(lists: Lists) -> None:
    first, second, third = lists.entries(range(3))
    entries = (
        first,
        ScriptedEntry(kind="local", title="A demo tape", added_at=LONG_AGO),
        second,
        first,
        ScriptedEntry(kind="episode", title="The first episode"),
        ScriptedEntry(kind="removed", added_at=LONG_AGO),
        third,
        first,
    )
    lists.put("mixed", entries, name="Of all sorts")
    assert lists.counts() == (2, 0, 0, 0, 0, 2)  # liked songs are a list too
    kept = lists.kept("mixed")
    assert [uri for _, uri in kept] == lists.truth("mixed")
    assert [kind for kind, _ in kept] == [
        "track", "local", "track", "track", "episode", "removed", "track", "track"
    ]  # fmt: skip
    assert lists.setup.sql(
        "select count(*), count(added_at), count(added_by) from raw.playlist_items"
    ) == [(8, 7, 5)]  # fmt: skip
    title = "select original ->> 'title', original ->> 'duration_ms' from raw.playlist_items where kind = 'local'"
    assert lists.setup.sql(title) == [("A demo tape", "183000")]
    assert (
        lists.setup.sql("select isrc is not null, duration_ms > 0 from raw.contents where kind_id = 1")
        == [(True, True)] * 3
    )


@pytest.mark.parametrize("count", [0, 1, 49, 50, 51, 100, 101])
def test_pages_end_where_the_list_does(lists: Lists, count: int) -> None:
    lists.put("paged", lists.entries(range(count)))
    assert lists.gather().items_read == count
    assert [uri for _, uri in lists.kept("paged")] == lists.truth("paged")


def test_unchanged_lists_cost_no_request_of_their_own(lists: Lists) -> None:
    for number in range(60):
        lists.put(f"list{number}", lists.entries(range(number, number + 3)))
    assert lists.counts() == (61, 0, 0, 0, 0, 61)
    lists.calls()
    assert lists.counts() == (0, 61, 0, 0, 0, 0)
    assert lists.calls() == 3  # two pages of lists, and one of liked songs
    lists.put("list7", lists.entries(range(5)))
    assert lists.counts() == (1, 60, 0, 0, 0, 1)


def test_history_has_a_version_for_what_changed_and_each_order_once(lists: Lists) -> None:
    lists.put("mine", lists.entries([1, 2, 3]), name="Mine")
    lists.gather()
    lists.put("mine", lists.entries([3, 2, 1]), name="Mine")
    lists.gather()
    lists.put("mine", lists.entries([1, 2, 3]), name="Mine")  # as it was
    lists.gather()
    lists.put("mine", lists.entries([1, 2, 3]), name="Renamed")
    lists.gather()
    lists.put("mine", lists.entries([1, 2, 3]), name="Renamed")  # another snapshot of the same
    assert lists.counts()[5] == 0
    assert [name for _, name, _ in lists.history("mine")] == ["Mine", "Mine", "Mine", "Renamed"]
    assert lists.setup.sql("select count(distinct items_key), count(*) from raw.playlist_items") == [(2, 6)]


def test_a_list_that_is_not_the_persons_is_marked_and_asked_for_once(lists: Lists) -> None:
    lists.put("theirs", lists.entries(range(4)), owner="somebody", followers=("listener-1",), name="Theirs")
    lists.put("shared", lists.entries(range(4)), owner="somebody", followers=("listener-1",), collaborative=True,
              public=False)  # fmt: skip
    assert lists.counts() == (2, 0, 1, 0, 0, 3)
    assert (lists.history("theirs"), lists.history("shared")) == (
        [("unreadable", "Theirs", None)],
        [("readable", "A list", 4)],
    )
    lists.calls()
    assert lists.counts() == (0, 2, 1, 0, 0, 0)
    assert lists.calls() == 2


def test_a_list_that_is_refused_later_keeps_what_it_had(lists: Lists) -> None:
    shared = {"owner": "somebody", "followers": ("listener-1",), "public": False}
    lists.put("shared", lists.entries(range(4)), collaborative=True, **shared)
    lists.gather()
    lists.put("shared", lists.entries(range(5)), collaborative=False, **shared)
    assert lists.counts() == (0, 1, 1, 0, 0, 1)
    assert lists.history("shared") == [("readable", "A list", 4), ("unreadable", "A list", 4)]
    assert len(lists.kept("shared")) == 4


def test_a_list_that_opens_or_closes_without_another_version_is_read_again(lists: Lists) -> None:
    theirs = {"owner": "somebody", "followers": ("listener-1",), "public": False, "keeps_snapshot_id": True}
    lists.put("theirs", lists.entries(range(4)), **theirs)
    assert lists.counts() == (1, 0, 1, 0, 0, 2)
    lists.put("theirs", lists.entries(range(4)), collaborative=True, **theirs)
    assert lists.counts() == (1, 1, 0, 0, 0, 1)
    assert len(lists.kept("theirs")) == 4
    lists.put("theirs", lists.entries(range(4)), collaborative=False, **theirs)
    assert lists.counts() == (0, 1, 1, 0, 0, 1)
    assert [state for state, _, _ in lists.history("theirs")] == ["unreadable", "readable", "unreadable"]
    lists.calls()
    assert lists.counts() == (0, 1, 1, 0, 0, 0)
    assert lists.calls() == 2  # it is not asked for each time
    lists.setup.clock.advance(REFUSED_AGAIN_AFTER)
    assert lists.counts() == (0, 1, 1, 0, 0, 0)
    assert lists.calls() > 2


def test_a_list_that_left_the_library_is_marked_and_may_come_back(lists: Lists) -> None:
    lists.put("mine", lists.entries(range(3)))
    lists.put("other", lists.entries(range(3)))
    lists.gather()
    lists.setup.simulator.control.unfollow("listener-1", "mine")
    assert lists.counts() == (0, 2, 0, 0, 1, 1)
    assert lists.counts() == (0, 2, 0, 0, 0, 0)
    assert (lists.history("mine")[-1], len(lists.kept("mine"))) == (("gone", "A list", 3), 3)
    lists.put("mine", lists.entries(range(3)))
    lists.gather()
    assert [state for state, _, _ in lists.history("mine")] == ["readable", "gone", "readable"]


def test_a_list_that_changes_while_it_is_read_is_never_mixed(lists: Lists) -> None:
    lists.put("busy", lists.entries(range(120)), changes_while_read=2)
    found = lists.gather()
    assert (found.lists_read, found.failed) == (2, 0)
    assert [uri for _, uri in lists.kept("busy")] == lists.truth("busy")
    lists.put("busy", lists.entries(range(120)), changes_while_read=40)
    found = lists.gather()
    assert (found.outcome, found.unchanged, found.failed) == ("partly", 1, 1)
    assert found.reason is not None
    assert "while it was read" in found.reason
    assert len(lists.history("busy")) == 1
    lists.put("busy", lists.entries(range(120)))
    assert lists.gather().outcome == "gathered"


def test_liked_songs_are_read_when_they_changed(lists: Lists) -> None:
    lists.put(LIKED, lists.entries(range(130, 0, -1)))
    assert lists.counts() == (1, 0, 0, 0, 0, 1)
    assert [uri for _, uri in lists.kept(LIKED)] == lists.truth(LIKED)
    assert lists.counts() == (0, 1, 0, 0, 0, 0)
    lists.put(LIKED, lists.entries(range(131, 0, -1)))
    assert lists.counts() == (1, 0, 0, 0, 0, 1)
    lists.put(LIKED, lists.entries([each for each in range(131, 0, -1) if each != 3]))
    assert lists.counts() == (1, 0, 0, 0, 0, 1)
    assert [items for _, _, items in lists.history(LIKED)] == [130, 131, 130]


def test_without_the_permission_nothing_is_asked_and_polls_go_on(lists: Lists) -> None:
    lists.put("mine", lists.entries(range(3)))
    lists.gather()
    lists.sign_in(with_playlists=False)
    lists.calls()
    assert lists.gather_all() == ()
    assert lists.calls() == 0
    lists.sign_in(denied=("playlist-read-private", "playlist-read-collaborative"))
    assert lists.counts() == (0, 1, 0, 0, 0, 0)
    assert lists.history("mine")[-1][0] == "readable"  # not seen, and not gone
    lists.sign_in(denied=("user-library-read",))
    assert lists.counts() == (0, 1, 0, 0, 0, 0)
    assert lists.history(LIKED)[-1][0] == "readable"


def test_collaborative_lists_that_are_not_allowed_any_more_are_not_gone(lists: Lists) -> None:
    lists.put("shared", lists.entries(range(2)), collaborative=True, public=False)
    lists.gather()
    lists.sign_in(denied=("playlist-read-collaborative",))
    assert lists.counts() == (0, 1, 0, 0, 0, 0)
    assert lists.history("shared")[-1][0] == "readable"


def test_a_list_that_fails_costs_no_other_and_is_read_the_next_time(lists: Lists) -> None:
    for number in range(3):
        lists.put(f"list{number}", lists.entries(range(3)))
    lists.setup.simulator.control.fail("wrong_shape", path="/v1/playlists/list1/items", times=None)
    found = lists.gather()
    assert (found.outcome, found.lists_read, found.failed) == ("partly", 3, 1)
    assert found.retry_at is not None
    assert lists.gather_all(force=False) == ()
    lists.setup.simulator.control.clear_faults()
    lists.setup.clock.advance(timedelta(hours=3))
    assert lists.counts(force=False) == (1, 3, 0, 0, 0, 1)
    assert lists.gather_all(force=False) == ()
    lists.setup.clock.advance(GATHER_EVERY)
    assert lists.counts(force=False) == (0, 4, 0, 0, 0, 0)


def test_a_used_up_quota_ends_the_gathering_and_names_its_time(lists: Lists) -> None:
    for number in range(4):
        lists.put(f"list{number}", lists.entries(range(3)))
    lists.setup.simulator.control.fail("status", status=429, retry_after=7_200, path="/v1/playlists/list2/items")
    found = lists.gather()
    assert (found.outcome, found.lists_seen) == ("partly", 5)
    assert found.lists_read + found.failed == 5
    assert found.retry_at is not None
    assert found.retry_at >= lists.setup.clock.now() + timedelta(seconds=7_190)
    lists.setup.clock.advance(7_300)
    assert lists.counts()[3] == 0


def test_an_app_that_lost_its_owners_premium_marks_no_list(lists: Lists) -> None:
    lists.put("mine", lists.entries(range(3)))
    lists.gather()
    lists.put("mine", lists.entries(range(4)))
    lists.setup.simulator.control.set_app(CLIENT, premium=False)
    for _ in range(3):
        assert lists.gather().outcome == "failed"
    assert lists.history("mine") == [("readable", "A list", 3)]
    # Three refusals open this account's circuit, and no poll's.
    lists.setup.sql("update ops.playlist_states set due_at = null")
    assert lists.gather(force=False).outcome == "skipped"
    assert lists.gather_all(force=False) == (), "it waits like all others: its turn is over"
    assert lists.setup.sql("select count(*) from ops.circuits where state <> 'closed'") == [(0,)]
    lists.setup.simulator.control.set_app(CLIENT, premium=True)
    lists.setup.clock.advance(timedelta(days=1))
    assert lists.counts() == (1, 1, 0, 0, 0, 1)


def test_each_spotify_account_of_a_user_is_gathered_by_its_own_login(lists: Lists) -> None:
    lists.sign_in(listener="listener-2", use=LoginUse.FURTHER)
    lists.put("mine", lists.entries(range(3)))
    lists.put("hers", lists.entries(range(2)), owner="listener-2", public=False)
    # Both libraries have this one, and each account keeps its own history of it.
    lists.put("both", lists.entries(range(4)), owner="listener-2", followers=("listener-1",), collaborative=True,
              public=False)  # fmt: skip
    first, second = lists.gather_all()
    assert [(each.lists_read, each.outcome) for each in (first, second)] == [(3, "gathered"), (3, "gathered")]
    by_account = (
        "select a.name, string_agg(p.provider_playlist, ' ' order by provider_playlist) from raw.playlists as p"
        " inner join app.provider_accounts as a using (account_id) group by 1 order by 1"
    )
    assert lists.setup.sql(by_account) == [("listener-1", "both liked mine"), ("listener-2", "both hers liked")]

    # What fails for one stops neither the other nor polls.
    lists.setup.simulator.control.revoke("listener-2")
    lists.setup.clock.advance(timedelta(hours=2))
    outcomes = {each.account_id: each.outcome for each in lists.gather_all()}
    assert outcomes == {first.account_id: "gathered", second.account_id: "failed"}
    assert lists.setup.sql("select count(*) from ops.circuits where state <> 'closed'") == [(0,)]


def test_an_app_of_before_2026_is_read_by_its_older_addresses(lists: Lists) -> None:
    lists.setup.simulator.control.set_app(CLIENT, dialect="old")
    lists.put("mine", lists.entries(range(70)))
    assert lists.counts() == (2, 0, 0, 0, 0, 2)
    assert [uri for _, uri in lists.kept("mine")] == lists.truth("mine")


def test_lists_that_spotify_names_as_null_cost_no_other(lists: Lists) -> None:
    lists.put("ghost", lists.entries(range(2)), is_listed_as_null=True)
    lists.put("mine", lists.entries(range(2)))
    assert lists.counts() == (2, 0, 0, 0, 0, 2)


@pytest.mark.parametrize("kind", ["cut", "reset", "truncated", "empty"])
def test_an_answer_that_breaks_off_is_asked_for_again(lists: Lists, kind: str) -> None:
    lists.put("mine", lists.entries(range(120)))
    lists.setup.simulator.control.fail(kind, path="/v1/playlists/mine/items", after=1, times=2)  # type: ignore[arg-type]
    assert lists.gather().outcome == "gathered"
    assert [uri for _, uri in lists.kept("mine")] == lists.truth("mine")


def test_raw_is_never_changed_and_accounting_must_close(lists: Lists) -> None:
    lists.put("mine", lists.entries(range(2)))
    lists.gather()
    from myi_pipeline.postgres.connections import Role

    with lists.setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        for table in ("playlists", "playlist_versions", "playlist_items"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"delete from raw.{table}".encode())
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("update ops.playlist_gatherings set unchanged = unchanged + 1")
    assert lists.setup.sql("select count(distinct playlist_id) from ops.changed_playlists") == [(2,)]


def test_what_a_removed_user_alone_listed_goes_with_them(lists: Lists) -> None:
    lists.put("mine", lists.entries(range(2)))
    lists.gather()
    lists.setup.sql("delete from app.users")
    for table in ("raw.playlists", "raw.playlist_versions", "raw.playlist_items", "ops.playlist_gatherings"):
        assert lists.setup.sql(f"select count(*) from {table}") == [(0,)]
    assert lists.setup.sql("select count(*) from ops.orphans where entity_kind = 'content'") == [(2,)]


@pytest.mark.long
def test_a_list_of_ten_thousand_is_read_whole_and_a_change_of_it_is_one_version(lists: Lists) -> None:
    lists.put("long", lists.entries(range(10_000)))
    assert lists.gather().items_read == 10_000
    assert [uri for _, uri in lists.kept("long")] == lists.truth("long")
    lists.put("long", lists.entries([*range(1, 10_000), 0]))
    assert lists.counts() == (1, 1, 0, 0, 0, 1)
    order = "array_agg((n + 9999) % 10000 order by n)"
    query = f"select cardinality(ops.kept_in_order({order})) from generate_series(0, 9999) as n"
    assert lists.setup.sql(query) == [(9_999,)]
