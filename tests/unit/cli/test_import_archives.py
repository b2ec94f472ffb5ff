"""Which paths make one archive."""

from __future__ import annotations

from pathlib import Path

from myi_pipeline.cli.import_archives import archives_of


def test_each_zip_and_each_folder_is_one_archive_and_all_json_files_are_one(tmp_path: Path) -> None:
    folder = tmp_path / "MyData"
    folder.mkdir()
    first, second = tmp_path / "a.zip", tmp_path / "B.ZIP"
    one, two = tmp_path / "endsong_0.json", tmp_path / "endsong_1.json"
    assert archives_of([one, first, folder, two, second]) == [(first,), (folder,), (second,), (one, two)]


def test_a_path_given_twice_counts_once(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    assert archives_of([archive, archive]) == [(archive,)]
