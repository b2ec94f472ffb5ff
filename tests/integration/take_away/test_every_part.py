"""Each part of an export, with something in it: what is taken back comes back, and older exports are read for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.operations.take_away.parts import PARTS
from tests.integration.archives.setups import Setup
from tests.integration.take_away.conftest import export, members, take_in
from tests.integration.take_away.filled import fill_everything

GOLDEN = Path(__file__).parents[2] / "golden"
SAMPLES = sorted(GOLDEN.glob("export-v*.zip"))
# They hold within one export.
NUMBERS = {"batch", "names_batch", "package", "playlist", "move", "no"}
# A login does not travel: accounts come back as unlinked, and what is written to them as paused.
OF_LOGINS = {"state", "paused_at", "ended_at"}
# Told, and not taken back; batches are numbers alone.
ONLY_TOLD = {
    "archives/batches", "accounts/listening_services", "accounts/audit", "onward/wishes", "onward/sent",
    "playlists/moves", "playlists/move_entries", "submissions/waiting", "settings/notice_targets", "sharing/reports",
    "sharing/agreements",
}  # fmt: skip
PART_FILES = [part.name for part in PARTS]


def parts_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of every part, without the numbers that hold within the export alone."""
    return {
        name.removesuffix(".ndjson"): [_without_numbers(name, json.loads(line)) for line in data.splitlines()]
        for name, data in members(path).items()
        if name.endswith(".ndjson")
    }


def _without_numbers(name: str, row: dict[str, Any]) -> dict[str, Any]:
    left_out = NUMBERS | (OF_LOGINS if name.startswith(("accounts/", "playlists/in_sync")) else set())
    left_out |= {"created_at"} if name.startswith("settings/") else set()
    return {key: value for key, value in row.items() if key not in left_out}


@pytest.fixture(scope="module")
def exported(setup_of_module: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    empty(setup_of_module)
    setup_of_module.add_user()
    fill_everything(setup_of_module, folder)
    export(setup_of_module, folder / "export.zip")
    return folder / "export.zip"


def empty(setup: Setup) -> None:
    setup.sql(
        "truncate raw.musicbrainz_recordings, raw.musicbrainz_artists, raw.musicbrainz_credits, raw.musicbrainz_tags,"
        " raw.musicbrainz_votes, raw.found_recordings"
    )
    setup.empty()


def test_every_part_has_rows_here(exported: Path) -> None:
    """Or the next tests would show nothing."""
    found = parts_of(exported)
    assert [name for name in PART_FILES if not found[name]] == []
    assert found["events/2020"]


def test_each_part_that_is_taken_back_is_exported_again_as_it_was(
    exported: Path, shared_setup: Setup, tmp_path: Path
) -> None:
    before = parts_of(exported)
    empty(shared_setup)
    shared_setup.add_user()
    take_in(shared_setup, exported)
    shared_setup.close_ledger()
    untouched = shared_setup.untouched()
    # Once more: nothing is there twice, and no mart has anything to do.
    take_in(shared_setup, exported)
    assert shared_setup.untouched() == untouched
    export(shared_setup, tmp_path / "again.zip")
    after = parts_of(tmp_path / "again.zip")
    after["archives/imports"] = [each for each in after["archives/imports"] if each["kind"] != "myi_export"]
    files = after["archives/import_files"]
    after["archives/import_files"] = [each for each in files if each["kind"] != "myi_events"]
    for name in before.keys() - ONLY_TOLD:
        assert after[name] == before[name], name
    # Nothing is written anywhere, shown to anybody or sent by it.
    assert shared_setup.sql("select paused_at is not null, origin_id from app.saved_migrations") == [(True, None)]
    for table in ("app.shares", "app.agreements", "app.notice_targets", "ops.notice_deliveries"):
        assert shared_setup.one(f"select count(*) from {table}") == 0, table


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_of_every_format_version_is_read(sample: Path, shared_setup: Setup) -> None:
    told = parts_of(sample)
    empty(shared_setup)
    shared_setup.add_user()
    result = take_in(shared_setup, sample)
    events = sum(len(rows) for name, rows in told.items() if name.startswith("events/"))
    assert (result.accounting.loaded, events) == (events, 25)
    counted = {
        "raw.contents": 3, "raw.playlist_versions": 4, "raw.playlist_items": 8, "raw.poll_gaps": 1,
        "raw.polled_spans": 2, "raw.top_items": 2, "raw.event_holders": 1, "raw.found_recordings": 1,
        "app.corrections": 2, "app.recording_decisions": 1, "app.match_decisions": 1, "app.user_time_zones": 2,
        "app.provider_accounts": 2, "ops.quarantine": 1, "ops.refused_listens": 1,
    }  # fmt: skip
    assert {table: shared_setup.one(f"select count(*) from {table}") for table in counted} == counted
    assert shared_setup.sql("select display_name, time_zone from app.users") == [("Ana", "Asia/Tokyo")]


def test_there_is_a_sample_of_each_format_version() -> None:
    from myi_pipeline.archives.files.export_package import FORMAT_VERSION

    assert [path.name for path in SAMPLES] == [f"export-v{number}.zip" for number in range(1, FORMAT_VERSION + 1)]
