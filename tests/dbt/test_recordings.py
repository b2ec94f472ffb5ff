"""One song counted as one song: what marts say of recordings after any history, and what people decide about them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from myi_pipeline.catalogue import recordings
from myi_pipeline.catalogue.recordings import resolve_recordings
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.sql_files import load_sql


def top(marts: Any, user: int, period: str = "all") -> dict[int, int]:
    query = "select recording_id, plays from marts.agg_period_recordings where user_id = %s and period = %s"
    return dict(marts.read(query, user, period))


def decide(marts: Any, user: int, decision: str, content: int, other: int | None = None) -> int:
    query = (
        "insert into app.recording_decisions (user_id, decision, content_id, other_id) values (%s, %s, %s, %s)"
        " returning decision_id"
    )
    return int(marts.sql(query, user, decision, content, other)[0][0])


def test_a_song_under_two_ids_is_one_recording_and_its_live_version_another(marts: Any) -> None:
    user = marts.add_user("ann")
    album = marts.add_content("Song", "Singer", uri="spotify:track:1", album="Album", duration_ms=200_000)
    again = marts.add_content("Song - Remastered 2011", "The Singer", uri="spotify:track:2", duration_ms=201_000)
    live = marts.add_content("Song (Live)", "Singer", uri="spotify:track:3", duration_ms=200_000)
    for hour, content in enumerate((album, again, again, live)):
        marts.add_play(user, f"2024-03-05 1{hour}:00Z", content)

    marts.refreshed()

    for period in ("all", "year", "month", "week"):
        assert top(marts, user, period) == {album: 3, live: 1}
    tracks = dict(marts.read("select track_id, recording_id from marts.dim_tracks"))
    assert tracks == {album: album, again: album, live: live}
    assert marts.read("select recording_id, name, tracks from marts.dim_recordings order by 1") == [
        (album, "Song", 2), (live, "Song (Live)", 1),
    ]  # fmt: skip


def test_a_track_that_brings_two_others_together_moves_their_plays(marts: Any) -> None:
    user = marts.add_user("ann")
    one = marts.add_content("Melody of Rain", "Singer", uri="spotify:track:1", duration_ms=200_000)
    other = marts.add_content("Rain Melody", "Singer", uri="spotify:track:2", duration_ms=200_500)
    marts.add_play(user, "2023-12-31 10:00Z", one)
    marts.add_play(user, "2024-03-05 10:00Z", other)
    marts.refreshed()
    assert top(marts, user) == {one: 1, other: 1}
    version = marts.read("select version from marts.user_versions")

    marts.sql("update raw.contents set title = 'Melody of Rain' where content_id = %s", other)
    marts.refreshed()

    assert top(marts, user) == {one: 2}
    assert top(marts, user, "year") == {one: 1}
    assert marts.read("select version from marts.user_versions") > version


@pytest.mark.slow
def test_what_one_person_decides_changes_nobody_elses_figures_and_can_be_taken_back(marts: Any) -> None:
    ann, bob = marts.add_user("ann"), marts.add_user("bob")
    song = marts.add_content("Song", "Singer", uri="spotify:track:1", duration_ms=200_000)
    again = marts.add_content("Song", "Singer", uri="spotify:track:2", duration_ms=200_000)
    far = marts.add_content("Le chant", "Somebody", uri="spotify:track:3", duration_ms=90_000)
    for user in (ann, bob):
        for hour, content in enumerate((song, again, far)):
            marts.add_play(user, f"2024-03-05 1{hour}:00Z", content)
    marts.refreshed()
    ruled = {song: 2, far: 1}
    assert (top(marts, ann), top(marts, bob)) == (ruled, ruled)

    apart = decide(marts, ann, "apart", song)
    same = decide(marts, ann, "same", far, again)
    marts.refreshed()

    assert (top(marts, ann), top(marts, bob)) == ({song: 1, again: 2}, ruled)

    # They survive new plays, and a rebuild.
    marts.add_play(ann, "2024-05-05 10:00Z", far)
    marts.refreshed()
    assert marts.refresh(rebuild=True).status == "completed"
    assert top(marts, ann) == {song: 1, again: 3}

    marts.sql("delete from app.recording_decisions where decision_id = any(%s)", [apart, same])
    marts.refreshed()
    assert top(marts, ann) == {song: 2, far: 2}
    assert marts.sql("select * from ops.user_recordings") == []
    assert marts.verify().is_good


def runs_and_firsts(marts: Any, user: int) -> tuple[list[Any], dict[int, str]]:
    """The longest run of a song in each session, and when each song was first heard."""
    runs = marts.read(
        "select longest_repeat_of_recording, repeated_recording_id, longest_repeat, repeated_track_id"
        " from marts.fct_sessions where user_id = %s order by ended_at",
        user,
    )
    firsts = marts.read(
        "select entity_id, to_char(first_played_at at time zone 'UTC', 'MM-DD HH24:MI') from marts.fct_first_plays"
        " where user_id = %s and entity_kind = 'recording'",
        user,
    )
    return runs, dict(firsts)


def heard_in_a_row(marts: Any) -> tuple[int, int, tuple[int, int, int]]:
    """Two listeners who heard a song under two ids three times in a row, in one session, and later another song."""
    song = marts.add_content("Song", "Singer", uri="spotify:track:1", duration_ms=200_000)
    again = marts.add_content("Song", "Singer", uri="spotify:track:2", duration_ms=200_000)
    far = marts.add_content("Le chant", "Somebody", uri="spotify:track:3", duration_ms=90_000)
    ann, bob = marts.add_user("ann"), marts.add_user("bob")
    for user in (ann, bob):
        for minute, content in ((10, again), (14, song), (18, song), (22, far)):
            marts.add_play(user, f"2024-03-05 10:{minute}Z", content)
        marts.add_play(user, "2024-03-06 10:00Z", far)
    return ann, bob, (song, again, far)


@pytest.mark.slow
def test_runs_and_first_plays_follow_what_a_person_says_and_taking_it_back_leaves_no_trace(marts: Any) -> None:
    ann, bob, (song, again, far) = heard_in_a_row(marts)
    marts.refreshed()
    ruled = (
        [(3, song, 2, song), (1, far, 1, far)],
        {song: "03-05 10:10", far: "03-05 10:22"},
    )
    assert (runs_and_firsts(marts, ann), runs_and_firsts(marts, bob)) == (ruled, ruled)

    apart = decide(marts, ann, "apart", again)
    marts.refreshed()
    assert runs_and_firsts(marts, ann) == (
        [(2, song, 2, song), (1, far, 1, far)],
        {again: "03-05 10:10", song: "03-05 10:14", far: "03-05 10:22"},
    )
    same = decide(marts, ann, "same", far, song)
    marts.refreshed()
    runs, firsts = runs_and_firsts(marts, ann)
    assert [run[0] for run in runs] == [3, 1]
    assert sorted(firsts.values()) == ["03-05 10:10", "03-05 10:14"]
    assert runs_and_firsts(marts, bob) == ruled

    marts.sql("delete from app.recording_decisions where decision_id = any(%s)", [apart, same])
    marts.refreshed()
    assert runs_and_firsts(marts, ann) == ruled
    assert marts.verify().is_good


@pytest.mark.slow
def test_of_whoever_is_removed_with_their_decisions_no_song_is_left(marts: Any) -> None:
    """The song had the number of a track that they had not heard themselves."""
    _, bob, (song, _, far) = heard_in_a_row(marts)
    cat = marts.add_user("cat")
    marts.add_play(cat, "2024-03-05 10:00Z", far)
    decide(marts, cat, "same", song, far)
    marts.refreshed()
    assert top(marts, cat) == {song: 1}
    marts.sql("delete from app.users where user_id = %s", cat)
    marts.refreshed()
    assert (top(marts, cat), len(top(marts, bob))) == ({}, 2)
    assert marts.verify().is_good


@pytest.mark.parametrize("number_goes", [True, False])
def test_of_a_track_that_goes_with_its_only_listener_no_recording_keeps_a_play(marts: Any, number_goes: bool) -> None:
    """As after an erasure: the track is deleted from the catalogue before a run opens, and the others of its recording
    may get another number."""
    ann, bob = marts.add_user("ann"), marts.add_user("bob")
    song = marts.add_content("Song", "Singer", uri="spotify:track:1", duration_ms=200_000)
    again = marts.add_content("Song", "Singer", uri="spotify:track:2", duration_ms=200_000)
    gone, kept = (song, again) if number_goes else (again, song)
    marts.add_play(ann, "2024-03-05 10:00Z", kept)
    marts.add_play(bob, "2024-03-05 11:00Z", gone)
    marts.refreshed()
    assert (top(marts, ann), top(marts, bob)) == ({song: 1}, {song: 1})
    marts.sql("delete from app.users where user_id = %s", bob)
    marts.sql("delete from raw.contents where content_id = %s", gone)
    marts.sql("insert into ops.changed_contents (content_id) values (%s)", gone)
    marts.refreshed()
    assert (top(marts, ann), top(marts, bob)) == ({kept: 1}, {})
    assert differs_from_whole(marts) == []
    assert marts.verify().is_good


def test_a_song_whose_tracks_were_first_heard_at_one_instant_is_first_heard_once(marts: Any) -> None:
    ann, _, (song, again, _) = heard_in_a_row(marts)
    for content in (song, again):
        marts.add_play(ann, "2024-02-01 10:00Z", content)
    marts.refreshed()
    query = (
        "select entity_kind, entity_id, play_id from marts.fct_first_plays where user_id = %s"
        " and entity_kind in ('track', 'recording') and first_local_date = '2024-02-01' order by 1, 2"
    )
    (_, recording, play), *tracks = marts.read(query, ann)
    assert [track for _, track, _ in tracks] == [song, again]
    assert (recording, play) == (song, min(play for *_, play in tracks))


@pytest.mark.long
def test_without_the_sessions_of_songs_that_changed_the_marts_are_others_than_rebuilt_broken(
    marts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, _, (_, again, _) = heard_in_a_row(marts)
    marts.refreshed()

    def forgetful(name: str) -> str:
        text = load_sql(name)
        return text.replace("order by 1, 2, 3", "limit 0") if name.endswith("/touch_periods") else text

    monkeypatch.setattr(recordings, "load_sql", forgetful)
    decide(marts, ann, "apart", again)
    marts.refreshed()
    assert "marts.fct_sessions" in {mart.mart for mart in marts.verify().differing}


def test_the_application_sees_and_writes_the_decisions_of_one_user_alone(marts: Any) -> None:
    ann, bob = marts.add_user("ann"), marts.add_user("bob")
    song = marts.add_content("Song", "Singer", uri="spotify:track:1")
    decide(marts, bob, "apart", song)
    with marts.warehouse.connect(Role.APP) as connection:
        connection.execute("select set_config('app.user_id', %s, true)", (str(ann),))
        assert connection.execute("select * from app.recording_decisions").fetchall() == []
        assert connection.execute("delete from app.recording_decisions").rowcount == 0
        with pytest.raises(Exception, match="row-level security"):
            connection.execute(
                "insert into app.recording_decisions (user_id, decision, content_id) values (%s, 'apart', %s)",
                (bob, song),
            )


TITLES = (
    "Song of Songs",
    "Song of Songss",
    "Song of Songs (Live)",
    "Songs of Song",
    "Other",
    "Other - Remastered 2001",
)
LENGTHS = (None, 100_000, 103_000, 106_000, 109_000, 140_000)


class Catalogue:
    """What may happen to a small catalogue in which nearly everything may be one recording with something."""

    def __init__(self, marts: Any, seed: int) -> None:
        self.marts, self.random = marts, random.Random(seed)
        self.users = [marts.add_user(f"user-{n}") for n in range(2)]
        self.contents: list[int] = []
        self.facts: dict[int, tuple[Any, ...]] = {}
        for _ in range(8):
            self.come()

    def come(self) -> None:
        number, pick = len(self.contents), self.random.choice
        uri = f"spotify:track:{number}" if self.random.random() < 0.7 else None
        title, creator, album = pick(TITLES), pick(("Singer", "The Singer", "Crooner")), f"Album {number}"
        duration = pick(LENGTHS)
        content = self.marts.add_content(title, creator, uri=uri, album=album, duration_ms=duration)
        self.contents.append(content)
        self.marts.add_play(pick(self.users), f"2024-0{pick('1234')}-05 1{pick('0123')}:{number % 60:02}Z", content)

    def rename(self) -> None:
        self.marts.sql(
            "update raw.contents set title = %s, duration_ms = %s, isrc = %s where content_id = %s",
            self.random.choice(TITLES), self.random.choice(LENGTHS), self.random.choice((None, "DE1", "DE2")),
            self.random.choice(self.contents),
        )  # fmt: skip

    def find(self) -> None:
        self.marts.sql(
            "insert into raw.found_recordings values (%s, md5(%s)::uuid, 'isrc', now())"
            " on conflict (content_id) do update set recording_mbid = excluded.recording_mbid",
            self.random.choice(self.contents), self.random.choice("ab"),
        )  # fmt: skip

    def alias(self) -> None:
        content, canonical = self.random.sample(self.contents, 2)
        self.marts.sql("delete from raw.content_aliases where content_id in (%s, %s)", content, canonical)
        is_used = self.marts.sql("select 1 from raw.content_aliases where canonical_id = %s", content)
        if not is_used and self.random.random() < 0.6:
            self.marts.sql("insert into raw.content_aliases values (%s, %s, 'relinked')", content, canonical)

    def decide(self) -> None:
        pick = self.random.choice
        one, other = self.random.sample(self.contents, 2)
        if self.random.random() < 0.5:
            decide(self.marts, pick(self.users), "apart", one)
        else:
            decide(self.marts, pick(self.users), "same", one, other)

    def take_back(self) -> None:
        self.marts.sql(
            "delete from app.recording_decisions where decision_id ="
            " (select decision_id from app.recording_decisions order by random() limit 1)"
        )

    def unplay(self) -> None:
        self.marts.sql("delete from raw.listening_events where content_id = %s", self.random.choice(self.contents))

    def steps(self) -> list[Callable[[], None]]:
        return [self.come, self.come, self.come, self.rename, self.rename, self.find, self.alias, self.decide,
                self.decide, self.take_back, self.unplay]  # fmt: skip


def stored(connection: Any) -> list[tuple[Any, ...]]:
    queries = (
        "select content_id, recording_id, confidence, reason from ops.content_recordings",
        "select block, content_id from ops.content_blocks",
    )
    return [row for query in queries for row in connection.execute(query).fetchall()]


def differs_from_whole(marts: Any) -> list[Any]:
    """What a resolution of everything would change; it is rolled back."""
    with marts.warehouse.connect(Role.DBT) as connection:
        before = stored(connection)
        run_id = connection.execute("select max(run_id) from ops.mart_runs").fetchone()[0]
        resolve_recordings(connection, run_id=run_id, whole=True)
        found = set(before) ^ set(stored(connection))
        connection.rollback()
    return sorted(found)


def live(marts: Any, seed: int, *, refreshes: int) -> Catalogue:
    catalogue = Catalogue(marts, seed)
    for _ in range(refreshes):
        for _ in range(catalogue.random.randint(1, 5)):
            catalogue.random.choice(catalogue.steps())()
        if catalogue.random.random() < 0.4:
            # A run that comes no further than this; the next one inherits what it touched.
            part = catalogue.random.choice(("dim_tracks", "bridge_user_recordings", "agg_period_tracks_stored"))
            assert marts.refresh(select=part).status in ("partial", "nothing")
        marts.refreshed()
        assert differs_from_whole(marts) == []
    return catalogue


@pytest.mark.property
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_recordings_follow_from_what_is_there_and_not_from_how_it_came(marts: Any, seed: int) -> None:
    live(marts, seed, refreshes=5)
    found = marts.verify()
    assert found.is_good, [mart for mart in found.marts if not mart.is_equal]


def test_without_a_look_at_what_was_one_recording_before_the_law_fails_broken(
    marts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = marts.add_content("Melody of Rain", "Singer", uri="spotify:track:1", duration_ms=200_000)
    marts.add_content("Melody of Rain", "Singer", uri="spotify:track:2", duration_ms=200_000)
    marts.refreshed()
    assert differs_from_whole(marts) == []

    def forgetful(name: str) -> str:
        return f"{load_sql(name)} and false" if name.endswith("/mates") else load_sql(name)

    monkeypatch.setattr(recordings, "load_sql", forgetful)
    marts.sql("update raw.contents set title = 'Something else' where content_id = %s", first)
    marts.refreshed()
    assert differs_from_whole(marts) != []
