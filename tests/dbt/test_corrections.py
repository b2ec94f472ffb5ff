"""What people hide, delete and correct of their plays, in the marts: at once, on plays that come later, and undone."""

from __future__ import annotations

from typing import Any

import pytest

from myi_pipeline.catalogue.plays import ContentKind
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.reads.sql_files import load_sql
from tests.dbt.polled import Person, at

PLAYS = "select played_at, content_id from marts.fct_plays where user_id = %s order by 1, 2"
HIDDEN = "select played_at, content_id from marts.fct_hidden_plays where user_id = %s order by 1, 2"


def correct(marts: Any, user: int, action: str, **columns: object) -> int:
    values = {"user_id": user, "action": action, **columns}
    query = f"insert into app.corrections ({', '.join(values)}) values ({', '.join(['%s'] * len(values))})"
    return int(marts.sql(f"{query} returning correction_id", *values.values())[0][0])


def undo(marts: Any, correction: int) -> None:
    marts.sql("update app.corrections set undone_at = now() where correction_id = %s", correction)


def every_row(marts: Any) -> dict[str, list[str]]:
    """All rows of all marts, but for the number of the run that built them."""
    tables = marts.sql("select tablename from pg_tables where schemaname = 'marts' and tablename <> 'user_versions'")
    return {name: sorted(row for (row,) in marts.sql(f"select t::text from marts.{name} as t")) for (name,) in tables}


def contents(marts: Any) -> dict[str, int]:
    song = marts.add_content("Song", "Singer", album="Album")
    noise = marts.add_content("White Noise", "Sleep Sounds", album="Sleep")
    episode = marts.add_content("Episode", None, album="Show", kind=ContentKind.EPISODE)
    ((sleep,),) = marts.sql("select artist_id from raw.contents where content_id = %s", noise)
    return {"song": song, "noise": noise, "episode": episode, "sleep": sleep}


def listener(marts: Any, key: str, known: dict[str, int]) -> int:
    """Ten days with a song and an episode, and noise at night, in a zone in which the night is on two days."""
    user = int(marts.add_user(key, "Europe/Berlin"))
    for day in range(1, 11):
        marts.add_play(user, at(f"{day:02} 20:00:00"), known["song"])
        marts.add_play(user, at(f"{day:02} 23:30:00"), known["noise"], 7_200_000)
        marts.add_play(user, at(f"{day:02} 07:00:00"), known["episode"], source=4 if day < 4 else 1)
    return user


CORRECTIONS: dict[str, dict[str, Any]] = {
    "a span": {"action": "hide", "from_at": at("03 00:00:00"), "until_at": at("05 20:00:00")},
    "an artist": {"action": "delete", "artist_id": "sleep"},
    "an artist in a span": {"action": "hide", "artist_id": "sleep", "from_at": at("03 00:00:00")},
    "a source": {"action": "delete", "source_id": 4},
    "a kind before a day": {"action": "hide", "kind": "episode", "until_at": at("02 00:00:00")},
    "a clock that was slow": {"action": "correct", "source_id": 4, "shift_s": 40 * 3600},
    "a clock that was fast": {"action": "correct", "from_at": at("04 00:00:00"), "shift_s": -26 * 3600},
    "another song": {"action": "correct", "artist_id": "sleep", "to_content_id": "song"},
}


def columns_of(what: str, known: dict[str, int]) -> dict[str, Any]:
    return {
        name: known.get(value, value) if isinstance(value, str) and name.endswith("_id") else value
        for name, value in CORRECTIONS[what].items()
    }


def preview(marts: Any, user: int, what: str, known: dict[str, int]) -> int:
    """How many plays the page says that it reaches, asked as the API asks."""
    columns = columns_of(what, known)
    described = {name: columns[name] for name in ("from_at", "until_at", "artist_id", "kind") if name in columns}
    if "source_id" in columns:
        described["source"] = "lastfm_export"
    sql = load_sql("corrected_plays", given=tuple(described), is_by_content=True)
    with marts.warehouse.connect(Role.API) as connection:
        connection.execute("select set_config('app.user_id', %s, true)", (str(user),))
        return int(connection.execute(sql, {"user_id": user, **described}).fetchone()[0])


def made(marts: Any, user: int, what: str, known: dict[str, int]) -> int:
    return correct(marts, user, **columns_of(what, known))


