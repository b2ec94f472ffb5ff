"""What an import says beside its counts: coverage, warnings, unknown keys, heartbeat; and that a dry run is dry."""

from __future__ import annotations

import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from myi_pipeline.archives import import_history, loading
from myi_pipeline.archives.accounting import ImportProgress
from myi_pipeline.errors import BadInput, Permanent
from myi_pipeline.operations.maintenance import maintain
from myi_pipeline.postgres.connections import Role
from tests.integration.archives.conftest import Archives, set_steps
from tests.integration.archives.setups import (
    STAGING,
    Setup,
    row,
    write_files,
    write_rows,
)

SPANS = """
select source_id, to_char(covered_from, 'HH24:MI:SS'), to_char(covered_to, 'HH24:MI:SS')
from raw.covered_spans where kind = 'music' order by 1, 2
"""
NAME = "MyData/Streaming_History_{}.json".format


def test_when_a_file_breaks_only_whole_audio_files_cover_their_own_time(
    shared_setup: Setup, tmp_path: Path, archive_path: Path
) -> None:
    files = {NAME("Audio_2020_0"): [row(5), row(60)], NAME("Video_2020"): [row(90)], NAME("Audio_2020_2"): [row(99)]}
    write_files(archive_path, files)
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(archive_path) as archive:
        archive.extractall(folder)
    (folder / NAME("Audio_2020_1")).write_text('[{"ts": "2020-02-01T00:01', encoding="utf-8")
    result = shared_setup.bring(folder)
    assert result.status == "completed_with_errors"
    assert shared_setup.sql(SPANS) == [(1, "00:00:05", "00:01:00"), (1, "00:01:39", "00:01:39")]


def test_another_persons_archive_is_warned_about(shared_setup: Setup, tmp_path: Path) -> None:
    def bring(name: str, *usernames: str) -> tuple[str, ...]:
        rows = [row(second, username=username) for second, username in enumerate(usernames)]
        return shared_setup.bring(write_rows(tmp_path / name, *rows)).warnings

    assert bring("first.zip", "ana", "ana") == ()
    assert bring("again.zip", "ana") == ()
    (warning,) = bring("other.zip", "someone.else")
    assert "first.zip" in warning
    assert "again.zip" in warning
    assert "other.zip" not in warning
    assert len(bring("both.zip", "ana", "someone.else")) == 2
    # Another user's first archive has nothing to be compared with.
    shared_setup.add_user("bob")
    rows = write_rows(tmp_path / "bob.zip", row(0, username="bob"))
    assert shared_setup.bring(rows, "bob").warnings == ()
    stored = shared_setup.sql("select warnings from app.imports where archive_name = 'other.zip'")
    assert stored == [([warning],)]


def test_keys_that_nobody_knows_are_counted(shared_setup: Setup, archive_path: Path) -> None:
    result = shared_setup.bring(write_rows(archive_path, row(0, mood="glad"), row(1, mood=None, hum=[1]), row(2)))
    assert result.unknown_keys == {"mood": 2, "hum": 1}
    assert shared_setup.one("select unknown_keys from app.imports") == {"mood": 2, "hum": 1}


def test_an_import_whose_process_died_is_taken_over(shared_setup: Setup, archives: Archives) -> None:
    first = shared_setup.bring(archives.account.path)
    shared_setup.sql("update app.imports set status = 'running', finished_at = null, rows_read = 17")
    shared_setup.sql(f"create unlogged table load.import_{first.import_id}_events (left_over int)", role=Role.INGEST)
    again = shared_setup.bring(archives.account.path)
    assert (again.import_id, again.attempt, again.accounting.loaded) == (first.import_id, 2, 0)
    assert shared_setup.sql("select status, error, rows_read from app.imports") == [
        ("completed", None, archives.account.rows)
    ]
    assert shared_setup.sql(STAGING) == []


def test_the_heartbeat_and_the_counters_move_while_it_runs(
    shared_setup: Setup, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_history, "_HEARTBEAT_EVERY_S", 0.0)
    set_steps(monkeypatch, batch=100, chunk=200)
    seen: list[tuple[Any, ...]] = []
    told: list[ImportProgress] = []

    def look(progress: ImportProgress) -> None:
        told.append(progress)
        counters = "heartbeat_at, bytes_read, rows_read, rows_loaded"
        seen.extend(shared_setup.sql(f"select {counters} from app.imports where status = 'running'"))

    shared_setup.bring(archives.whole.path, on_progress=look)
    for column in range(4):
        values = [row[column] for row in seen]
        assert values == sorted(values)
        # Two loaders may be done with all their chunks before the first of them is told of.
        assert len(set(values)) >= 2
    assert {progress.stage for progress in told} == {"reading", "loading"}
    assert told[-1].rows == told[-1].rows_total == archives.whole.distinct + archives.whole.identical


def test_a_dry_run_reads_everything_and_writes_nothing(shared_setup: Setup, archives: Archives) -> None:
    before = shared_setup.untouched()
    result = shared_setup.bring(archives.whole.path, dry_run=True)
    assert result.status == "dry_run"
    assert result.import_id is None
    assert result.accounting.read == archives.whole.rows
    assert result.reasons == dict(archives.whole.quarantined)
    assert shared_setup.untouched() == before
    for table in ("app.imports", "app.import_files", "ops.quarantine"):
        assert shared_setup.sql(f"select 1 from {table}") == []
    assert shared_setup.sql("select 1 from pg_class where relispartition and relkind = 'r'") == []


