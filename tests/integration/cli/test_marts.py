"""From an archive to figures on the command line, with the marts and with Dagster told."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from myi_pipeline.simulator import ArchiveSpec, build_listener, expected_marts, write_extended_archive

TELL = (
    "import json, dagster as dg\n"
    "with dg.DagsterInstance.get() as instance:\n"
    "    found = instance.get_latest_materialization_event(dg.AssetKey('listening_history'))\n"
    "    event = found.asset_materialization\n"
    "    print(json.dumps([event.partition, event.metadata['rows_read'].value]))\n"
)


def open_to_others(folder: Path) -> list[str]:
    """Files and folders below that somebody else may use. Postgres may be deleting some in the meantime."""
    found = []
    for place, folders, files in os.walk(folder):
        for path in (os.path.join(place, name) for name in (*folders, *files)):
            with suppress(FileNotFoundError):
                mode = os.lstat(path).st_mode
                if not stat.S_ISLNK(mode) and mode & 0o077:
                    found.append(path)
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_import_ends_with_figures_that_are_the_truth(
    myi: Callable, tmp_path: Path, environment_for_tests: dict[str, str]
) -> None:
    spec = ArchiveSpec(seed=9, plays=400, first_day=date(2023, 1, 1), last_day=date(2024, 3, 1), time_zone="UTC")
    truth = write_extended_archive(tmp_path / "archive.zip", build_listener(spec))

    ran = myi("import", truth.path, "--user", "ana", "--create", "--json")
    assert ran.code == 0, ran.err
    marts = expected_marts([truth], time_zone="UTC")
    listening = ran.document["listening"]
    assert (listening["plays"], listening["ms_played"]) == (marts.total_plays, marts.total_ms_played)
    assert [year["year"] for year in listening["years"]] == [2023, 2024]
    best = max(
        (row for row in marts.artists if row.period == "all"), key=lambda row: (row.counted_plays, row.ms_played)
    )
    assert listening["top_artists"][0]["name"] == best.key
    assert ran.document["refresh"]["status"] == "completed"

    # What dbt and Dagster keep in the home is this user's alone, whatever the shell's umask.
    home = Path(environment_for_tests["MYI_HOME"])
    assert (home / "dbt").is_dir()
    assert open_to_others(home) == []

    # Dagster knows of it, though none of its programs ran.
    assert ran.document["reported_to_dagster"] is True
    # It also unsets what an earlier test of this process has dropped.
    exports = [line for line in myi("env").out.splitlines() if line.startswith("export ")]
    variables = dict(line.removeprefix("export ").split("=", 1) for line in exports)
    environment = environment_for_tests | {name: value.strip("'") for name, value in variables.items()}
    told = subprocess.run(
        [sys.executable, "-c", TELL], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(told.stdout) == ["ana", truth.rows]

    again = myi("import", truth.path, "--user", "ana")
    assert "Listening of ana" in again.out
    assert f"{marts.total_plays:,}" in again.out

    assert myi("refresh", "--json").document["status"] == "nothing"
    assert "up to date" in myi("refresh").out
    part = myi("refresh", "--user", "ana", "--from", "2024-01-01", "--to", "2024-01-31", "--json")
    assert part.code == 0, part.err
    assert part.document["status"] == "completed"
    assert 0 < part.document["changed_days"] <= 31

    verified = myi("verify", "--json")
    assert verified.code == 0, verified.err
    assert verified.document["is_good"] is True
    assert len(verified.document["marts"]) > 10


def test_days_without_a_user_are_wrong_usage(myi: Callable) -> None:
    assert myi("refresh", "--from", "2024-01-01").code == 2
    assert myi("refresh", "--user", "ana", "--from", "2024-02-01", "--to", "2024-01-01").code == 2
    assert myi("refresh", "--from", "yesterday").code == 2


def test_rebuilding_an_unknown_user_is_refused(myi: Callable) -> None:
    ran = myi("refresh", "--user", "nobody")
    assert ran.code == 2
    assert "there is no user 'nobody'" in ran.err
