"""What an import says beside its counts: coverage, warnings, unknown keys, heartbeat; and that a dry run is dry."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from myi_pipeline.core.errors import BadInput, Permanent
from myi_pipeline.services import import_history
from myi_pipeline.services.import_results import ImportProgress
from myi_pipeline.services.maintain import maintain
from myi_pipeline.warehouse.connections import Role
from myi_pipeline.warehouse.loading import chunks
from tests.integration.imports.conftest import Archives, set_steps
from tests.integration.imports.house import (
    STAGING,
    House,
    account_row,
    row,
    write_account_rows,
    write_files,
    write_rows,
)

SPANS = """
select source_id, to_char(covered_from, 'HH24:MI:SS'), to_char(covered_to, 'HH24:MI:SS')
from raw.covered_spans order by 1, 2
"""
NAME = "MyData/Streaming_History_{}.json".format


def test_an_archive_vouches_for_the_time_from_its_first_play_to_its_last(shared_house: House, tmp_path: Path) -> None:
    files = {NAME("Audio_2020_0"): [row(5), row(60)], NAME("Video_2020"): [row(90)], NAME("Audio_2020_1"): [row(70)]}
    shared_house.bring(write_files(tmp_path / "a.zip", files))
    assert shared_house.sql(SPANS) == [(1, "00:00:05", "00:01:30")]
    shared_house.bring(write_account_rows(tmp_path / "b.zip", account_row(3), account_row(1)))
    assert shared_house.sql(SPANS) == [(1, "00:00:05", "00:01:30"), (2, "00:01:00", "00:03:00")]
    assert shared_house.sql("select distinct scope from ops.changed_users order by 1") == [("coverage",), ("profile",)]


def test_when_a_file_breaks_only_whole_audio_files_vouch_for_their_own_time(
    shared_house: House, tmp_path: Path, archive_path: Path
) -> None:
    files = {NAME("Audio_2020_0"): [row(5), row(60)], NAME("Video_2020"): [row(90)], NAME("Audio_2020_2"): [row(99)]}
    write_files(archive_path, files)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(archive_path) as archive:
        archive.extractall(folder)
    (folder / NAME("Audio_2020_1")).write_text('[{"ts": "2020-02-01T00:01', encoding="utf-8")
    result = shared_house.bring(folder)
    assert result.status == "completed_with_errors"
    assert shared_house.sql(SPANS) == [(1, "00:00:05", "00:01:00"), (1, "00:01:39", "00:01:39")]


def test_another_persons_archive_is_warned_about(shared_house: House, tmp_path: Path) -> None:
    def bring(name: str, *usernames: str) -> tuple[str, ...]:
        rows = [row(second, username=username) for second, username in enumerate(usernames)]
        return shared_house.bring(write_rows(tmp_path / name, *rows)).warnings

    assert bring("first.zip", "ana", "ana") == ()
    assert bring("again.zip", "ana") == ()
    (warning,) = bring("other.zip", "someone.else")
    assert "first.zip" in warning
    assert "again.zip" in warning
    assert "other.zip" not in warning
    assert len(bring("both.zip", "ana", "someone.else")) == 2
    # Another user's first archive has nothing to be compared with.
    shared_house.add_user("bob")
    rows = write_rows(tmp_path / "bob.zip", row(0, username="bob"))
    assert shared_house.bring(rows, "bob").warnings == ()
    stored = shared_house.sql("select warnings from app.imports where archive_name = 'other.zip'")
    assert stored == [([warning],)]


def test_keys_that_nobody_knows_are_counted(shared_house: House, archive_path: Path) -> None:
    result = shared_house.bring(write_rows(archive_path, row(0, mood="glad"), row(1, mood=None, hum=[1]), row(2)))
    assert result.unknown_keys == {"mood": 2, "hum": 1}
    assert shared_house.one("select unknown_keys from app.imports") == {"mood": 2, "hum": 1}


def test_an_import_whose_process_died_is_taken_over(shared_house: House, archives: Archives) -> None:
    first = shared_house.bring(archives.account.path)
    shared_house.sql("update app.imports set status = 'running', finished_at = null, rows_read = 17")
    shared_house.sql(f"create unlogged table load.import_{first.import_id}_events (left_over int)", role=Role.INGEST)
    again = shared_house.bring(archives.account.path)
    assert (again.import_id, again.attempt, again.accounting.loaded) == (first.import_id, 2, 0)
    assert shared_house.sql("select status, error, rows_read from app.imports") == [
        ("completed", None, archives.account.rows)
    ]
    assert shared_house.sql(STAGING) == []


def test_the_heartbeat_and_the_counters_move_while_it_runs(
    shared_house: House, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_history, "_HEARTBEAT_EVERY_S", 0.0)
    set_steps(monkeypatch, batch=100, chunk=200)
    seen: list[tuple[Any, ...]] = []
    told: list[ImportProgress] = []

    def look(progress: ImportProgress) -> None:
        told.append(progress)
        counters = "heartbeat_at, bytes_read, rows_read, rows_loaded"
        seen.extend(shared_house.sql(f"select {counters} from app.imports where status = 'running'"))

    shared_house.bring(archives.whole.path, on_progress=look)
    for column in range(4):
        values = [row[column] for row in seen]
        assert values == sorted(values)
        # Two loaders may be done with all their chunks before the first of them is told of.
        assert len(set(values)) >= 2
    assert {progress.stage for progress in told} == {"reading", "loading"}
    assert told[-1].rows == told[-1].rows_total == archives.whole.distinct + archives.whole.identical


def test_a_dry_run_reads_everything_and_writes_nothing(shared_house: House, archives: Archives) -> None:
    before = shared_house.untouched()
    result = shared_house.bring(archives.whole.path, dry_run=True)
    assert result.status == "dry_run"
    assert result.import_id is None
    assert result.accounting.read == archives.whole.rows
    assert result.reasons == dict(archives.whole.quarantined)
    assert shared_house.untouched() == before
    for table in ("app.imports", "app.import_files", "ops.quarantine"):
        assert shared_house.sql(f"select from {table}") == []
    assert shared_house.sql("select from pg_class where relispartition and relkind = 'r'") == []


def test_a_user_whom_nobody_added_is_refused(shared_house: House, archives: Archives) -> None:
    with pytest.raises(BadInput, match="no user 'zoe'"):
        shared_house.bring(archives.account.path, "zoe")


def test_a_dry_run_judges_an_archive_before_its_user_exists(shared_house: House, archives: Archives) -> None:
    assert shared_house.bring(archives.account.path, "zoe", dry_run=True).accounting.read == archives.account.rows
    assert shared_house.sql("select from app.users where user_key = 'zoe'") == []


def test_an_import_that_loses_its_database_says_so_and_can_be_repeated(
    shared_house: House, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_steps(monkeypatch, batch=100, chunk=100)

    def cut(progress: ImportProgress) -> None:
        if progress.stage == "loading":
            shared_house.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'myi import'",
                role=Role.INGEST,
            )

    with pytest.raises(psycopg.OperationalError):
        shared_house.bring(archives.whole.path, on_progress=cut)
    assert [status for (status,) in shared_house.sql("select status from app.imports")] == ["failed"]
    result = shared_house.bring(archives.whole.path)
    assert result.accounting.unaccounted == 0
    assert result.accounting.present > 0
    assert shared_house.one("select count(*) from raw.listening_events") == archives.whole.distinct
    assert shared_house.sql(STAGING) == []


def test_maintenance_leaves_an_import_alone_that_was_only_asleep(shared_house: House, archives: Archives) -> None:
    def sleep(progress: ImportProgress) -> None:
        shared_house.sql("update app.imports set heartbeat_at = now() - interval '3 hours'")
        maintain(shared_house.warehouse, today=datetime.now(UTC).date(), quarantine_days=30)

    result = shared_house.bring(archives.account.path, on_progress=sleep)
    assert result.accounting.loaded == archives.account.distinct
    assert shared_house.status(result.import_id) == ("completed", None)


def test_maintenance_clears_away_what_a_dead_import_left(shared_house: House, archives: Archives) -> None:
    """An archive that is never handed in again would leave its staging tables for good."""
    dead, alive = (shared_house.bring(truth.path) for truth in (archives.account, archives.whole))
    for result, age in ((dead, "2 hours"), (alive, "1 minute")):
        shared_house.sql(
            f"update app.imports set status = 'running', heartbeat_at = now() - interval '{age}' where import_id = %s",
            result.import_id,
        )
        shared_house.sql(f"create unlogged table load.import_{result.import_id}_events (x int)", role=Role.INGEST)
    done = maintain(shared_house.warehouse, today=datetime.now(UTC).date(), quarantine_days=30)
    assert list(done.imports_abandoned) == [f"account.zip (import {dead.import_id})"]
    assert shared_house.sql(STAGING) == [(f"import_{alive.import_id}_events",)]
    shared_house.sql(f"drop table load.import_{alive.import_id}_events")


def test_a_user_who_is_deleted_during_an_import_leaves_no_play_behind(
    shared_house: House, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw has no foreign key to users: a chunk that came after the deletion stayed, and nobody could ever remove it."""
    set_steps(monkeypatch, batch=50, chunk=50)

    def delete(progress: ImportProgress) -> None:
        if progress.stage == "loading":
            shared_house.sql("delete from app.users")

    with pytest.raises(Permanent, match="its user was deleted"):
        shared_house.bring(archives.whole.path, on_progress=delete)
    for table in ("raw.listening_events", "app.imports", "ops.quarantine", "raw.covered_spans"):
        assert shared_house.sql(f"select from {table}") == []
    assert shared_house.sql(STAGING) == []


def test_no_plan_loops_over_the_rows_of_a_chunk(
    shared_house: House, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row numbers have gaps between files, so the server took a chunk for one row: 200,000 rows in 20 s, not in 2."""
    set_steps(monkeypatch, batch=400, chunk=400)
    plans: dict[str, list[str]] = {"as it is": [], "broken: loops allowed": []}
    insert = chunks._insert

    def explain(connection: Any, chunk: Any, *, tables: Any, user_id: int, batch_id: int) -> Any:
        values = {"user_id": user_id, "batch_id": batch_id, "first_row": chunk.first_row, "last_row": chunk.last_row}
        query = "explain " + tables.sql("load/load_chunk")
        for plan in plans.values():
            plan += [line for (line,) in connection.execute(query, values).fetchall()]
            connection.execute("set local enable_nestloop = on")
        return insert(connection, chunk, tables=tables, user_id=user_id, batch_id=batch_id)

    monkeypatch.setattr(chunks, "_insert", explain)
    shared_house.bring(archives.whole.path)
    loops = {name: any("Nested Loop" in line for line in plan) for name, plan in plans.items()}
    assert loops == {"as it is": False, "broken: loops allowed": True}
