"""A time zone that the server does not know, as after a move to another one: it costs that one user's refresh alone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.marts.refresh import rebuild_part
from myi_pipeline.operations import checks
from myi_pipeline.people import manage_users
from myi_pipeline.people.time_zones import database_name_of
from myi_pipeline.postgres.connections import Role

UNKNOWN = "Asia/Atlantis"
HOURS = "select u.user_key, h.local_date::text, h.local_hour, h.plays from marts.agg_hour_user as h"
HOURS += " inner join app.users as u on u.user_id = h.user_id order by 1, 2, 3"


def move_to_a_server_that_lacks(marts: Any, zone: str, *, user: int) -> None:
    """What a restored dump holds: triggers come after the rows."""
    marts.sql("alter table app.users disable trigger check_time_zone")
    try:
        marts.sql("update app.users set time_zone = %s where user_id = %s", zone, user)
    finally:
        marts.sql("alter table app.users enable trigger check_time_zone")


@pytest.mark.slow
def test_a_zone_that_the_server_does_not_know_stops_only_its_users_marts(marts: Any) -> None:
    ada, bob = marts.add_user("ada"), marts.add_user("bob")
    song = marts.add_content("Song")
    marts.add_play(ada, "2024-03-01 10:00:00Z", song)
    marts.add_play(bob, "2024-03-01 10:00:00Z", song)
    marts.refreshed()
    move_to_a_server_that_lacks(marts, UNKNOWN, user=bob)
    marts.add_play(ada, "2024-03-02 10:00:00Z", song)
    marts.add_play(bob, "2024-03-02 10:00:00Z", song)

    result = marts.refresh()
    assert result.status == "completed", result.error
    assert not result.is_good
    (said,) = result.held_back
    assert "bob" in said
    assert UNKNOWN in said
    assert "myi user set bob --time-zone" in said
    stands = [("ada", "2024-03-01", 10, 1), ("ada", "2024-03-02", 10, 1), ("bob", "2024-03-01", 10, 1)]
    assert marts.sql(HOURS) == stands

    again = marts.refresh()
    assert (again.status, again.held_back) == ("nothing", result.held_back)
    assert checks.ledger_is_young(marts.warehouse).figures["changes"] == 0
    part = rebuild_part(marts.warehouse, dbt=marts.dbt, environment=marts.environment, models=["agg_day_user"])
    assert (part.status, part.held_back) == ("partial", result.held_back)

    # What changes of a content that both played reaches the one now and the other later.
    marts.sql("update raw.contents set duration_ms = 1000000 where content_id = %s", song)
    assert marts.refresh().status == "completed"
    marts.sql("update ops.mart_state set fingerprint = null")
    rebuilt = marts.refresh()
    assert (rebuilt.status, rebuilt.is_rebuild) == ("completed", True)
    assert marts.sql(HOURS) == stands[:2]

    with closing(marts.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        named = manage_users.set_user(connection, user_key="bob", display_name="Bob")
        assert (named.display_name, named.time_zone) == ("Bob", UNKNOWN)
        manage_users.set_user(connection, user_key="bob", time_zone="Asia/Kolkata")
    fixed = marts.refreshed()
    assert fixed.held_back == ()
    assert marts.sql(HOURS)[2:] == [("bob", "2024-03-01", 15, 1), ("bob", "2024-03-02", 15, 1)]
    assert marts.verify().is_good


def test_setting_a_zone_that_the_server_lacks_is_refused_with_another_name_of_its_clock(
    marts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    marts.add_user("ada")
    with closing(marts.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        assert database_name_of(connection, "Asia/Calcutta") == "Asia/Kolkata"
        assert database_name_of(connection, "Europe/Kiev") == "Europe/Kyiv"
        # Python takes it from here on, as a Python with newer zones would.
        monkeypatch.setattr(manage_users, "check_time_zone", lambda zone: zone)
        with pytest.raises(BadInput, match="the database knows no time zone 'Asia/Atlantis'"):
            manage_users.set_user(connection, user_key="ada", time_zone=UNKNOWN)
        with pytest.raises(BadInput, match="Asia/Atlantis"):
            manage_users.add_user(connection, user_key="eve", time_zone=UNKNOWN)
        assert manage_users.get_user(connection, user_key="ada").time_zone == "UTC"


def move(marts: Any, user: int, since: str, zone: str) -> None:
    marts.sql("insert into app.user_time_zones (user_id, valid_from, time_zone) values (%s, %s, %s)", user, since, zone)


def days_of(marts: Any, user: int) -> list[tuple[Any, ...]]:
    return list(marts.sql("select local_date::text, plays from marts.agg_day_user where user_id = %s order by 1", user))


@pytest.mark.slow
def test_whoever_moved_has_each_day_in_the_zone_of_that_day(marts: Any) -> None:
    """Only the days from the move on are counted anew, and undone they are as they were."""
    ada = marts.add_user("ada", "Europe/Berlin")
    song = marts.add_content("Song")
    for day in (1, 10, 20):
        marts.add_play(ada, f"2024-05-{day:02} 20:30:00Z", song)
    marts.refreshed()
    before = days_of(marts, ada)
    assert before == [("2024-05-01", 1), ("2024-05-10", 1), ("2024-05-20", 1)]
    # From the midnight of Tokyo with which the tenth of May begins there.
    move(marts, ada, "2024-05-09 15:00:00Z", "Asia/Tokyo")
    assert marts.sql("select time_zone from app.users") == [("Asia/Tokyo",)]
    result = marts.refreshed()
    assert (result.changed_days, result.is_rebuild) == (2, False)
    assert days_of(marts, ada) == [("2024-05-01", 1), ("2024-05-11", 1), ("2024-05-21", 1)]
    assert marts.sql("select local_hour from marts.fct_plays order by played_at") == [(22,), (5,), (5,)]
    assert marts.sql("select time_zone from marts.dim_users") == [("Asia/Tokyo",)]

    # A journey in between; then back to where it all began.
    move(marts, ada, "2024-05-15 00:00:00Z", "UTC")
    assert marts.refreshed().changed_days == 1
    assert days_of(marts, ada)[-1] == ("2024-05-20", 1)
    marts.sql("delete from app.user_time_zones where valid_from > '-infinity'")
    marts.refreshed()
    assert days_of(marts, ada) == before
    assert marts.sql("select time_zone from app.users") == [("Europe/Berlin",)]


def test_a_day_that_comes_twice_is_one_day_and_one_that_is_left_out_ends_a_streak(marts: Any) -> None:
    """Over the date line to the east in the afternoon, and back to the west a week later."""
    ada = marts.add_user("ada", "Asia/Tokyo")
    song = marts.add_content("Song")
    move(marts, ada, "2024-05-10 06:00:00Z", "Pacific/Honolulu")
    move(marts, ada, "2024-05-13 10:00:00Z", "Pacific/Kiritimati")
    marts.add_play(ada, "2024-05-09 05:00:00Z", song)
    # The tenth in Tokyo, the ninth again in Honolulu, and the tenth again.
    for moment in ("2024-05-10 05:00:00Z", "2024-05-10 06:30:00Z", "2024-05-10 12:00:00Z", "2024-05-11 12:00:00Z"):
        marts.add_play(ada, moment, song)
    marts.add_play(ada, "2024-05-12 20:00:00Z", song)
    # After the twelfth in Honolulu comes the fourteenth on Kiritimati.
    marts.add_play(ada, "2024-05-13 10:30:00Z", song)
    marts.refreshed()
    assert days_of(marts, ada) == [
        ("2024-05-09", 2), ("2024-05-10", 2), ("2024-05-11", 1), ("2024-05-12", 1), ("2024-05-14", 1),
    ]  # fmt: skip
    assert marts.sql("select streak_start::text, days from marts.agg_streaks order by 1") == [
        ("2024-05-09", 4), ("2024-05-14", 1),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_play_that_a_correction_moves_behind_a_journey_is_counted_there(marts: Any) -> None:
    ada = marts.add_user("ada", "UTC")
    song = marts.add_content("Song")
    marts.add_play(ada, "2024-05-01 20:00:00Z", song)
    ten_days = "insert into app.corrections (user_id, action, source_id, shift_s) values (%s, 'correct', 1, 864000)"
    marts.sql(ten_days, ada)
    marts.refreshed()
    move(marts, ada, "2024-05-10 00:00:00Z", "Asia/Tokyo")
    marts.refreshed()
    assert days_of(marts, ada) == [("2024-05-12", 1)]
    assert marts.verify().is_good


def test_an_older_version_that_knows_one_zone_moves_the_present_one(marts: Any) -> None:
    ada = marts.add_user("ada", "Europe/Berlin")
    move(marts, ada, "2024-05-10 00:00:00Z", "Asia/Tokyo")
    marts.sql("update app.users set time_zone = 'UTC' where user_id = %s", ada)
    zones = "select time_zone from app.user_time_zones where user_id = %s order by valid_from"
    assert marts.sql(zones, ada) == [("Europe/Berlin",), ("UTC",)]
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        move(marts, ada, "2024-05-11 00:00:00Z", UNKNOWN)
