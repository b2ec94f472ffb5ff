"""The audit log: rows that nobody changes, each shown to whom it concerns, pruned at 400 days and not before."""

from __future__ import annotations

from datetime import date

import psycopg
import pytest

from myi_pipeline.operations.maintenance import maintain
from myi_pipeline.people import audit, manage_users
from myi_pipeline.people.audit import Event
from myi_pipeline.postgres.connections import Role, Warehouse


def test_what_was_recorded_is_never_changed_and_only_old_rows_are_pruned(warehouse: Warehouse) -> None:
    with warehouse.connect(Role.INGEST, autocommit=True) as commands:
        ana = manage_users.add_user(commands, user_key="ana", time_zone="UTC").user_id
    with warehouse.connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("insert into app.audit (event, at) values ('old', now() - interval '401 days')")
        owner.execute("insert into app.audit (event, at) values ('younger', now() - interval '399 days')")
    with warehouse.connect(Role.APP, autocommit=True) as app:
        audit.record(app, Event.SIGNED_IN, user_id=ana, address="203.0.113.7", detail={"device": "x" * 5_000 + "\0"})
        audit.record(app, Event.WRONG_CREDENTIAL, address="203.0.113.9")

    for role in (Role.APP, Role.INGEST):
        for forbidden in (
            "update app.audit set event = 'nothing'",
            "delete from app.audit",
            "truncate app.audit",
            # A row of another time could be pruned at once.
            "insert into app.audit (event, at) values ('forged', 'epoch')",
            "alter table app.audit disable row level security",
        ):
            with (
                warehouse.connect(role, autocommit=True) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(forbidden.encode())
    for role in (Role.DBT, Role.API, Role.MONITOR, Role.ANALYST):
        with (
            warehouse.connect(role, autocommit=True) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("select from app.audit")
    with warehouse.connect(Role.APP, autocommit=True) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        audit.prune(app)

    with warehouse.connect(Role.INGEST, autocommit=True) as commands:
        maintain(warehouse, today=date(2026, 1, 1), quarantine_days=90)
        found = [(row.event, row.user_key) for row in audit.list_audit(commands)]
    assert [each for each in found if each[0] not in ("younger", "user_added")] == [
        ("wrong_credential", None), ("signed_in", "ana"),
    ]  # fmt: skip
    assert ("younger", None) in found


def test_whoever_serves_people_sees_the_rows_of_one_person_whatever_a_query_forgets(warehouse: Warehouse) -> None:
    with warehouse.connect(Role.INGEST, autocommit=True) as commands:
        ana, ben = (manage_users.add_user(commands, user_key=key, time_zone="UTC").user_id for key in ("ana", "ben"))
        for user_id in (ana, ben, None):
            audit.record(commands, Event.SIGNED_IN, user_id=user_id)
    with warehouse.connect(Role.APP, autocommit=True) as app:
        assert app.execute("select 1 from app.audit").fetchall() == []
        assert {row.user_key for row in audit.list_audit(app, user_id=ana)} == {"ana"}
        assert audit.list_audit(app) == ()
        with app.transaction():
            app.execute("select set_config('app.user_id', %s, true)", (str(ben),))
            assert {row[0] for row in app.execute("select user_id from app.audit").fetchall()} == {ben}
