"""An export that was cut off, changed, made by a newer version, or is none: a clear error, and nothing is changed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.files.export_package import is_export, open_export
from myi_pipeline.errors import BadInput
from tests.integration.archives.setups import Setup, row, write_rows
from tests.integration.take_away.conftest import changed, export, take_in


@pytest.fixture(scope="module")
def exported(setup_of_module: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    setup_of_module.empty()
    setup_of_module.add_user()
    setup_of_module.bring(write_rows(folder / "archive.zip", *(row(second) for second in range(0, 900, 200))))
    export(setup_of_module, folder / "export.zip")
    return folder / "export.zip"


def cut_off(path: Path, target: Path) -> None:
    data = path.read_bytes()
    target.write_bytes(data[: len(data) // 2])


def cut_at_the_end(path: Path, target: Path) -> None:
    target.write_bytes(path.read_bytes()[:-30])


def of_somebody_else(path: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as out:
        out.writestr("manifest.json", json.dumps({"format": "chat-export", "format_version": 1}))


def without_manifest(path: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as out:
        out.writestr("events/2020.ndjson", "{}\n")


def newer(path: Path, target: Path) -> None:
    changed(path, target, manifest=lambda told: told.update(format_version=2, made_by="MYI 9.0"))


def without_version(path: Path, target: Path) -> None:
    changed(path, target, manifest=lambda told: told.update(format_version="one"))


def with_a_changed_row(path: Path, target: Path) -> None:
    def edit(files: dict[str, bytes]) -> None:
        files["events/2020.ndjson"] = files["events/2020.ndjson"].replace(b"180000", b"180001", 1)

    changed(path, target, parts=edit, is_honest=False)


def with_a_part_less(path: Path, target: Path) -> None:
    changed(path, target, parts=lambda files: files.pop("events/2020.ndjson") and None)


def with_a_damaged_byte(path: Path, target: Path) -> None:
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as opened:
        data[opened.getinfo("events/2020.ndjson").header_offset + 80] ^= 0xFF
    target.write_bytes(data)


WRONG: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "cut off": (cut_off, "cut off"),
    "cut at the end": (cut_at_the_end, "cut off"),
    "of somebody else": (of_somebody_else, "not an export of MYI"),
    "without manifest": (without_manifest, "not an export of MYI"),
    "newer": (newer, "newer version, MYI 9.0.*Upgrade MYI first"),
    "without version": (without_version, "does not state its format"),
    "changed": (with_a_changed_row, "events/2020.ndjson has been changed since the export"),
    "incomplete": (with_a_part_less, "events/2020.ndjson is missing"),
    "damaged": (with_a_damaged_byte, "events/2020.ndjson"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_whole_export_is_refused_and_changes_nothing(
    exported: Path, shared_setup: Setup, tmp_path: Path, wrong: str
) -> None:
    make, said = WRONG[wrong]
    path = tmp_path / "export.zip"
    make(exported, path)
    before = shared_setup.untouched()
    with pytest.raises(BadInput, match=said):
        take_in(shared_setup, path)
    assert shared_setup.untouched() == before
    assert shared_setup.one("select count(*) from app.imports") == 0


def test_a_newer_one_is_known_for_what_it_is_and_not_for_a_wrong_archive(exported: Path, tmp_path: Path) -> None:
    newer(exported, tmp_path / "export.zip")
    assert is_export(exported)
    assert is_export(tmp_path / "export.zip")
    of_somebody_else(exported, tmp_path / "other.zip")
    assert not is_export(tmp_path / "other.zip")
    assert not is_export(tmp_path / "missing.zip")


def test_rows_that_name_what_is_not_described_are_refused(exported: Path, shared_setup: Setup, tmp_path: Path) -> None:
    path = changed(
        exported, tmp_path / "export.zip", parts=lambda files: files.update({"catalogue/contents.ndjson": b""})
    )
    with pytest.raises(BadInput, match="does not describe"):
        take_in(shared_setup, path)
    assert shared_setup.one("select count(*) from raw.listening_events") == 0
    assert shared_setup.sql("select status from app.imports where kind = 'myi_export'") == [("failed",)]


def test_a_dry_run_reads_all_and_writes_nothing(exported: Path, shared_setup: Setup, tmp_path: Path) -> None:
    result = take_in(shared_setup, exported, dry_run=True)
    assert (result.status, result.accounting.read) == ("dry_run", 5)
    assert shared_setup.one("select count(*) from app.imports") == 0
    with_a_changed_row(exported, tmp_path / "export.zip")
    with pytest.raises(BadInput):
        take_in(shared_setup, tmp_path / "export.zip", dry_run=True)


def test_another_users_export_waits_for_a_confirmation(exported: Path, shared_setup: Setup, tmp_path: Path) -> None:
    """Most of its plays are somebody else's here, whoever made the file."""
    rows = [row(second) for second in range(0, 9_000, 200)]
    shared_setup.bring(write_rows(tmp_path / "archive.zip", *rows))
    path = tmp_path / "export.zip"
    export(shared_setup, path)
    shared_setup.add_user("ben")
    with pytest.raises(BadInput, match="another user here has this archive"):
        take_in(shared_setup, path, user_key="ben")
    assert shared_setup.one("select count(*) from raw.listening_events") == len(rows)
    assert take_in(shared_setup, path, user_key="ben", is_confirmed=True).accounting.loaded == len(rows)


def test_lines_are_read_whatever_their_length(exported: Path) -> None:
    with open_export(exported, limits=Limits()) as package:
        found: list[Any] = [json.loads(line) for line in package.lines("archives/imports.ndjson")]
        assert [each["archive_name"] for each in found] == ["archive.zip"]
        assert list(package.lines("no/such.ndjson")) == []
