"""The uploads folder: what is ready, what waits, and what a person is told."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

import pytest

from myi_pipeline.services.scan_uploads import Scan, UploadsSeen, ends_whole, hash_of_files, scan_uploads

NOW = 1_800_000_000.0
LONG_AGO = NOW - 3_600


def put(path: Path, content: bytes = b"[]", *, at: float = LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


def put_zip(path: Path, *, at: float = LONG_AGO) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("endsong_0.json", "[]")
    os.utime(path, (at, at))
    return path


def look(
    folder: Path,
    *,
    users: Collection[str] = ("ana", "ben"),
    seen: UploadsSeen | None = None,
    now: float = NOW,
    hash_bytes: int = 10**9,
) -> Scan:
    return scan_uploads(folder, users=users, seen=seen or UploadsSeen(), now_s=now, hash_bytes=hash_bytes)


def names(scan: Scan) -> list[str]:
    return [upload.name for upload in scan.ready]


def test_a_zip_is_named_by_its_user_and_its_content(tmp_path: Path) -> None:
    path = put_zip(tmp_path / "ana" / "my_spotify_data.zip")

    (upload,) = look(tmp_path).ready

    assert (upload.user_key, upload.name, upload.paths) == ("ana", "ana/my_spotify_data.zip", (path,))
    assert upload.sha256 == sha256(path.read_bytes()).hexdigest()
    assert upload.is_zip


def test_a_missing_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert look(tmp_path / "nowhere") == Scan((), (), 0, UploadsSeen())


def test_a_young_file_is_taken_at_the_second_look_that_finds_it_the_same(tmp_path: Path) -> None:
    path = put_zip(tmp_path / "ana" / "a.zip", at=NOW - 1)

    first = look(tmp_path)
    second = look(tmp_path, seen=first.seen)

    assert (names(first), first.waiting) == ([], 1)
    assert names(second) == ["ana/a.zip"]

    # It grew in between: the look begins anew.
    put_zip(path, at=NOW - 0.5)
    assert names(look(tmp_path, seen=first.seen)) == []


def test_a_zip_whose_end_is_not_there_yet_waits_and_is_remarked_on_when_it_stays_so(tmp_path: Path) -> None:
    path = put_zip(tmp_path / "ana" / "a.zip")
    put(path, path.read_bytes()[:-10], at=NOW - 60)
    assert (names(look(tmp_path)), look(tmp_path).remarks) == ([], ())

    late = look(tmp_path, now=NOW + 600)

    assert names(late) == []
    assert "ana/a.zip ends in the middle" in late.remarks[0]


@pytest.mark.parametrize(
    "name", ["a.zip.part", "a.zip.crdownload", ".a.zip", ".hidden/a.zip", "a.zip.tmp", "notes.txt"]
)
def test_unfinished_and_hidden_files_are_no_uploads(tmp_path: Path, name: str) -> None:
    put_zip(tmp_path / "ana" / name)

    assert (names(look(tmp_path)), look(tmp_path).remarks) == ([], ())


def test_the_files_of_one_sub_folder_are_one_archive_and_loose_ones_together_are_one(tmp_path: Path) -> None:
    deep = "export/Spotify Extended Streaming History"
    put(tmp_path / "ana" / deep / "endsong_0.json", b"[1]")
    put(tmp_path / "ana" / deep / "endsong_1.json", b"[2]")
    put_zip(tmp_path / "ana" / "export" / "inside.zip")
    put(tmp_path / "ben" / "StreamingHistory0.json", b"[3]")
    put(tmp_path / "ben" / "StreamingHistory1.json", b"[4]")

    inside, export, loose = look(tmp_path).ready

    assert (inside.name, export.name, loose.name) == ("ana/export/inside.zip", "ana/export", "ben")
    assert export.paths == (tmp_path / "ana" / "export",)
    assert [path.name for path in loose.paths] == ["StreamingHistory0.json", "StreamingHistory1.json"]
    assert loose.sha256 == hash_of_files([sha256(b"[4]").hexdigest(), sha256(b"[3]").hexdigest()])


def test_a_folder_waits_as_a_whole_while_one_of_its_files_is_being_written(tmp_path: Path) -> None:
    put(tmp_path / "ana" / "export" / "endsong_0.json")
    put(tmp_path / "ana" / "export" / "endsong_1.json.part")
    assert (names(look(tmp_path)), look(tmp_path).waiting) == ([], 1)

    (tmp_path / "ana" / "export" / "endsong_1.json.part").unlink()
    put(tmp_path / "ana" / "export" / "endsong_1.json", b'[{"ts": "20')
    assert names(look(tmp_path)) == []

    put(tmp_path / "ana" / "export" / "endsong_1.json", b"[{}]\n")
    assert names(look(tmp_path)) == ["ana/export"]


def test_what_lies_in_the_wrong_place_is_said_and_stops_nobody(tmp_path: Path) -> None:
    put_zip(tmp_path / "ana" / "a.zip")
    put_zip(tmp_path / "stranger" / "a.zip")
    put_zip(tmp_path / "beside.zip")
    (tmp_path / "ben").mkdir()
    (tmp_path / "ben" / "link.zip").symlink_to(tmp_path / "ana" / "a.zip")

    scan = look(tmp_path)

    assert names(scan) == ["ana/a.zip"]
    told = "\n".join(scan.remarks)
    assert "beside.zip lies beside the users' folders" in told
    assert "stranger/ is no user's folder" in told
    assert "ben/link.zip is a symbolic link" in told


def test_a_name_that_is_not_utf_8_is_said_and_left_alone(tmp_path: Path) -> None:
    put_zip(tmp_path / "ana" / "a.zip")
    try:
        put_zip(tmp_path / "ana" / os.fsdecode(b"m\xfcsik.zip"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")

    scan = look(tmp_path)

    assert names(scan) == ["ana/a.zip"]
    assert scan.remarks == ("ana/ holds 1 names that are not UTF-8: rename them",)


def test_a_hash_is_taken_once_for_a_file_that_stays_as_it_is(tmp_path: Path) -> None:
    path = put_zip(tmp_path / "ana" / "a.zip")
    seen = look(tmp_path).seen

    # A look that may hash nothing still knows it, also after the memory went through text.
    remembered = UploadsSeen.from_text(seen.as_text())
    assert remembered == seen
    assert names(look(tmp_path, seen=remembered, hash_bytes=0)) == ["ana/a.zip"]

    put(path, path.read_bytes() + b"", at=LONG_AGO + 5)
    assert names(look(tmp_path, seen=remembered, hash_bytes=0)) == []


@pytest.mark.parametrize("text", [None, "", "no json", "[]", '{"files": 3}', '{"files": {"a": [1]}, "asked": []}'])
def test_a_damaged_memory_is_an_empty_one(text: str | None) -> None:
    assert UploadsSeen.from_text(text) == UploadsSeen()


def test_the_end_of_a_zip_is_found_before_a_comment_and_not_by_chance(tmp_path: Path) -> None:
    path = put_zip(tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"kept since 2014"
    assert ends_whole(path)

    by_chance = put(tmp_path / "b.zip", b"PK\x05\x06" + b"x" * 200)
    assert not ends_whole(by_chance)
    assert not ends_whole(tmp_path / "missing.zip")
