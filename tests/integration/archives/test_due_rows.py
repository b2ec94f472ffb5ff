"""Rows that are dated ahead of now: kept whole, and brought in by the daily chores when their time has come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from myi_pipeline.operations import checks
from myi_pipeline.operations.maintenance import maintain
from tests.integration.archives.setups import Setup, row, write_files

TODAY = datetime.now(UTC).date()
SOON, LATER = TODAY + timedelta(days=40), TODAY + timedelta(days=400)
COUNTERS = "rows_read, rows_loaded, rows_present, rows_identical, rows_quarantined"
LONG = "A very long title " * 60


def at(day: date, **fields: object) -> dict[str, object]:
    return row(ts=f"{day}T12:00:00Z", **fields)


def accounts(setup: Setup) -> list[tuple[Any, ...]]:
    """The accounting of the import, and of its files together."""
    sums = ", ".join(f"sum(f.{name})" for name in COUNTERS.split(", "))
    latest = "app.import_files as f inner join app.imports as i using (import_id, attempt)"
    return setup.sql(f"select {COUNTERS} from app.imports union all select {sums} from {latest}")


def chores(setup: Setup, day: date, *, quarantine_days: int = 365) -> int:
    return maintain(setup.warehouse, today=day, quarantine_days=quarantine_days).due_rows_brought_in


def titles(setup: Setup) -> list[tuple[Any, ...]]:
    return setup.sql(
        "select e.played_at::date, c.title, e.occurrence from raw.listening_events as e"
        " left join raw.contents as c using (content_id) order by 1, 2, 3"
    )


def test_a_row_that_is_dated_ahead_of_now_becomes_a_play_when_its_time_has_come(
    shared_setup: Setup, tmp_path: Path
) -> None:
    other = {"spotify_track_uri": "spotify:track:2", "master_metadata_track_name": LONG, "username": "someone"}
    minute = {"endTime": f"{SOON} 12:00", "artistName": "Band", "trackName": "Song", "msPlayed": 5}
    archive = write_files(
        tmp_path / "a.zip",
        {
            "Streaming_History_Audio_2020_0.json": [
                at(date(2020, 2, 1)), at(SOON, **other), at(SOON, **other), at(LATER), at(SOON, ms_played="long"),
            ],
            # Equal rows of account data are plays of their own.
            "StreamingHistory_music_0.json": [minute, minute],
        },
    )  # fmt: skip
    shared_setup.bring(archive)
    assert accounts(shared_setup) == [(7, 1, 0, 0, 6)] * 2
    assert shared_setup.sql("select max(covered_to)::date from raw.covered_spans") == [(date(2020, 2, 1),)]

    # Too early, and quarantine is pruned: a row that waits stays.
    shared_setup.sql("update app.imports set finished_at = now() - interval '9 days'")
    assert chores(shared_setup, TODAY, quarantine_days=1) == 0
    assert accounts(shared_setup) == [(7, 1, 0, 0, 6)] * 2

    shared_setup.close_ledger()
    assert chores(shared_setup, SOON + timedelta(days=1)) == 4
    assert titles(shared_setup) == [
        (date(2020, 2, 1), "Song", 0), (SOON, LONG, 0), (SOON, "Song", 0), (SOON, "Song", 1),
    ]  # fmt: skip
    # Read again, one row is no play for another reason; and one has still to come.
    assert accounts(shared_setup) == [(7, 4, 0, 1, 2)] * 2
    reasons = "select reason, due_at::date, whole_row is null from ops.quarantine order by 1"
    assert shared_setup.sql(reasons) == [("bad_ms_played", None, True), ("in_the_future", LATER, False)]
    assert shared_setup.sql("select count(*) from ops.quarantine where whole_row ? 'username'") == [(0,)]
    assert shared_setup.sql("select distinct utc_day from ops.changed_days") == [(SOON,)]
    assert checks.accounting_closes(shared_setup.warehouse).passed
    assert chores(shared_setup, SOON + timedelta(days=2)) == 0
    assert shared_setup.sql("select count(*) from pg_tables where schemaname = 'load'") == [(0,)]

    # A repetition finds them there; what has still to come waits again.
    again = shared_setup.bring(archive)
    assert (again.accounting.loaded, again.accounting.quarantined) == (0, 6)
    assert chores(shared_setup, LATER + timedelta(days=1)) == 5
    assert accounts(shared_setup) == [(7, 1, 4, 1, 1)] * 2
    assert len(titles(shared_setup)) == 5


def test_a_row_of_two_exports_in_one_archive_that_is_dated_ahead_of_now_becomes_one_play(
    shared_setup: Setup, tmp_path: Path
) -> None:
    """Twice in one export it is two plays, as it is when it is read in time."""
    once, twice, later = (
        {"endTime": f"{SOON} 12:00", "artistName": "Band", "trackName": title, "msPlayed": 5} for title in "ABC"
    )
    rows = [once, twice, twice]
    archive = write_files(
        tmp_path / "a.zip",
        {"may/StreamingHistory_music_0.json": rows, "november/StreamingHistory_music_0.json": [*rows, later]},
    )
    shared_setup.bring(archive)
    assert chores(shared_setup, SOON + timedelta(days=1)) == 7
    assert titles(shared_setup) == [(SOON, "A", 0), (SOON, "B", 0), (SOON, "B", 1), (SOON, "C", 0)]
    assert accounts(shared_setup) == [(7, 4, 0, 3, 0)] * 2
