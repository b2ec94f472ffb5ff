"""Which packages and files are accepted, however they are handed over, and how the others are refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zipfile
from pathlib import Path

import pytest

from myi_pipeline.archives.files import FileKind, HistoryArchive, Limits, open_history
from myi_pipeline.archives.files.formats import FORMATS, kind_by_name
from myi_pipeline.archives.files.kinds import natural_key
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.errors import BadInput, UnsafeArchive, WrongPackage

ACCOUNT_ROW = {"endTime": "2020-05-17 08:09", "artistName": "Band", "trackName": "Song", "msPlayed": 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("endsong_0.json", FileKind.ENDSONG),
        ("MyData/endsong_12.json", FileKind.ENDSONG),
        ("Spotify Extended Streaming History/Streaming_History_Audio_2011-2014_0.json", FileKind.EXTENDED_AUDIO),
        ("Streaming_History_Audio_2023_9.json", FileKind.EXTENDED_AUDIO),
        ("Streaming_History_Audio_2023_9 (1).json", FileKind.EXTENDED_AUDIO),
        ("STREAMING_HISTORY_AUDIO_2023_9.JSON", FileKind.EXTENDED_AUDIO),
        ("a/b/c/Streaming_History_Video_2018-2024.json", FileKind.EXTENDED_VIDEO),
        ("StreamingHistory0.json", FileKind.ACCOUNT),
        ("StreamingHistory_music_0.json", FileKind.ACCOUNT_MUSIC),
        ("StreamingHistory_podcast_1.json", FileKind.ACCOUNT_PODCAST),
        ("StreamingHistory_audiobook_0.json", FileKind.ACCOUNT_AUDIOBOOK),
        ("__MACOSX/._endsong_0.json", None),
        ("endsong_0.json.bak", None),
        ("endsongs.json", None),
        ("Playlist1.json", None),
        ("StreamingHistory_music_0.json/readme.txt", None),
    ],
)
def test_a_file_is_known_by_its_base_name_alone(name: str, kind: FileKind | None) -> None:
    assert kind_by_name(name) == kind


def test_only_account_files_are_of_the_account_source() -> None:
    assert {kind for kind in FileKind if FORMATS[kind].source is Source.ACCOUNT_HISTORY} == {
        FileKind.ACCOUNT,
        FileKind.ACCOUNT_MUSIC,
        FileKind.ACCOUNT_PODCAST,
        FileKind.ACCOUNT_AUDIOBOOK,
    }


def test_files_are_sorted_by_number_and_not_by_digit(zip_of, read, row) -> None:
    names = [f"d/endsong_{number}.json" for number in (10, 2, 1, 0, 11)]
    outcome = read(zip_of({name: [row(ms_played=index)] for index, name in enumerate(names)}))
    assert outcome.files == [f"d/endsong_{number}.json" for number in (0, 1, 2, 10, 11)]


def test_natural_order_survives_odd_digits() -> None:
    long = "a" + "9" * 5000 + ".json"
    assert sorted([long, "a²_1.json", "a10.json", "A9.json"], key=natural_key) == [
        "A9.json",
        "a10.json",
        long,
        "a²_1.json",
    ]


def test_a_zip_a_folder_and_files_give_the_same_plays(tmp_path: Path, zip_of, read, row) -> None:
    members = {
        "deep/er/Streaming_History_Audio_2020_0.json": [row(), row(ms_played=2)],
        "deep/er/Streaming_History_Video_2020.json": [row(ms_played=3)],
        "deep/ReadMeFirst.pdf": b"%PDF",
    }
    archive = read(zip_of(members))
    for name, content in members.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    folder = read(tmp_path / "folder")
    files = read(sorted((tmp_path / "folder/deep/er").iterdir()))
    assert archive.plays == folder.plays == files.plays
    assert archive.files == folder.files == ["deep/er/" + name for name in files.files]
    assert archive.kinds == folder.kinds == files.kinds == ["extended_audio", "extended_video"]
    assert archive.skipped == folder.skipped == ("deep/ReadMeFirst.pdf",)
    assert folder.name == "folder"
    assert files.name == "Streaming_History_Audio_2020_0.json and 1 more"


def test_the_hash_of_plain_files_knows_only_what_is_in_the_play_files(tmp_path: Path, read, row) -> None:
    for folder, names in (("one", ("endsong_0", "endsong_1")), ("two", ("endsong_7", "endsong_3"))):
        (tmp_path / folder).mkdir()
        for number, name in enumerate(names):
            (tmp_path / folder / f"{name}.json").write_text(json.dumps([row(ms_played=number)]))
    (tmp_path / "two/notes.txt").write_text("not read")
    first = read(tmp_path / "one").sha256
    assert first == read(tmp_path / "two").sha256
    assert first == read([tmp_path / "one/endsong_1.json", tmp_path / "one/endsong_0.json"]).sha256
    (tmp_path / "two/endsong_7.json").write_text(json.dumps([row(ms_played=9)]))
    assert first != read(tmp_path / "two").sha256


def test_the_hash_of_a_zip_is_that_of_its_bytes(zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row()]})
    assert read(path).sha256 == hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([{"ts": "2020-05-17T08:09:10Z", "ms_played": 1}], "extended_audio"),
        ([ACCOUNT_ROW], "account_music"),
        ([1, ACCOUNT_ROW], "account_music"),
        ([{"endTime": "2020-05-17 08:09", "podcastName": "P", "episodeName": "E", "msPlayed": 1}], "account_podcast"),
        (
            [
                {
                    "endTime": "2020-05-17 08:09",
                    "authorName": "A",
                    "audiobookName": "B",
                    "chapterName": "C",
                    "msPlayed": 1,
                }
            ],
            "account_audiobook",
        ),
    ],
)
def test_a_renamed_file_is_known_by_its_first_rows(rows, kind, rows_of, zip_of, read) -> None:
    assert rows_of(*rows, name="my stuff.json").kinds == [kind]
    assert read(zip_of({"my stuff.json": rows})).kinds == [kind]


def test_extended_and_account_files_together_are_mixed(zip_of, read, row) -> None:
    assert read(zip_of({"endsong_0.json": [row()], "StreamingHistory0.json": [ACCOUNT_ROW]})).kind == "mixed"


def test_a_second_copy_of_a_file_is_left_out(zip_of, read) -> None:
    """Account data cuts off seconds, so two equal rows are two plays: copies would double a year of listening."""
    outcome = read(zip_of({"a/StreamingHistory0.json": [ACCOUNT_ROW], "b/StreamingHistory0.json": [ACCOUNT_ROW]}))
    assert outcome.files == ["a/StreamingHistory0.json"]
    assert outcome.skipped == ("b/StreamingHistory0.json",)


def test_a_file_of_a_name_that_says_nothing_is_judged_by_its_rows_also_beside_named_files(zip_of, read, row) -> None:
    """Rows of an extended history can be told from their copies; those of account data cannot."""
    members = {"endsong_0.json": [row()], "wrapped.json": [row(ms_played=9)], "Wrapped2023.json": [ACCOUNT_ROW]}
    outcome = read(zip_of(members | {"Playlist1.json": [row(ms_played=8)]}))
    assert outcome.files == ["endsong_0.json", "wrapped.json"]
    assert outcome.skipped == ("Playlist1.json", "Wrapped2023.json")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        # Nothing but a name would make these account data.
        ({"wrapped.json": {"topArtists": []}}, "This is not a listening history"),
        ({"Wrapped2024.json": [{"artist": "Band", "minutes": 3}]}, "This is not a listening history"),
        ({"Spotify Technical Log Information/Foo.json": []}, "technical log"),
        ({"MyData/RawCoreStream.json": [{}]}, "technical log"),
        ({"MyData/Userdata.json": {}, "MyData/Playlist1.json": {}}, "account data, but without"),
        ({"photos/1.jpg": b"", "photos/2.jpg": b""}, "MYI cannot read this package: none of its 2 files"),
        ({"my.json": [1, 2]}, "not a listening history"),
        ({}, "empty"),
        ({"folder/": b""}, "empty"),
    ],
)
def test_a_wrong_package_is_refused_with_what_it_is_and_what_is_read(members, says, zip_of, read) -> None:
    with pytest.raises(WrongPackage, match=says) as caught:
        read(zip_of(members))
    assert "MYI reads Spotify's extended streaming history" in str(caught.value)
    assert caught.value.place == "my_spotify_data.zip"


def test_an_empty_folder_is_a_wrong_package(tmp_path: Path, read) -> None:
    with pytest.raises(WrongPackage, match="This is empty"):
        read(tmp_path)


def test_a_folder_with_only_the_zip_in_it_says_to_hand_over_the_zip(tmp_path: Path, zip_of, read, row) -> None:
    zip_of({"endsong_0.json": [row()]})
    with pytest.raises(WrongPackage, match="import the inner archive itself"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"a": 1}', "does not contain a list"),
        (b"hello", "does not contain a list"),
        (b"[]", "not a listening history"),
        (b"", "not a listening history"),
        ('[{"ts": "2020"}]'.encode("utf-16"), "UTF-16"),
        (b'[{"name": "x"}]', "not a listening history"),
    ],
)
def test_an_unrelated_file_is_a_wrong_package(content: bytes, says: str, tmp_path: Path, read) -> None:
    (tmp_path / "some.json").write_bytes(content)
    with pytest.raises(WrongPackage, match=says):
        read(tmp_path / "some.json")


def test_chosen_files_that_are_no_history_are_passed_over_when_others_are(tmp_path: Path, read, row) -> None:
    """A shell's *.json over the unpacked account data names Userdata.json, too."""
    (tmp_path / "endsong_0.json").write_text(json.dumps([row()]))
    (tmp_path / "Userdata.json").write_text("{}")
    outcome = read(sorted(tmp_path.glob("*.json")))
    assert (outcome.files, outcome.skipped) == (["endsong_0.json"], ("Userdata.json",))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("my_spotify_data.zip", b"<html>signed out</html>", "not a ZIP file"),
        ("my_spotify_data.zip", b"", "not a ZIP file"),
        ("my_spotify_data.tgz", gzip.compress(b"x", mtime=0), "only ZIP archives are read"),
    ],
)
def test_a_file_that_is_not_a_zip_is_refused_as_such(
    name: str, content: bytes, says: str, tmp_path: Path, read
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        read(tmp_path / name)


def test_a_zip_is_known_by_its_content_whatever_it_is_called(zip_of, read, row) -> None:
    assert len(read(zip_of({"endsong_0.json": [row()]}, name="download")).plays) == 1


def test_archives_are_handed_over_one_by_one(tmp_path: Path, zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row()]})
    with pytest.raises(BadInput, match="one at a time"):
        read([path, path])
    with pytest.raises(BadInput, match="No file"):
        read([])
    with pytest.raises(BadInput, match="cannot be read"):
        read(tmp_path / "missing.json")
    with pytest.raises(BadInput, match="this is a folder"):
        read([path, tmp_path])