def test_a_user_whom_nobody_added_is_refused(shared_setup: Setup, archives: Archives) -> None:
    with pytest.raises(BadInput, match="no user 'zoe'"):
        shared_setup.bring(archives.account.path, "zoe")


def test_a_dry_run_judges_an_archive_before_its_user_exists(shared_setup: Setup, archives: Archives) -> None:
    assert shared_setup.bring(archives.account.path, "zoe", dry_run=True).accounting.read == archives.account.rows
    assert shared_setup.sql("select 1 from app.users where user_key = 'zoe'") == []


def test_an_import_that_loses_its_database_says_so_and_can_be_repeated(
    shared_setup: Setup, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_steps(monkeypatch, batch=100, chunk=100)

    def cut(progress: ImportProgress) -> None:
        if progress.stage == "loading":
            shared_setup.sql(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and application_name = 'myi import'",
                role=Role.INGEST,
            )

    with pytest.raises(psycopg.OperationalError):
        shared_setup.bring(archives.whole.path, on_progress=cut)
    assert [status for (status,) in shared_setup.sql("select status from app.imports")] == ["failed"]
    result = shared_setup.bring(archives.whole.path)
    assert result.accounting.unaccounted == 0
    assert result.accounting.present > 0
    assert shared_setup.one("select count(*) from raw.listening_events") == archives.whole.distinct
    assert shared_setup.sql(STAGING) == []


def test_maintenance_leaves_an_import_alone_that_was_only_asleep(shared_setup: Setup, archives: Archives) -> None:
    def sleep(progress: ImportProgress) -> None:
        shared_setup.sql("update app.imports set heartbeat_at = now() - interval '3 hours'")
        maintain(shared_setup.warehouse, today=datetime.now(UTC).date(), quarantine_days=30)

    result = shared_setup.bring(archives.account.path, on_progress=sleep)
    assert result.accounting.loaded == archives.account.distinct
    assert shared_setup.status(result.import_id) == ("completed", None)


def test_maintenance_clears_away_what_a_dead_import_left(shared_setup: Setup, archives: Archives) -> None:
    """An archive that is never handed in again would leave its staging tables for good."""
    dead, alive = (shared_setup.bring(truth.path) for truth in (archives.account, archives.whole))
    for result, age in ((dead, "2 hours"), (alive, "1 minute")):
        shared_setup.sql(
            f"update app.imports set status = 'running', heartbeat_at = now() - interval '{age}' where import_id = %s",
            result.import_id,
        )
        shared_setup.sql(f"create unlogged table load.import_{result.import_id}_events (x int)", role=Role.INGEST)
    done = maintain(shared_setup.warehouse, today=datetime.now(UTC).date(), quarantine_days=30)
    assert list(done.imports_abandoned) == [f"account.zip (import {dead.import_id})"]
    assert shared_setup.sql(STAGING) == [(f"import_{alive.import_id}_events",)]
    shared_setup.sql(f"drop table load.import_{alive.import_id}_events")


def test_a_user_who_is_deleted_during_an_import_leaves_no_play_behind(
    shared_setup: Setup, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raw has no foreign key to users: a chunk that came after the deletion stayed, and nobody could ever remove it."""
    set_steps(monkeypatch, batch=50, chunk=50)

    def delete(progress: ImportProgress) -> None:
        if progress.stage == "loading":
            shared_setup.sql("delete from app.users")

    with pytest.raises(Permanent, match="its user was deleted"):
        shared_setup.bring(archives.whole.path, on_progress=delete)
    for table in ("raw.listening_events", "app.imports", "ops.quarantine", "raw.covered_spans"):
        assert shared_setup.sql(f"select 1 from {table}") == []
    assert shared_setup.sql(STAGING) == []


def test_no_plan_loops_over_the_rows_of_a_chunk(
    shared_setup: Setup, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row numbers have gaps between files, so the server took a chunk for one row: 200,000 rows in 20 s, not in 2."""
    set_steps(monkeypatch, batch=400, chunk=400)
    plans: dict[str, list[str]] = {"as it is": [], "broken: loops allowed": []}
    insert = loading._insert

    def explain(connection: Any, chunk: Any, *, tables: Any, user_id: int, batch_id: int) -> Any:
        values = {"user_id": user_id, "batch_id": batch_id, "first_row": chunk.first_row, "last_row": chunk.last_row}
        query = "explain " + tables.sql("archives/load/load_chunk")
        for plan in plans.values():
            plan += [line for (line,) in connection.execute(query, values).fetchall()]
            connection.execute("set local enable_nestloop = on")
        return insert(connection, chunk, tables=tables, user_id=user_id, batch_id=batch_id)

    monkeypatch.setattr(loading, "_insert", explain)
    shared_setup.bring(archives.whole.path)
    loops = {name: any("Nested Loop" in line for line in plan) for name, plan in plans.items()}
    assert loops == {"as it is": False, "broken: loops allowed": True}
