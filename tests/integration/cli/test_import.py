"""`myi import`, `myi imports` and `myi quarantine` on a real database, without the marts."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.simulator import (
    ArchiveSpec,
    ArchiveTruth,
    build_listener,
    write_account_archive,
    write_extended_archive,
)

pytestmark = pytest.mark.usefixtures("no_report")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArchiveTruth, ArchiveTruth]:
    folder = tmp_path_factory.mktemp("archives")
    listener = build_listener(ArchiveSpec(seed=5, plays=600, first_day=date(2023, 1, 1), last_day=date(2023, 12, 31)))
    extended = write_extended_archive(
        folder / "extended.zip", listener, bad={"bad_timestamp": 2, "too_early": 1}, unknown_keys=("mood",)
    )
    return extended, write_account_archive(folder / "account.zip", listener, until=date(2023, 12, 31))


def _import(myi: Callable, *arguments: object) -> object:
    return myi("import", *arguments, "--user", "ana", "--no-refresh", "--json")


def test_an_archive_is_imported_accounted_for_and_listed(
    myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth]
) -> None:
    extended, _ = archives
    ran = _import(myi, extended.path, "--create")
    assert ran.code == 0, ran.err
    (imported,) = ran.document["imports"]
    assert imported["rows_read"] == extended.rows
    assert imported["rows_loaded"] == extended.distinct
    assert imported["rows_identical"] == extended.identical
    assert imported["quarantine_reasons"] == {"bad_timestamp": 2, "too_early": 1}
    assert set(imported["unknown_keys"]) == {"mood"}

    (listed,) = myi("imports", "list", "--user", "ana", "--json").document["imports"]
    assert listed["rows_loaded"] == extended.distinct
    assert listed["correlation_id"] is not None

    shown = myi("imports", "show", imported["import_id"], "--json").document
    assert sum(file["rows_read"] for file in shown["files"]) == extended.rows
    assert {reason["reason"]: reason["rows"] for reason in shown["quarantine"]} == {"bad_timestamp": 2, "too_early": 1}
    assert "bad_timestamp" in myi("imports", "show", imported["import_id"]).out

    rows = myi("quarantine", "list", "--user", "ana", "--reason", "too_early", "--json").document["rows"]
    assert [row["reason"] for row in rows] == ["too_early"]
    assert "ip_addr" not in json.dumps(rows)
    assert "too_early" in myi("quarantine", "list", "--import", imported["import_id"]).out


def test_the_same_archive_again_adds_nothing(myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth]) -> None:
    extended, _ = archives
    _import(myi, extended.path, "--create")
    (again,) = _import(myi, extended.path).document["imports"]
    assert again["rows_loaded"] == 0
    assert again["rows_present"] == extended.distinct
    assert again["attempt"] == 2


def test_several_archives_are_imported_in_one_go_and_a_bad_one_does_not_stop_them(
    myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth], tmp_path: Path
) -> None:
    extended, account = archives
    other = tmp_path / "holiday.zip"
    other.write_bytes(b"no zip at all")
    ran = _import(myi, other, extended.path, account.path, "--create")
    assert ran.code == 1
    assert [imported["kind"] for imported in ran.document["imports"]] == ["extended_history", "account_history"]
    (refused,) = ran.document["refused"]
    assert refused["paths"] == [str(other)]
    assert refused["message"]
    assert "Traceback" not in ran.err


def test_a_dry_run_judges_and_writes_nothing(
    myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth], warehouse: Warehouse
) -> None:
    extended, _ = archives
    myi("user", "add", "ana")
    ran = _import(myi, extended.path, "--dry-run")
    assert ran.code == 0
    (imported,) = ran.document["imports"]
    assert (imported["status"], imported["import_id"]) == ("dry_run", None)
    assert imported["rows_read"] == extended.rows
    with warehouse.connect(Role.INGEST) as connection:
        assert connection.execute("select count(*) from app.imports").fetchone() == (0,)
        assert connection.execute("select count(*) from raw.listening_events").fetchone() == (0,)


def test_an_unknown_user_is_wrong_usage_unless_asked_to_be_made(
    myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth]
) -> None:
    ran = _import(myi, archives[0].path)
    assert ran.code == 2
    assert "--create" in ran.err


def test_for_people_it_ends_with_what_became_of_every_row(
    myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth]
) -> None:
    extended, _ = archives
    ran = myi("import", extended.path, "--user", "ana", "--create", "--no-refresh")
    assert ran.code == 0
    assert f"{extended.rows:,} rows = {extended.distinct:,} new" in ran.out
    assert "bad timestamp" in ran.out
    assert "myi quarantine list" in ran.out


def test_it_ends_with_a_way_in_which_only_a_terminal_is_shown(
    myi: Callable,
    archives: tuple[ArchiveTruth, ArchiveTruth],
    warehouse: Warehouse,
    settings_for_tests: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A link is a secret, which a file or a log that a pipe leads to would keep."""
    path, origin = archives[0].path, settings_for_tests.site_origin
    # What makes other programs print for a terminal.
    monkeypatch.setenv("FORCE_COLOR", "1")
    piped = myi("import", path, "--user", "ana", "--no-refresh", "--create")
    told = myi("import", path, "--user", "ana", "--no-refresh", "--json")
    assert origin in piped.out
    assert told.document["dashboard"] == origin
    assert "/link#" not in "".join((piped.out, piped.err, told.out, told.err))
    monkeypatch.delenv("FORCE_COLOR")

    def on_a_terminal() -> str:
        reading, writing = pty.openpty()
        with os.fdopen(writing, "w") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            assert myi("import", path, "--user", "ana", "--no-refresh").code == 0
        shown = b""
        # A kernel hands on what was written when it comes to it; a terminal that is closed ends with an error.
        with suppress(OSError):
            while part := os.read(reading, 100_000):
                shown += part
        os.close(reading)
        return shown.decode()

    (secret,) = re.findall(rf"{re.escape(origin)}/link#(\S+)", on_a_terminal())
    with warehouse.connect(Role.APP, autocommit=True) as connection:
        assert manage_access.link_owner(connection, secret=secret) == "ana"
        manage_access.use_link(connection, secret=secret, device="test")
    # Another link would replace one that was made for somebody.
    assert "/link#" not in on_a_terminal()


