"""Every row that is read ends somewhere, file by file, and an import that cannot say where fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives import import_log, loading
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.errors import Permanent
from myi_pipeline.simulator import ArchiveTruth
from tests.hostile.documents import truncated_json
from tests.integration.archives.conftest import Archives
from tests.integration.archives.setups import STAGING, Setup

COUNTERS = "rows_read, rows_loaded, rows_present, rows_identical, rows_quarantined"


def true_counts(truth: ArchiveTruth, *, again: bool = False) -> dict[str, tuple[object, ...]]:
    """By file: read, loaded, present, identical, quarantined by reason."""
    return {
        file.name: (
            file.rows,
            0 if again else file.distinct,
            file.distinct if again else 0,
            file.identical,
            dict(file.quarantined),
        )
        for file in truth.files
    }


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("name", ["older", "newer", "whole", "account"])
def test_every_file_closes_and_agrees_with_the_truth(shared_setup: Setup, archives: Archives, name: str) -> None:
    truth: ArchiveTruth = getattr(archives, name)
    for again in (False, True):
        result = shared_setup.bring(truth.path)
        found = {
            file.name: (
                file.accounting.read,
                file.accounting.loaded,
                file.accounting.present,
                file.accounting.identical,
                dict(file.reasons),
            )
            for file in result.files
        }
        assert found == true_counts(truth, again=again)
        assert result.status == "completed"
        assert result.attempt == 1 + again
        assert set(result.skipped_members) == set(truth.other_files)
        assert (result.span.first, result.span.last) == (truth.first_played_at, truth.last_played_at)
    assert shared_setup.one("select count(*) from raw.listening_events") == truth.distinct


@pytest.mark.both_servers
@pytest.mark.usefixtures("small_steps")
def test_what_is_stored_is_what_is_returned(setup: Setup, archives: Archives) -> None:
    result = setup.bring(archives.whole.path)
    stored = setup.sql(f"select status, {COUNTERS} from app.imports")
    total = result.accounting
    counts = (total.read, total.loaded, total.present, total.identical, total.quarantined)
    assert stored == [("completed", *counts)]
    of_files = setup.sql(f"select file_name, status, {COUNTERS} from app.import_files order by file_no")
    assert of_files == [
        (
            file.name,
            "completed",
            file.accounting.read,
            file.accounting.loaded,
            file.accounting.present,
            file.accounting.identical,
            file.accounting.quarantined,
        )
        for file in result.files
    ]
    reasons = dict(setup.sql("select reason, count(*) from ops.quarantine group by 1"))
    assert reasons == dict(archives.whole.quarantined)
    assert setup.sql(STAGING) == []


def lose_a_staged_row(monkeypatch: pytest.MonkeyPatch) -> None:
    number = StagingTables.number_repeats

    def and_lose(self: StagingTables, connection: Any, **options: Any) -> None:
        number(self, connection, **options)
        lose = self.sql("archives/load/copy_events").partition(" (")[0].replace("copy", "delete from")
        connection.execute(f"{lose} where ctid in (select ctid from {lose.split()[-1]} offset 7 limit 1)")

    monkeypatch.setattr(StagingTables, "number_repeats", and_lose)


def skip_rows_while_inserting(monkeypatch: pytest.MonkeyPatch) -> None:
    sql = StagingTables.sql

    def without_some(self: StagingTables, name: str) -> str:
        text = sql(self, name)
        return (
            text.replace("where\n", "where mod(e.row_id, 100) <> 3 and\n")
            if name == "archives/load/load_chunk"
            else text
        )

    monkeypatch.setattr(StagingTables, "sql", without_some)


def lose_a_quarantined_row(monkeypatch: pytest.MonkeyPatch) -> None:
    quarantine = import_log.quarantine
    monkeypatch.setattr(
        import_log, "quarantine", lambda *where, rows, **file: quarantine(*where, rows=rows[1:], **file)
    )


def forget_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    join = loading.join
    monkeypatch.setattr(loading, "join", lambda batches: join(batches[:-1] if len(batches) > 1 else batches))


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("loss", [lose_a_staged_row, skip_rows_while_inserting, lose_a_quarantined_row, forget_a_batch])
def test_an_import_that_loses_a_row_fails(
    shared_setup: Setup, archives: Archives, monkeypatch: pytest.MonkeyPatch, loss: Any
) -> None:
    with monkeypatch.context() as broken:
        loss(broken)
        with pytest.raises(Permanent, match="does not add up"):
            shared_setup.bring(archives.whole.path)
    status, error = shared_setup.sql("select status, error from app.imports")[0]
    assert status == "failed"
    assert "does not add up" in error
    assert shared_setup.sql(STAGING) == []
    assert shared_setup.sql("select count(*) from raw.covered_spans") == [(0,)]
    # Mended and run again, it closes, and what was loaded before counts as present.
    result = shared_setup.bring(archives.whole.path)
    assert result.accounting.unaccounted == 0
    assert shared_setup.one("select count(*) from raw.listening_events") == archives.whole.distinct


def test_the_tables_refuse_figures_that_do_not_close(shared_setup: Setup, archives: Archives) -> None:
    shared_setup.bring(archives.account.path)
    for table in ("app.imports", "app.import_files"):
        with pytest.raises(Exception, match="accounting_closes"):
            shared_setup.sql(f"update {table} set rows_loaded = rows_loaded + 1")


def test_a_file_that_breaks_keeps_its_rows_and_closes(shared_setup: Setup, archive_path: Path) -> None:
    result = shared_setup.bring(truncated_json(archive_path))
    assert result.status == "completed_with_errors"
    (file,) = result.files
    assert (file.accounting.read, file.accounting.loaded, file.accounting.unaccounted) == (10, 10, 0)
    assert file.error
    stored = shared_setup.sql("select status, error, error_offset, rows_loaded from app.import_files")
    assert stored == [("failed", file.error, file.error_offset, 10)]
    assert shared_setup.status(result.import_id)[0] == "completed_with_errors"