@pytest.mark.slow
def test_corrections_reach_the_marts_and_undone_they_leave_no_trace(marts: Any) -> None:
    """Each in a history of its own, and on plays that arrive later too."""
    known = contents(marts)
    users = {what: listener(marts, f"user-{number}", known) for number, what in enumerate(CORRECTIONS)}
    other = listener(marts, "bob", known)
    marts.refreshed()
    before = every_row(marts)
    untouched = marts.sql(PLAYS, other)
    shown = {what: set(marts.sql(PLAYS, user)) for what, user in users.items()}
    previews = {what: preview(marts, user, what, known) for what, user in users.items()}
    corrections = [made(marts, user, what, known) for what, user in users.items()]
    marts.refreshed()
    between = every_row(marts)
    assert previews == {what: len(shown[what] - set(marts.sql(PLAYS, user))) for what, user in users.items()}
    days = "select local_date, plays, music_ms_played, distinct_tracks from marts.agg_day_user where user_id = %s"
    assert [what for what, user in users.items() if marts.sql(days, user) == marts.sql(days, other)] == []
    assert marts.sql(PLAYS, other) == untouched
    verified = marts.verify()
    assert verified.is_good, verified

    late = at("02 01:00:00"), at("04 21:00:00")
    for user in users.values():
        marts.add_play(user, late[0], known["noise"], source=4)
        marts.add_play(user, late[1], known["noise"])
    marts.refreshed()
    assert marts.verify().is_good
    marts.sql("delete from raw.listening_events where played_at in (%s, %s)", *late)
    marts.refreshed()
    assert every_row(marts) == between

    for correction in corrections:
        undo(marts, correction)
    marts.refreshed()
    assert every_row(marts) == before


def test_what_is_hidden_is_listed_and_what_is_deleted_is_nowhere(marts: Any) -> None:
    known = contents(marts)
    ada = listener(marts, "ada", known)
    correct(marts, ada, "hide", artist_id=known["sleep"])
    correct(marts, ada, "delete", kind="episode")
    marts.refreshed()
    assert {content for _, content in marts.sql(PLAYS, ada)} == {known["song"]}
    assert [content for _, content in marts.sql(HIDDEN, ada)] == [known["noise"]] * 10
    counts = "select sum(plays), sum(ms_played) from marts.agg_day_user where user_id = %s"
    assert marts.sql(counts, ada) == [(10, 10 * 180_000)]
    # Deleted goes before hidden, whichever came first.
    correct(marts, ada, "delete", artist_id=known["sleep"], until_at=at("03 00:00:00"))
    correct(marts, ada, "hide", kind="episode")
    marts.refreshed()
    assert [content for _, content in marts.sql(HIDDEN, ada)] == [known["noise"]] * 8


def test_of_two_clocks_the_last_holds_and_the_other_when_it_is_undone(marts: Any) -> None:
    ada = Person(marts)
    ada.archived("10 23:30:00")
    correct(marts, ada.user, "correct", source_id=1, shift_s=3600)
    last = correct(marts, ada.user, "correct", from_at=at("10 00:00:00"), shift_s=-3600)
    marts.refreshed()
    assert marts.sql(PLAYS, ada.user) == [(at("10 22:30:00"), ada.song)]
    undo(marts, last)
    marts.refreshed()
    assert marts.sql(PLAYS, ada.user) == [(at("11 00:30:00"), ada.song)]


def play_of(marts: Any, user: int) -> dict[str, Any]:
    """The one play that is shown, as a page names it."""
    ((event_id, event_at),) = marts.sql("select play_id, reported_at from marts.fct_plays where user_id = %s", user)
    return {"event_id": event_id, "event_at": event_at}


@pytest.mark.slow
def test_a_hidden_play_stays_hidden_when_a_better_source_reports_it_on_another_day(marts: Any) -> None:
    """The archive puts an offline play at its sync four days later, and stands for it under another number."""
    ada = Person(marts)
    ada.teach("end")
    ada.polled("05 10:03:00.5")
    marts.refreshed()
    ((event_id, event_at),) = marts.sql(
        "select play_id, played_at from marts.fct_plays where user_id = %s and content_id = %s", ada.user, ada.song
    )
    hide = correct(marts, ada.user, "hide", event_id=event_id, event_at=event_at)
    marts.refreshed()
    ada.archived("09 18:00:00", began="05 10:00:00", offline=True)
    marts.refreshed()
    song = "select played_at, play_id = %s, confirmed_by from marts.{} where user_id = %s and content_id = %s"
    assert marts.sql(song.format("fct_hidden_plays"), event_id, ada.user, ada.song) == [
        (at("09 18:00:00"), False, "spotify_api")
    ]
    assert marts.sql(song.format("fct_plays"), event_id, ada.user, ada.song) == []

    undo(marts, hide)
    marts.refreshed()
    assert len(marts.sql(song.format("fct_plays"), event_id, ada.user, ada.song)) == 1
    assert marts.verify().is_good