@pytest.mark.slow
def test_neither_dagster_nor_dbt_is_imported_in_the_process_of_an_import(
    environment_for_tests: dict[str, str], archives: tuple[ArchiveTruth, ArchiveTruth]
) -> None:
    program = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from myi_pipeline.cli.app import run\n"
        f"code = run(['import', {str(archives[0].path)!r}, '--user', 'ana', '--create', '--no-refresh', '--json'])\n"
        "heavy = sorted({name.split('.')[0] for name in sys.modules} & {'dagster', 'dbt', 'dagster_dbt'})\n"
        # Not ru_maxrss: that begins with what the parent had in memory when it forked.
        "status = Path('/proc/self/status')\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1] if status.exists() else 0\n"
        "print(code, heavy, peak, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment_for_tests,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    code, heavy, peak_kb = done.stderr.strip().splitlines()[-1].rsplit(" ", 2)
    assert (code, heavy) == ("0", "[]")
    assert int(peak_kb) < 150_000


def test_an_archive_that_another_user_has_waits_until_yes_says_that_it_belongs_here_too(
    myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth], tmp_path: Path
) -> None:
    extended, _ = archives
    assert _import(myi, extended.path, "--create").code == 0
    with zipfile.ZipFile(extended.path) as opened:
        member = next(name for name in opened.namelist() if "Audio" in name and name.endswith(".json"))
        (tmp_path / "History.json").write_bytes(opened.read(member))
    bens = ("--user", "ben", "--no-refresh", "--json")
    # The same archive, and one file of it under another name.
    for path in (extended.path, tmp_path / "History.json"):
        refused = myi("import", path, *bens, "--create")
        assert refused.code == 1
        (why,) = refused.document["refused"]
        assert why["kind"] == "NotConfirmed"
        assert "another user here has this archive" in why["message"]
        assert "ana" not in refused.out + refused.err.replace(str(tmp_path), "")
    waiting = myi("imports", "list", "--user", "ben", "--json").document["imports"]
    assert [(each["status"], each["needs_confirmation"]) for each in waiting] == [("pending", True)] * 2
    assert "waiting for confirmation" in " ".join(myi("imports", "list", "--user", "ben").out.split())
    number = waiting[-1]["import_id"]
    assert myi("imports", "retry", number).code == 1
    assert myi("imports", "retry", number, "--yes").code == 0
    assert myi("import", extended.path, *bens).document["imports"][0]["rows_loaded"] == extended.distinct
    assert myi("import", tmp_path / "History.json", *bens, "--yes").code == 0
    # What is in is not repeated.
    assert "nothing to retry" in myi("imports", "retry", number).err


