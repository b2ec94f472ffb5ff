"""Playlists in the marts: as they are, what changed, how often they were heard; only what changed is recomputed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from myi_pipeline.marts.refresh import RefreshResult
from myi_pipeline.playlists.removing import remove_list
from myi_pipeline.playlists.store import store_playlist
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry, PlaylistHead
from tests.dbt.test_recordings import decide

START = datetime(2024, 3, 1, tzinfo=UTC)
ITEMS = "select position, kind, title, content_id is not null from marts.fct_playlist_items order by 1"
OF_MARTS = {"dim_playlists", "fct_playlist_items", "fct_playlist_changes"}


def track(name: str) -> PlaylistEntry:
    """A track by its name; `local:name` is a file of its owner's."""
    if name.startswith("local:"):
        return PlaylistEntry(track=ListedTrack(kind=EntryKind.LOCAL, title=name.removeprefix("local:")))
    return PlaylistEntry(
        track=ListedTrack(uri=f"spotify:track:{name:0>22}", title=name, artists=("Artist",)), added_at=START
    )


def keep(marts: Any, user_id: int, names: Sequence[str] | None, *, day: int = 0, title: str = "A list",
         playlist: str = "one", state: Any = "readable") -> int:  # fmt: skip
    with marts.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        return store_playlist(
            connection,
            user_id=user_id,
            account_id=None,
            provider="file",
            head=PlaylistHead(playlist_id=playlist, name=title),
            entries=None if names is None else [track(name) for name in names],
            now=START + timedelta(days=day),
            state=state,
        ).playlist_id


def changes(marts: Any) -> list[tuple[Any, ...]]:
    """(version, change, title, before, after)."""
    return marts.read(
        "select version_no, change, coalesce(c.title, f.title), position_before, position_after"
        " from marts.fct_playlist_changes as f left join marts.dim_contents as c using (content_id)"
        " order by playlist_id, version_no, place"
    )  # type: ignore[no-any-return]


def built(result: RefreshResult) -> set[str]:
    return {node.name for node in result.models}


def test_a_list_is_shown_as_it_is_with_what_is_no_track(marts: Any) -> None:
    ada = marts.add_user("ada")
    playlist = keep(marts, ada, ["a", "local:tape", "b", "a"])
    result = marts.refreshed()
    assert (result.is_rebuild, built(result) >= OF_MARTS) == (False, True)
    assert marts.read(ITEMS) == [
        (0, "track", None, True), (1, "local", "tape", False), (2, "track", None, True), (3, "track", None, True)
    ]  # fmt: skip
    assert marts.read("select playlist_id, name, items, versions, state from marts.dim_playlists") == [
        (playlist, "A list", 4, 1, "readable")
    ]
    assert changes(marts) == [(1, "created", None, None, None)]
    keep(marts, ada, None, day=2, state="gone")
    marts.refreshed()
    assert marts.read("select state, deleted_at, items from marts.dim_playlists") == [
        ("gone", START + timedelta(days=2), 4)
    ]
    assert len(marts.read(ITEMS)) == 4


def test_a_list_that_its_user_removed_is_gone_until_its_file_is_imported_again(marts: Any) -> None:
    ada = marts.add_user("ada")
    playlist = keep(marts, ada, ["a", "b"])
    marts.refreshed()
    with marts.warehouse.connect(Role.APP, autocommit=True) as connection:
        assert remove_list(connection, user_id=ada, playlist_id=playlist, now=START + timedelta(days=2))
    marts.refreshed()
    states = "select state, deleted_at, items, versions from marts.dim_playlists"
    assert marts.read(states) == [("gone", START + timedelta(days=2), 2, 2)]
    keep(marts, ada, ["a", "b"], day=3)
    marts.refreshed()
    assert marts.read(states) == [("readable", None, 2, 3)]
    assert [change for _, change, *_ in changes(marts)] == ["created", "gone", "readable"]


