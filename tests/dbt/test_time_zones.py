"""A time zone that the server does not know, as after a move to another one: it costs that one user's refresh alone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

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
    assert marts.verify().is_good

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