def test_links_in_a_folder_are_not_followed(tmp_path: Path, read, row) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "endsong_1.json").write_text(json.dumps([row()]))
    (folder / "endsong_0.json").write_text(json.dumps([row()]))
    (folder / "endsong_1.json").symlink_to(tmp_path / "endsong_1.json")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "endsong_2.json")
    outcome = read(folder)
    assert outcome.files == ["endsong_0.json"]
    assert outcome.skipped == ("endsong_1.json", "endsong_2.json", "up")


def test_a_file_that_changes_between_opening_and_reading_is_noticed(tmp_path: Path, row) -> None:
    path = tmp_path / "endsong_0.json"
    path.write_text(json.dumps([row()]))
    with open_history(tmp_path, limits=Limits(), hash_account=lambda _: b"") as archive:
        path.write_text(json.dumps([row(), row()]))
        with pytest.raises(BadInput, match="was changed"):
            list(archive.read(archive.files[0]))


def test_a_file_that_becomes_a_link_is_not_followed(tmp_path: Path, row) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "endsong_0.json"
    path.write_text(json.dumps([row()]))
    with open_history(folder, limits=Limits(), hash_account=lambda _: b"") as archive:
        path.rename(tmp_path / "moved.json")
        path.symlink_to(tmp_path / "moved.json")
        with pytest.raises(BadInput, match="cannot be read"):
            list(archive.read(archive.files[0]))