def test_a_correction_outlives_that_its_plays_go_and_come_again(marts: Any) -> None:
    ada = Person(marts)
    ada.archived("10 12:00:00")
    marts.refreshed()
    correct(marts, ada.user, "delete", **play_of(marts, ada.user))
    correct(marts, ada.user, "hide", from_at=at("11 00:00:00"))
    marts.sql("delete from raw.listening_events")
    marts.refreshed()
    ada.archived("10 12:00:00")
    ada.archived("11 12:00:00")
    marts.refreshed()
    assert marts.sql(PLAYS, ada.user) == []
    assert marts.sql(HIDDEN, ada.user) == [(at("11 12:00:00"), ada.song)]


@pytest.mark.slow
def test_a_play_that_was_deleted_for_its_artist_comes_back_when_the_song_turns_out_to_be_of_another(marts: Any) -> None:
    known = contents(marts)
    ada = listener(marts, "ada", known)
    correct(marts, ada, "delete", artist_id=known["sleep"])
    marts.refreshed()
    assert (at("01 23:30:00"), known["noise"]) not in marts.sql(PLAYS, ada)
    marts.sql("update raw.contents set artist_id = null where content_id = %s", known["noise"])
    marts.refreshed()
    assert (at("01 23:30:00"), known["noise"]) in marts.sql(PLAYS, ada)
    assert marts.verify().is_good


def test_whoever_leaves_takes_their_corrections_along(marts: Any) -> None:
    ada = Person(marts)
    ada.archived("10 12:00:00")
    correct(marts, ada.user, "hide", source_id=1)
    marts.refreshed()
    marts.sql("delete from app.users where user_id = %s", ada.user)
    marts.refreshed()
    assert marts.sql("select count(*) from app.corrections") == [(0,)]
    assert marts.sql("select count(*) from marts.fct_plays_stored") == [(0,)]


@pytest.mark.long
@pytest.mark.parametrize("what", CORRECTIONS)
def test_broken_a_correction_of_which_the_ledger_does_not_know_is_found_out(marts: Any, what: str) -> None:
    known = contents(marts)
    ada = listener(marts, "ada", known)
    marts.refreshed()
    made(marts, ada, what, known)
    marts.sql("delete from ops.changed_days")
    assert not marts.verify().is_good


@pytest.mark.slow
def test_what_is_deleted_for_good_is_in_no_mart_and_the_marts_are_what_a_rebuild_makes(marts: Any) -> None:
    known = contents(marts)
    user, other = listener(marts, "ana", known), listener(marts, "bob", known)
    marts.refreshed()
    untouched, noise = marts.sql(PLAYS, other), (known["noise"],)
    events = "select count(*) from raw.listening_events where user_id = %s and content_id = %s"
    assert marts.sql(events, user, *noise) == [(10,)]
    correct(marts, user, "delete", artist_id=known["sleep"], for_good_at=at("11 00:00:00"))
    correct(marts, user, "delete", source_id=4, from_at=at("02 00:00:00"), for_good_at=at("11 00:00:00"))
    marts.refreshed()
    assert marts.sql(events, user, *noise) == [(0,)]
    left = marts.sql(PLAYS, user)
    assert len(left) == 10 + 8
    assert marts.sql(PLAYS, other) == untouched
    verified = marts.verify()
    assert verified.is_good, verified

    # What comes later goes at once; the rest of what comes stays.
    marts.add_play(user, at("12 01:00:00"), known["noise"])
    marts.add_play(user, at("12 02:00:00"), known["song"])
    marts.refreshed()
    assert marts.sql(events, user, *noise) == [(0,)]
    assert len(marts.sql(PLAYS, user)) == len(left) + 1
    verified = marts.verify()
    assert verified.is_good, verified