def test_a_refusal_is_told_once(myi: Callable, tmp_path: Path) -> None:
    """It was told when it came and again with the results; and of a single file its name was told twice in it."""
    (tmp_path / "notes.csv").write_text("a,b\n")
    refused = myi("import", tmp_path / "notes.csv", "--user", "ana", "--create", "--no-refresh")
    assert refused.code == 1
    assert refused.out.strip() == ""
    (line,) = [each for each in refused.err.splitlines() if "refused" in each]
    assert line.startswith(
        "notes.csv was refused: This is not a listening history: the file does not contain a list of rows. MYI reads"
    )
    assert (line.count("notes.csv"), refused.err.count("not a listening history")) == (1, 1)


def test_below_the_floor_of_free_disk_nothing_is_begun(
    myi: Callable, archives: tuple[ArchiveTruth, ArchiveTruth], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MYI_DISK_FLOOR_MB", str(10**9))
    ran = _import(myi, archives[0].path, "--create")
    assert ran.code == 1
    assert "MYI_DISK_FLOOR_MB" in ran.document["refused"][0]["message"]
    monkeypatch.setenv("MYI_DISK_FLOOR_MB", "0")
    assert _import(myi, archives[0].path).code == 0


def test_playlists_beside_the_plays_are_kept_and_playlists_alone_name_their_command(
    myi: Callable, tmp_path: Path
) -> None:
    plays = [{"endTime": "2024-05-01 10:00", "artistName": "Band", "trackName": "Song", "msPlayed": 200_000}]
    lists = {"playlists": [{"name": "Road trip", "items": [{"track": {"trackName": "Song", "artistName": "Band"}}]}]}
    path = tmp_path / "my_spotify_data.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Spotify Account Data/StreamingHistory_music_0.json", json.dumps(plays))
        archive.writestr("Spotify Account Data/Playlist1.json", json.dumps(lists))
        archive.writestr("Spotify Account Data/Follow.json", "{}")
    dry = myi("import", path, "--user", "ana", "--create", "--dry-run", "--json")
    assert dry.document["imports"][0]["playlists"] == []
    (imported,) = _import(myi, path, "--create").document["imports"]
    assert [(each["name"], each["entries"], each["is_new"]) for each in imported["playlists"]] == [
        ("Road trip", 1, True)
    ]
    shown = myi("import", path, "--user", "ana", "--no-refresh").out
    assert "1 playlist kept, 0 of them new or changed" in shown
    assert re.search(r"files not read +Spotify Account Data/Follow.json\s", shown)

    alone = tmp_path / "Playlist1.json"
    alone.write_text(json.dumps(lists))
    refused = myi("import", alone, "--user", "ana")
    assert refused.code == 1
    assert "myi playlists import" in refused.err
    (tmp_path / "notes.json").write_text("{}")
    assert "myi playlists import" not in myi("import", tmp_path / "notes.json", "--user", "ana").err
