"""The daily chores do what they say, and every check of the setup can fail."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from psycopg.types.json import Jsonb

from myi_pipeline.operations import checks
from myi_pipeline.operations.maintenance import MONTHS_AHEAD, maintain, months_ahead
from tests.integration.uploads.conftest import Uploads


def test_months_ahead_cross_the_year() -> None:
    assert months_ahead(date(2026, 11, 30)) == [
        date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1),
    ]  # fmt: skip


def test_chores_make_partitions_end_dead_imports_and_clear_old_quarantine(uploads: Uploads) -> None:
    uploads.put("ana/one.zip", rows=4)
    uploads.put("ana/two.zip", rows=5)
    one, two = uploads.run("ana").results
    for import_id in (one.import_id, two.import_id):
        uploads.sql(
            "insert into ops.quarantine (user_id, import_id, file_no, file_name, row_index, reason, detail)"
            " select user_id, import_id, 0, 'f', 1, 'r', 'd' from app.imports where import_id = %s",
            import_id,
        )
    uploads.sql("update app.imports set finished_at = now() - interval '31 days' where import_id = %s", one.import_id)
    uploads.sql(
        "update app.imports set status = 'running', heartbeat_at = now() - interval '2 hours' where import_id = %s",
        two.import_id,
    )
    assert not checks.partitions_exist_ahead(uploads.warehouse, months=MONTHS_AHEAD).passed

    done = maintain(uploads.warehouse, today=datetime.now(UTC).date(), quarantine_days=30)

    assert done.partitions_made == MONTHS_AHEAD + 1
    assert done.imports_abandoned == (f"two.zip (import {two.import_id})",)
    assert done.quarantined_rows_removed == 1
    assert uploads.sql("select import_id from ops.quarantine") == [(two.import_id,)]
    assert checks.partitions_exist_ahead(uploads.warehouse, months=MONTHS_AHEAD).passed
    assert maintain(uploads.warehouse, today=datetime.now(UTC).date(), quarantine_days=30).partitions_made == 0


def test_one_bad_row_and_one_chore_that_fails_stop_nothing_else(uploads: Uploads) -> None:
    uploads.put("ana/one.zip", rows=4)
    uploads.run("ana")
    uploads.sql("update app.import_files set kind = 'of another program'")
    uploads.sql(
        "insert into ops.quarantine"
        " (user_id, import_id, file_no, file_name, row_index, reason, detail, row_content, due_at, whole_row)"
        " select user_id, import_id, 0, 'f', 1, 'in_the_future', 'd', '{}', now() - interval '9 days', '{}'"
        " from app.imports"
    )
    good = {"track": {"name": "Song", "uri": "spotify:track:0000000000000000000001", "artists": [{"name": "Band"}]}}
    for user_key, item in (
        ("ana", {"track": 1}),
        ("ana", "none"),
        ("ben", good | {"played_at": "2024-02-01T12:00:00Z"}),
    ):
        uploads.sql(
            "insert into ops.postponed_plays (user_id, due_at, uri, poll_id, item)"
            " select user_id, '2024-02-01T12:00:00Z', %s, 0, %s from app.users where user_key = %s",
            str(item)[:9], Jsonb(item), user_key,
        )  # fmt: skip
    uploads.sql("alter function app.prune_audit rename to prune_audit_no_more")

    done = maintain(uploads.warehouse, today=datetime.now(UTC).date(), quarantine_days=30)

    assert done.failures == ("audit log: UndefinedFunction",)
    assert done.partitions_made > 0
    assert done.due_rows_brought_in == 1
    assert uploads.sql("select reason, due_at from ops.quarantine") == [("bad_type", None)]
    assert uploads.sql("select count(*) from ops.postponed_plays") == [(0,)]
    assert uploads.sql(
        "select user_key from raw.listening_events join app.users using (user_id) where source_id = 3"
    ) == [("ben",)]


def test_the_accounting_check_sees_an_import_that_does_not_add_up(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.run("ana")
    good = checks.accounting_closes(uploads.warehouse)
    assert (good.passed, good.text) == (True, "the rows of 1 import add up")

    uploads.sql("update app.import_files set rows_read = rows_read - 1, rows_loaded = rows_loaded - 1")
    bad = checks.accounting_closes(uploads.warehouse)
    assert (bad.passed, bad.text) == (False, "rows do not add up in 1 import")


def test_the_month_check_sees_a_partition_with_other_bounds_and_an_event_beside_its_month(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.run("ana")
    good = checks.events_lie_in_their_month(uploads.warehouse)
    assert good.passed
    assert good.figures["events_sampled"] == 20

    # A partition that is called after one month and holds another.
    (name,) = uploads.sql(
        "select relname from pg_class where oid = (select tableoid from raw.listening_events limit 1)"
    )[0]
    uploads.sql(f"alter table raw.{name} rename to listening_events_2031m01")
    bad = checks.events_lie_in_their_month(uploads.warehouse)
    assert not bad.passed
    assert bad.figures["partitions_without_bounds"] == 1
    assert bad.figures["events_outside"] > 0


def test_the_ledger_check_sees_a_change_that_waits_too_long(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.run("ana")
    assert checks.ledger_is_young(uploads.warehouse).passed

    uploads.sql("update ops.changed_days set changed_at = now() - interval '4 hours'")

    late = checks.ledger_is_young(uploads.warehouse)
    assert not late.passed
    assert late.figures["oldest_hours"] >= 4
    assert checks.ledger_is_young(uploads.warehouse, oldest=timedelta(hours=5)).passed


def test_checks_of_plays_pass_while_there_are_no_marts(uploads: Uploads) -> None:
    assert checks.events_belong_to_one_play(uploads.warehouse).passed
    assert checks.plays_have_one_event_a_source(uploads.warehouse).passed
