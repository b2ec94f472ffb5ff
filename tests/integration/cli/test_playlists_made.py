"""Lists of what was on a playlist before, and all of a user's playlists as one ZIP."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from myi_pipeline.playlists.files import read_file
from myi_pipeline.postgres.connections import Role, Warehouse

URI = "spotify:track:{:022d}"
TRACK = "#EXTINF:215,Björk - Song {0}\nhttps://open.spotify.com/track/{0:022d}\n"
LOCAL = "spotify:local:Me:Demos:First:61\n"


class Lists:
    """A playlist of a file with its versions; entries are numbers of tracks, 0 is a file of its owner's."""

    def __init__(self, myi: Callable, folder: Path) -> None:
        self.myi, self._folder = myi, folder

    def keep(self, *entries: int, name: str = "Road trip", file: str = "trip") -> str:
        """A further version; gives the playlist's number."""
        path = self._folder / f"{file}.m3u8"
        body = "".join(TRACK.format(each) if each else LOCAL for each in entries)
        path.write_text(f"#EXTM3U\n#PLAYLIST:{name}\n{body}")
        ran = self.myi("playlists", "import", path, "--user", "ana", "--json")
        assert ran.code == 0, ran.err
        return str(ran.document["stored"][0]["playlist_id"])

    def restored(self, *arguments: object) -> dict:
        ran = self.myi("playlists", "restore", "ana", *arguments, "--json")
        assert ran.code == 0, ran.err
        return ran.document["made"]

    def entries(self, playlist: object, *arguments: object) -> list[int]:
        shown = self.myi("playlists", "show", "ana", playlist, *arguments, "--json").document["entries"]
        return [int(each["uri"][-22:]) if each["kind"] == "track" else 0 for each in shown]


@pytest.fixture
def lists(myi: Callable, warehouse: Warehouse, tmp_path: Path) -> Lists:
    assert myi("user", "add", "ana", "--time-zone", "UTC").code == 0
    return Lists(myi, tmp_path)


def test_what_was_on_a_list_is_a_list_again(lists: Lists, warehouse: Warehouse) -> None:
    number = lists.keep(1, 2, 0, 2, 3)
    lists.keep(3, 4)
    lists.keep(4)
    made = lists.restored(number, "--version", 1)
    assert (made["entries"], made["version_no"], made["is_new"]) == (5, 1, True)
    assert lists.entries(made["playlist_id"]) == [1, 2, 0, 2, 3]
    assert lists.entries(number) == [4]
    assert lists.restored(number, "--version", 1) == {**made, "is_new": False}

    named = lists.restored(number, "--version", 1, "--as", "  The\ttrip ")
    assert (named["name"], named["playlist_id"] == made["playlist_id"]) == ("The trip", False)
    with warehouse.connect(Role.INGEST) as connection:
        texts = connection.execute(
            "select original ->> 'uri' from raw.playlist_items where kind = 'local' order by playlist_id"
        ).fetchall()
    assert texts == [("spotify:local:Me:Demos:First:61",)] * 3


def test_what_was_removed_is_a_list_however_it_went(lists: Lists) -> None:
    number = lists.keep(1, 2, 2, 0, 3)
    lists.keep(3, 2, 5, 6)
    lists.keep(6, 3, 2)
    removed = lists.restored(number, "--removed")
    # One of two equal ones; the file; and one that came and went in between.
    assert lists.entries(removed["playlist_id"]) == [1, 2, 0, 5]
    since = lists.restored(number, "--removed", "--version", 2)
    assert lists.entries(since["playlist_id"]) == [5]
    # What is there again is no longer removed: a further version of the same list.
    lists.keep(6, 3, 2, 1)
    again = lists.restored(number, "--removed")
    assert (again["playlist_id"], again["version_no"]) == (removed["playlist_id"], 2)
    assert lists.entries(again["playlist_id"]) == [2, 0, 5]
    lists.keep()
    emptied = lists.restored(number, "--removed", "--version", 4)
    assert lists.entries(emptied["playlist_id"]) == [6, 3, 2, 1]


def test_a_day_means_its_end_and_a_moment_itself(lists: Lists, warehouse: Warehouse) -> None:
    number = lists.keep(1)
    lists.keep(1, 2)
    lists.keep(1, 2, 3)
    with warehouse.connect(Role.OWNER) as connection:
        for version, at in ((1, "2024-03-01 23:59"), (2, "2024-03-02 00:00"), (3, "2024-03-05 12:00")):
            connection.execute(
                "update raw.playlist_versions set seen_at = %s where playlist_id = %s and version_no = %s",
                (f"{at}Z", int(number), version),
            )
    for at, expected in (
        ("2024-03-01", [1]), ("2024-03-04", [1, 2]), ("2024-03-05", [1, 2, 3]), ("2024-03-02T00:00:00Z", [1, 2]),
        ("2024-03-02T00:59:59+01:00", [1]),
    ):  # fmt: skip
        assert lists.entries(lists.restored(number, "--at", at)["playlist_id"]) == expected, at
    early = lists.myi("playlists", "restore", "ana", number, "--at", "2024-02-29")
    assert (early.code, "first seen on 2024-03-01" in early.err) == (1, True)