def test_a_folder_has_limits_too(tmp_path: Path, read, row) -> None:
    deep = tmp_path
    for _ in range(4):
        deep = deep / "d"
    deep.mkdir(parents=True)
    for number in range(5):
        (deep / f"endsong_{number}.json").write_text(json.dumps([row(ms_played=number)]))
    assert len(read(tmp_path).plays) == 5
    with pytest.raises(UnsafeArchive, match="nested deeper than 3") as caught:
        read(tmp_path, max_folder_depth=3)
    assert caught.value.rule == "max_folder_depth"
    for limit in ("max_entries", "max_file_bytes", "max_total_bytes"):
        with pytest.raises(UnsafeArchive) as caught:
            read(tmp_path, **{limit: 4})
        assert caught.value.rule == limit


def test_only_files_that_agree_in_size_and_checksum_are_unpacked_to_be_compared(tmp_path: Path) -> None:
    """A thousand files of one size were all unpacked and hashed when an archive was looked at: minutes, for 25 MB."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for number, text in enumerate(("[1]", "[2]", "[2]", "[3]")):
            made.writestr(f"endsong_{number}.json", text)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.json").write_text("[1]")

    def look(path: Path) -> HistoryArchive:
        return open_history(path, limits=Limits(), hash_account=lambda _: b"")

    with look(tmp_path / "a.zip") as archive:
        assert [file.name for file in archive.files] == ["endsong_0.json", "endsong_1.json", "endsong_3.json"]
        assert [bool(content.sha256) for content in archive.contents] == [False, True, False]
        named = archive.contents
    # What tells one file from another is the same for a ZIP and for what was unpacked from it.
    (tmp_path / "endsong_0.json").write_text("[1]")
    with look(tmp_path / "endsong_0.json") as plain:
        assert (plain.contents[0].size, plain.contents[0].crc32) == (named[0].size, named[0].crc32)


def test_the_limits_leave_room_for_a_real_history_and_not_for_what_stops_a_machine() -> None:
    heaviest_file, heaviest_history = 13_000_000, 20 * 13_000_000
    limits = Limits()
    assert 10 * heaviest_file < limits.max_file_bytes < 100 * heaviest_file
    assert 5 * heaviest_history < limits.max_total_bytes < 20 * heaviest_history