def test_changes_name_what_came_went_and_moved_and_nothing_else(marts: Any) -> None:
    ada = marts.add_user("ada")
    keep(marts, ada, ["a", "b", "c", "d", "e"])
    keep(marts, ada, ["b", "c", "d", "e", "a"], day=1)  # one moved over four
    keep(marts, ada, ["x", "b", "c", "d", "e", "a"], day=2)  # what comes in front moves nobody
    keep(marts, ada, ["x", "b", "c", "b", "a", "local:tape"], day=3, title="Another name")
    keep(marts, ada, ["b", "c", "b", "a", "local:tape", "x"], day=4, title="Another name")
    marts.refreshed()
    assert changes(marts) == [
        (1, "created", None, None, None),
        (2, "moved", "a", 0, 4),
        (3, "added", "x", None, 0),
        (4, "renamed", None, None, None),
        (4, "added", "b", None, 3),
        (4, "added", "tape", None, 5),
        (4, "removed", "d", 3, None),
        (4, "removed", "e", 4, None),
        (5, "moved", "x", 0, 5),
    ]


def test_plays_of_a_list_are_counted_by_month_once_for_a_track_that_stands_on_it_twice(marts: Any) -> None:
    ada, bob = marts.add_user("ada"), marts.add_user("bob")
    playlist = keep(marts, ada, ["a", "b", "a", "local:tape"])
    keep(marts, bob, ["a"], playlist="two")
    song = marts.sql("select content_id from raw.contents where title = 'a'")[0][0]
    for moment in ("2024-03-01 10:00Z", "2024-03-02 10:00Z", "2024-04-01 10:00Z"):
        marts.add_play(ada, moment, song)
    marts.add_play(ada, "2024-03-05 10:00Z", marts.add_content("Elsewhere"))
    marts.refreshed()
    assert marts.read(
        "select playlist_id, month_start::text, contents, plays, counted_plays from marts.agg_playlist_plays order by 2"
    ) == [(playlist, "2024-03-01", 1, 2, 2), (playlist, "2024-04-01", 1, 1, 1)]


def test_a_song_of_a_list_is_heard_as_any_of_its_tracks_and_counted_once(marts: Any) -> None:
    ada, bob = marts.add_user("ada"), marts.add_user("bob")
    for user in (ada, bob):
        keep(marts, user, ["a", "b"], playlist=f"of {user}")
    one, other = (marts.sql("select content_id from raw.contents where title = %s", each)[0][0] for each in "ab")
    elsewhere = marts.add_content("Elsewhere")
    for user in (ada, bob):
        for day, content in enumerate((one, other, elsewhere), start=1):
            marts.add_play(user, f"2024-03-0{day} 10:00Z", content)
    marts.refreshed()
    query = "select user_id, contents, plays from marts.agg_playlist_plays order by user_id"
    assert marts.read(query) == [(ada, 2, 2), (bob, 2, 2)]

    said = [decide(marts, ada, "same", one, other), decide(marts, ada, "same", other, elsewhere)]
    marts.refreshed()
    assert marts.read(query) == [(ada, 1, 3), (bob, 2, 2)]

    marts.sql("delete from app.recording_decisions where decision_id = any(%s)", said)
    marts.refreshed()
    assert marts.read(query) == [(ada, 2, 2), (bob, 2, 2)]


def test_only_lists_that_changed_are_recomputed_and_only_their_owner_hears(marts: Any) -> None:
    ada, bob = marts.add_user("ada"), marts.add_user("bob")
    keep(marts, ada, ["a"], playlist="of-ada")
    keep(marts, bob, ["a"], playlist="of-bob")
    marts.refreshed()
    before = dict(marts.read("select user_id, version from marts.user_versions"))
    stood = marts.read("select ctid::text from marts.fct_playlist_items where user_id = %s", bob)
    keep(marts, ada, ["a", "b"], day=1, playlist="of-ada")
    result = marts.refreshed()
    assert (result.changed_days, result.is_rebuild) == (0, False)
    after = dict(marts.read("select user_id, version from marts.user_versions"))
    assert (after[ada] > before[ada], after[bob] == before[bob]) == (True, True)
    assert marts.read("select ctid::text from marts.fct_playlist_items where user_id = %s", bob) == stood
    marts.add_play(bob, "2024-03-02 10:00Z")
    assert not OF_MARTS & built(marts.refreshed())