def test_what_makes_no_sense_is_said(lists: Lists) -> None:
    number = lists.keep(1)
    for arguments, code, said in (
        ((number,), 2, "--at DATE or --version N"),
        ((number, "--at", "2024-03-01", "--version", 1), 2, "either"),
        ((number, "--at", "yesterday"), 2, "a day such as"),
        ((number, "--version", 7), 1, "no version 7"),
        ((number, "--removed"), 1, "nothing has been removed"),
        ((number, "--version", 1, "--as", " \t"), 2, "needs a name"),
        (("9999", "--version", 1), 1, "no playlist 9999"),
    ):
        ran = lists.myi("playlists", "restore", "ana", *arguments)
        assert (ran.code, said in ran.err) == (code, True), (arguments, ran.err)
    assert lists.myi("user", "add", "ben").code == 0
    assert lists.myi("playlists", "restore", "ben", number, "--version", 1).code == 1
    assert len(lists.myi("playlists", "list", "ana", "--json").document["playlists"]) == 1


@pytest.mark.parametrize("key", ["m3u8", "xspf", "jspf", "tunemymusic", "exportify"])
def test_all_playlists_are_one_zip_with_a_manifest(lists: Lists, tmp_path: Path, key: str) -> None:
    numbers = [
        lists.keep(1, 2, 0, 2, name="Road/trip", file="a"),
        lists.keep(3, name="ROAD_TRIP", file="b"),
        lists.keep(4, name="con", file="c"),
    ]
    lists.keep(5, 6, name="con", file="c")
    path = tmp_path / "all.zip"
    ran = lists.myi("playlists", "export", "ana", "--all", "--format", key, "-o", path)
    assert (ran.code, "3 playlists, 7 entries" in ran.err) == (0, True), ran.err
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))
    assert names[-1] == "manifest.json"
    assert len({name.casefold() for name in names}) == 4
    assert not any(set(name) & set('<>:"/\\|?*') or name.casefold().startswith("con.") for name in names)
    assert [each["file"] for each in manifest["playlists"]] == names[:-1]
    facts = ("playlist_id", "name", "version_no", "entries")
    assert [tuple(each[fact] for fact in facts) for each in manifest["playlists"]] == [
        (int(numbers[0]), "Road/trip", 1, 4), (int(numbers[1]), "ROAD_TRIP", 1, 1), (int(numbers[2]), "con", 2, 2),
    ]  # fmt: skip
    assert (manifest["format"], manifest["left_out"]) == (key, [])
    said = manifest["playlists"][0]["not_said"]
    assert ("duration_ms" in said) == (key == "tunemymusic")
    readings = {reading.place.rpartition("/")[2]: reading for reading in read_file(path)}
    first = readings[names[0]].playlists[0]
    assert [each.track.uri for each in first.entries] == [
        URI.format(1), URI.format(2), "spotify:local:Me:Demos:First:61", URI.format(2),
    ]  # fmt: skip


def test_a_list_that_was_never_read_is_left_out_and_said(lists: Lists, warehouse: Warehouse, tmp_path: Path) -> None:
    lists.keep(1)
    with warehouse.connect(Role.OWNER) as connection:
        connection.execute(
            "with made as (insert into raw.playlists (user_id, provider, provider_playlist, first_seen_at)"
            " values (1, 'file', 'shut', now()) returning playlist_id)"
            " insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name)"
            " select playlist_id, 1, now(), 'unreadable', 'Shut' from made"
        )
    ran = lists.myi("playlists", "export", "ana", "--all", "--to", "xspf", "--output", tmp_path)
    assert (ran.code, "Left out: Shut, because its entries were never read." in ran.err) == (0, True)
    with zipfile.ZipFile(tmp_path / "playlists-xspf.zip") as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert [each["name"] for each in manifest["left_out"]] == ["Shut"]


def test_an_export_that_fails_leaves_the_file_as_it_was(lists: Lists, tmp_path: Path) -> None:
    number = lists.keep(1)
    path = tmp_path / "kept.zip"
    path.write_bytes(b"before")
    assert lists.myi("playlists", "export", "nobody", "--all", "--to", "xspf", "-o", path).code == 2
    assert lists.myi("playlists", "export", "ana", "9999", "--to", "xspf", "-o", path).code == 1
    assert lists.myi("playlists", "export", "ana", number, "--all", "--to", "xspf", "-o", path).code == 2
    assert lists.myi("playlists", "export", "ana", "--to", "xspf", "-o", path).code == 2
    assert path.read_bytes() == b"before"
    link = tmp_path / "link.xspf"
    link.symlink_to(path)
    assert lists.myi("playlists", "export", "ana", number, "--to", "xspf", "-o", link).code == 0
    assert (link.is_symlink(), b"Bj" in path.read_bytes()) == (True, True)
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []
