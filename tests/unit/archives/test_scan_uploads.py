"""The uploads folder: what is ready, what waits, and what the remarks say."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

import pytest

from myi_pipeline.archives.uploads.scan import Scan, UploadsSeen, ends_whole, hash_of_files, scan_uploads

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

    # It grew in between: the look begins again.
    put_zip(path, at=NOW - 0.5)
    assert names(look(tmp_path, seen=first.seen)) == []


def test_a_zip_whose_end_is_not_there_yet_waits_and_is_remarked_on_when_it_stays_so(tmp_path: Path) -> None:
    path = put_zip(tmp_path / "ana" / "a.zip")
    put(path, path.read_bytes()[:-10], at=NOW - 60)
    assert (names(look(tmp_path)), look(tmp_path).remarks) == ([], ())

    late = look(tmp_path, now=NOW + 600)

    assert names(late) == []
    assert "ana/a.zip is incomplete" in late.remarks[0]


@pytest.mark.parametrize(
    "name", ["a.zip.part", "a.zip.crdownload", ".a.zip", ".hidden/a.zip", "a.zip.tmp", "notes.txt"]
)
def test_unfinished_and_hidden_files_are_not_uploads(tmp_path: Path, name: str) -> None:
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


def test_what_nobody_goes_on_writing_holds_up_nothing_silently(tmp_path: Path) -> None:
    """A download that was given up beside files that are whole: they would wait for it for ever."""
    for name in ("loose_0.json", "export/endsong_0.json"):
        put(tmp_path / "ana" / name)
        put(tmp_path / "ana" / f"{name}.crdownload", at=NOW - 60)
    assert [(stuck.reason, stuck.has_failed) for stuck in look(tmp_path).stuck] == [
        ("ana/export is still being written", False), ("ana is still being written", False),
    ]  # fmt: skip

    late = look(tmp_path, now=NOW + 600)

    assert [stuck.has_failed for stuck in late.stuck] == [True, True]
    assert late.stuck[0].reason == late.remarks[0]
    assert late.remarks[0].startswith(
        "ana/export/endsong_0.json.crdownload has not grown for 2 min: finish or delete it"
    )
    assert late.remarks[1].startswith("ana/loose_0.json.crdownload has not grown")
    for name in ("loose_0.json", "export/endsong_0.json"):
        (tmp_path / "ana" / f"{name}.crdownload").unlink()
    assert names(look(tmp_path, now=NOW + 600)) == ["ana/export", "ana"]


def test_what_is_no_file_and_what_is_packed_otherwise_is_named_and_stops_nothing(tmp_path: Path) -> None:
    put(tmp_path / "ana" / "endsong_0.json")
    put(tmp_path / "ana" / "export" / "endsong_1.json")
    os.mkfifo(tmp_path / "ana" / "pipe.json")
    os.mkfifo(tmp_path / "ana" / "export" / "pipe.zip")
    (tmp_path / "ana" / "export" / "link.json").symlink_to(tmp_path / "ana" / "endsong_0.json")
    put(tmp_path / "ana" / "my_spotify_data.7z")
    put(tmp_path / "ana" / "export" / "endsong_2.json.GZ")
    deepest = tmp_path.joinpath("ana", *"abcdefghijklmnopqr")
    put(deepest / "endsong_3.json")

    scan = look(tmp_path)

    assert names(scan) == ["ana/export", "ana"]
    assert sorted(scan.remarks) == [
        "ana/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/ is nested too deeply: move its files up",
        "ana/export/endsong_2.json.GZ is not a ZIP: unpack it here",
        "ana/export/link.json is a symbolic link, which is not followed",
        "ana/export/pipe.zip is not a regular file, and is left alone",
        "ana/my_spotify_data.7z is not a ZIP: unpack it here",
        "ana/pipe.json is not a regular file, and is left alone",
    ]


def test_a_file_in_utf_16_is_not_taken_for_one_that_is_cut_off(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be", "utf-32"):
        put(tmp_path / "ana" / encoding / "endsong_0.json", "[{}]\r\n".encode(encoding))
        put(tmp_path / "ben" / encoding / "endsong_0.json", '[{"ts'.encode(encoding))
    assert [upload.user_key for upload in look(tmp_path).ready] == ["ana"] * 3


def test_a_misplaced_file_is_remarked_on_and_stops_nothing(tmp_path: Path) -> None:
    put_zip(tmp_path / "ana" / "a.zip")
    put_zip(tmp_path / "stranger" / "a.zip")
    put_zip(tmp_path / "beside.zip")
    (tmp_path / "ben").mkdir()
    (tmp_path / "ben" / "link.zip").symlink_to(tmp_path / "ana" / "a.zip")

    scan = look(tmp_path)

    assert names(scan) == ["ana/a.zip"]
    told = "\n".join(scan.remarks)
    assert "beside.zip is not in a user's folder" in told
    assert "stranger/ does not belong to any user" in told
    assert "ben/link.zip is a symbolic link" in told


def test_a_name_that_is_not_utf_8_is_remarked_on_and_left_alone(tmp_path: Path) -> None:
    put_zip(tmp_path / "ana" / "a.zip")
    try:
        put_zip(tmp_path / "ana" / os.fsdecode(b"m\xfcsik.zip"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")

    scan = look(tmp_path)

    assert names(scan) == ["ana/a.zip"]
    assert scan.remarks == ("ana/ contains names that are not UTF-8 (1): rename them",)


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


def test_a_table_and_a_players_log_are_archives_of_their_own_though_the_log_is_hidden(tmp_path: Path) -> None:
    put(tmp_path / "ana" / "scrobbles.csv", b"a,b,c,31 Dec 2019 23:11")
    put(tmp_path / "ana" / ".scrobbler.log", b"#AUDIOSCROBBLER/1.1\n")
    put(tmp_path / "ana" / ".other.log", b"x")
    put(tmp_path / "ana" / "0.json")
    put(tmp_path / "ana" / "export" / "1.jsonl", b"{}\n")

    assert sorted(names(look(tmp_path))) == ["ana", "ana/.scrobbler.log", "ana/export", "ana/scrobbles.csv"]
    assert not look(tmp_path).remarks
