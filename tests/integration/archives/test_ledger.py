"""The change ledger is written by triggers, whoever writes; and nobody gets past them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest

from myi_pipeline.postgres.connections import Role
from tests.integration.archives.setups import Setup

LEDGER = "select user_id, utc_day::text from ops.changed_days order by change_id"
COLUMNS = "(user_id, played_at, content_id, ms_played, source_id, batch_id)"
MONTH = "select ops.ensure_event_partitions('2020-01-01', '2020-03-01')"
REFUSALS = (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)
PARTITION = "raw.listening_events_2020m02"


@pytest.fixture
def setup(shared_setup: Setup) -> Iterator[Setup]:
    """With partitions for three months and an empty ledger."""
    shared_setup.sql(MONTH)
    shared_setup.close_ledger()
    return shared_setup


def insert(setup: Setup, *times: str, user: int = 1, role: Role = Role.INGEST) -> None:
    values = ", ".join(f"({user}, '{time}', null, 1, 1, 1)" for time in times)
    setup.sql(f"insert into raw.listening_events {COLUMNS} values {values} on conflict do nothing", role=role)


def heard(setup: Setup) -> list[tuple[int, str]]:
    days = setup.sql(LEDGER)
    setup.sql("delete from ops.changed_days")
    return days


@pytest.mark.parametrize("role", [Role.INGEST, Role.OWNER])
def test_an_insert_marks_each_of_its_days_once(setup: Setup, role: Role) -> None:
    insert(setup, "2020-02-01 10:00Z", "2020-02-01 11:00Z", "2020-03-01 10:00Z", role=role)
    assert sorted(heard(setup)) == [(1, "2020-02-01"), (1, "2020-03-01")]


def test_an_insert_on_conflict_marks_what_was_really_inserted(setup: Setup) -> None:
    insert(setup, "2020-02-01 10:00Z")
    heard(setup)
    insert(setup, "2020-02-01 10:00Z", "2020-02-02 10:00Z")
    assert heard(setup) == [(1, "2020-02-02")]
    insert(setup, "2020-02-01 10:00Z", "2020-02-02 10:00Z")
    assert heard(setup) == []


def test_a_copy_marks_its_days(setup: Setup) -> None:
    rows = [(1, "2020-02-01 10:00Z", ms) for ms in (1, 2)] + [(1, "2020-02-02 10:00Z", 1), (2, "2020-03-01 10:00Z", 1)]
    copy_rows = f"copy raw.listening_events {COLUMNS} from stdin".encode()
    with setup.warehouse.connect(Role.INGEST) as connection, connection.cursor().copy(copy_rows) as copy:
        for user, time, ms_played in rows:
            copy.write_row((user, time, None, ms_played, 1, 1))
    assert sorted(heard(setup)) == [(1, "2020-02-01"), (1, "2020-02-02"), (2, "2020-03-01")]


@pytest.mark.parametrize("new_time", ["2020-02-02 10:00Z", "2020-03-02 10:00Z"], ids=["in a partition", "to another"])
def test_an_update_marks_the_old_day_and_the_new_one(setup: Setup, new_time: str) -> None:
    insert(setup, "2020-02-01 10:00Z")
    heard(setup)
    setup.sql("update raw.listening_events set played_at = %s", new_time)
    assert sorted(heard(setup)) == [(1, "2020-02-01"), (1, new_time[:10])]


def test_a_delete_marks_its_days(setup: Setup) -> None:
    insert(setup, "2020-02-01 10:00Z", "2020-02-03 10:00Z")
    heard(setup)
    setup.sql("delete from raw.listening_events where played_at < '2020-02-02'", role=Role.INGEST)
    assert heard(setup) == [(1, "2020-02-01")]


def test_days_are_days_of_utc_whatever_the_session_thinks(setup: Setup) -> None:
    with setup.warehouse.connect(Role.INGEST) as connection:
        connection.execute("set time zone 'Pacific/Auckland'")
        connection.execute(
            f"insert into raw.listening_events {COLUMNS} values (1, '2020-02-01 23:59:59Z', null, 1, 1, 1)".encode()
        )
    assert heard(setup) == [(1, "2020-02-01")]


def test_the_marks_live_and_die_with_the_transaction_that_makes_them(setup: Setup) -> None:
    with setup.warehouse.connect(Role.INGEST) as connection:
        query = f"insert into raw.listening_events {COLUMNS} values (1, '2020-02-01 10:00Z', null, 1, 1, 1)".encode()
        connection.execute(query)
        connection.rollback()
        assert setup.sql(LEDGER) == []
        connection.execute(query)
        assert setup.sql(LEDGER) == []
        connection.commit()
    one = "select e.xmin::text = d.xmin::text from raw.listening_events as e, ops.changed_days as d"
    assert setup.sql(one) == [(True,)]


def test_a_user_who_goes_takes_the_plays_along_and_the_ledger_hears_of_it(setup: Setup) -> None:
    user = setup.add_user("bob")
    insert(setup, "2020-02-01 10:00Z", user=user)
    insert(setup, "2020-02-05 10:00Z", user=user + 1)
    setup.close_ledger()
    setup.sql("delete from app.users where user_id = %s", user, role=Role.INGEST)
    assert heard(setup) == [(user, "2020-02-01")]
    assert setup.sql("select user_id, scope from ops.changed_users") == [(user, "everything")]
    assert setup.sql("select user_id from raw.listening_events") == [(user + 1,)]


def test_nobody_truncates(setup: Setup) -> None:
    insert(setup, "2020-02-01 10:00Z")
    for table in ("raw.listening_events", PARTITION, f"only {PARTITION}"):
        with pytest.raises(psycopg.errors.FeatureNotSupported, match="cannot be truncated"):
            setup.sql(f"truncate {table}")
    assert setup.one("select count(*) from raw.listening_events") == 1


def test_a_month_that_is_dropped_is_marked_day_by_day(setup: Setup) -> None:
    insert(setup, "2020-02-01 10:00Z", "2020-02-01 11:00Z", "2020-02-09 10:00Z", "2020-03-01 10:00Z")
    insert(setup, "2020-02-09 10:00Z", user=2)
    heard(setup)
    assert setup.one("select ops.drop_event_partition('2020-02-15')") == 3
    assert sorted(heard(setup)) == [(1, "2020-02-01"), (1, "2020-02-09"), (2, "2020-02-09")]
    assert setup.sql("select to_regclass(%s)", PARTITION) == [(None,)]
    assert setup.one("select count(*) from raw.listening_events") == 1
    assert setup.one("select ops.drop_event_partition('2020-02-01')") == 0


def test_only_the_owner_may_drop_a_month(setup: Setup) -> None:
    for role in set(Role) - {Role.OWNER}:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            setup.sql("select ops.drop_event_partition('2020-02-01')", role=role)
        with pytest.raises(REFUSALS):
            setup.sql(f"alter table raw.listening_events detach partition {PARTITION}", role=role)


def test_nobody_has_a_right_on_a_partition(setup: Setup) -> None:
    """A right on a partition is a way past the triggers of the parent."""
    insert(setup, "2020-02-01 10:00Z")
    for role in set(Role) - {Role.OWNER}:
        for query in (
            f"insert into {PARTITION} {COLUMNS} values (1, '2020-02-01 12:00Z', null, 1, 1, 1)",
            f"copy {PARTITION} from stdin",
            f"delete from {PARTITION}",
            f"select from {PARTITION}",
        ):
            with pytest.raises(REFUSALS):
                setup.sql(query, role=role)
    granted = setup.sql(
        "select r.rolname, c.relname from pg_class as c cross join pg_roles as r"
        " where c.relispartition and c.relkind = 'r' and r.oid <> c.relowner and not r.rolsuper"
        " and not pg_has_role(r.oid, c.relowner, 'usage') and r.rolname not like 'pg\\_%%'"
        " and has_table_privilege(r.oid, c.oid, 'select, insert, update, delete, truncate, references, trigger')"
    )
    assert granted == []


@pytest.mark.parametrize(
    "change, scopes",
    [
        ("update app.users set time_zone = 'Asia/Tokyo'", {"everything", "profile"}),
        ("update app.users set display_name = 'Ana'", {"profile"}),
        ("update app.users set time_zone = time_zone", {"profile"}),
    ],
)
def test_changes_of_a_user_are_marked_by_what_they_move(setup: Setup, change: str, scopes: set[str]) -> None:
    setup.sql(change)
    assert {scope for (scope,) in setup.sql("select scope from ops.changed_users")} == scopes


def add_content(setup: Setup, number: int) -> int:
    return int(
        setup.one(
            "with a as (insert into raw.artists (artist_key, name) values (md5(%s)::uuid, 'Band') returning artist_id),"
            " b as (insert into raw.albums (album_key, name, artist_id)"
            " select md5(%s)::uuid, 'Album', artist_id from a returning album_id, artist_id)"
            " insert into raw.contents (content_key, kind_id, title, match_title, match_key, names_played_at,"
            " names_batch_id, artist_id, album_id)"
            " select md5(%s)::uuid, 1, 'Song', 'song', md5('x')::uuid, '2020-01-01Z', 1, artist_id, album_id from b"
            " returning content_id",
            *[str(number)] * 3,
        )
    )


def test_changes_of_contents_their_artists_albums_and_aliases_are_marked(setup: Setup) -> None:
    one, two = add_content(setup, 1), add_content(setup, 2)

    def contents() -> list[int]:
        rows = setup.sql("delete from ops.changed_contents returning content_id")
        return sorted({number for (number,) in rows})

    assert contents() == [one, two]
    of_one = "where content_id = %s"
    setup.sql(f"update raw.contents set title = title, names_batch_id = 9 {of_one}", one)
    assert contents() == []
    for change in ("title = 'Other'", "duration_ms = 5", "isrc = 'X'", "uri = 'spotify:track:1'", "album_id = null"):
        setup.sql(f"update raw.contents set {change} {of_one}", one)
        assert contents() == [one], change
    setup.sql("update raw.artists set name = 'Renamed' where artist_key = md5('2')::uuid")
    assert contents() == [two]
    setup.sql("update raw.albums set name = 'Renamed' where album_key = md5('2')::uuid")
    assert contents() == [two]
    setup.sql("insert into raw.content_aliases values (%s, %s, 'relinked')", one, two)
    assert contents() == [one, two]
    setup.sql("delete from raw.content_aliases")
    assert contents() == [one, two]


@pytest.mark.parametrize(
    "first, last",
    [
        ("2020-03-01", "2020-01-31"),
        ("2002-09-30", "2002-11-01"),
        ("2020-01-01", "in 3 years"),
        ("in 3 years", "in 3 years"),
    ],
)
def test_months_that_no_play_may_lie_in_are_refused(setup: Setup, first: str, last: str) -> None:
    far = (date.today() + timedelta(days=1100)).isoformat()  # noqa: DTZ011 - three years need no zone
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        setup.sql(
            "select ops.ensure_event_partitions(%s, %s)",
            first.replace("in 3 years", far),
            last.replace("in 3 years", far),
            role=Role.INGEST,
        )


def test_missing_months_are_made_once_whatever_the_sessions_zone(setup: Setup) -> None:
    def ensure(first: str, last: str) -> Any:
        with setup.warehouse.connect(Role.INGEST) as connection:
            connection.execute("set time zone 'America/Los_Angeles'")
            return connection.execute("select ops.ensure_event_partitions(%s, %s)", (first, last)).fetchone()

    assert ensure("2019-12-31", "2020-05-01") == (3,)
    assert ensure("2019-12-01", "2020-05-31") == (0,)
    bounds = setup.one("select pg_get_expr(relpartbound, oid) from pg_class where relname = 'listening_events_2020m05'")
    assert bounds == "FOR VALUES FROM ('2020-05-01 00:00:00+00') TO ('2020-06-01 00:00:00+00')"
    insert(setup, "2020-04-30 23:59:59.999Z", "2020-05-01 00:00Z")
    places = setup.sql("select tableoid::regclass::text from raw.listening_events order by played_at")
    assert places == [("raw.listening_events_2020m04",), ("raw.listening_events_2020m05",)]


def test_a_play_outside_of_all_months_is_refused_rather_than_lost(setup: Setup) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        insert(setup, "2021-02-01 10:00Z")