@pytest.mark.slow
def test_what_goes_by_another_content_does_so_on_lists_and_in_their_history(marts: Any) -> None:
    ada = marts.add_user("ada")
    keep(marts, ada, ["a", "b"])
    keep(marts, ada, ["b", "a"], day=1)
    keep(marts, ada, ["b"], day=2)
    marts.refreshed()
    other = marts.add_content("a", "Artist", uri="spotify:track:9999999999999999999999")
    old = marts.sql("select content_id from raw.contents where title = 'a' order by 1")[0][0]
    marts.sql("insert into raw.content_aliases values (%s, %s, 'relinked')", old, other)
    marts.refreshed()
    query = "select count(*) filter (where content_id = %s), count(*) filter (where content_id = %s) from marts.{}"
    assert marts.read(query.format("fct_playlist_changes"), old, other) == [(0, 2)]
    assert marts.verify().is_good
    marts.sql("delete from raw.content_aliases")
    marts.refreshed()
    assert marts.read(query.format("fct_playlist_changes"), old, other) == [(2, 0)]
    assert marts.verify().is_good


@pytest.mark.slow
def test_lists_of_a_removed_user_leave_the_marts(marts: Any) -> None:
    ada, bob = marts.add_user("ada"), marts.add_user("bob")
    keep(marts, ada, ["a"])
    keep(marts, bob, ["a"])
    marts.refreshed()
    marts.sql("delete from app.users where user_id = %s", ada)
    marts.refreshed()
    for mart in (*OF_MARTS, "agg_playlist_plays"):
        assert {user for (user,) in marts.read(f"select user_id from marts.{mart}")} <= {bob}
    assert marts.verify().is_good


@pytest.mark.slow
def test_an_interrupted_refresh_leaves_its_lists_to_the_next(marts: Any) -> None:
    ada = marts.add_user("ada")
    keep(marts, ada, ["a"])
    marts.refreshed()
    keep(marts, ada, ["a", "b"], day=1)
    assert marts.refresh(select="dim_playlists").status == "partial"
    keep(marts, ada, ["b"], day=2)
    marts.refreshed()
    assert [change for _, change, *_ in changes(marts)] == ["created", "added", "removed"]
    assert marts.verify().is_good


def test_which_entries_moved_is_the_fewest_there_can_be(marts: Any) -> None:
    dice = random.Random(3)
    for size in (0, 1, 2, 5, 40, 300):
        numbers = list(range(size))
        dice.shuffle(numbers)
        kept = marts.sql("select ops.kept_in_order(%s::int[])", numbers)[0][0]
        assert sorted(kept) == sorted(kept, reverse=True)[::-1]
        assert [number for number in numbers if number in set(kept)] == sorted(kept)
        assert len(kept) == longest(numbers)


def longest(numbers: list[int]) -> int:
    """The slow, obvious way."""
    best: list[int] = []
    for place, number in enumerate(numbers):
        best.append(1 + max((best[i] for i in range(place) if numbers[i] < number), default=0))
    return max(best, default=0)


@pytest.mark.property
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_after_any_history_of_lists_the_marts_equal_a_rebuild(marts: Any, seed: int) -> None:
    dice = random.Random(seed)
    users = [marts.add_user(f"user-{number}") for number in range(3)]
    names = [*"abcdefgh", "local:x", "local:y"]
    marts.refreshed()
    for day in range(12):
        for _ in range(dice.randrange(4)):
            user, playlist = dice.choice(users), f"list-{dice.randrange(2)}"
            drawn = None if dice.random() < 0.15 else [dice.choice(names) for _ in range(dice.randrange(9))]
            state = "readable" if drawn is not None else dice.choice(["unreadable", "gone"])
            keep(marts, user, drawn, day=day, playlist=playlist, title=dice.choice("xy"), state=state)
        contents = [row[0] for row in marts.sql("select content_id from raw.contents")]
        if len(contents) > 2 and dice.random() < 0.4:
            one, two = dice.sample(contents, 2)
            marts.sql("delete from raw.content_aliases")
            marts.sql("insert into raw.content_aliases values (%s, %s, 'relinked')", one, two)
        if contents and dice.random() < 0.5:
            marts.add_play(dice.choice(users), START + timedelta(hours=day), dice.choice(contents))
        if dice.random() < 0.6:
            marts.refreshed()
    found = marts.verify()
    assert found.is_good, found.differing
