"""Playlists of files are kept with their history, and written from what is kept."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from myi_pipeline.playlists.files import read_file
from myi_pipeline.postgres.connections import Role, Warehouse

URI = "spotify:track:{:022d}"
HEAD = "#EXTM3U\n#PLAYLIST:Road trip\n"
TRACK = "#EXTINF:215,Björk - Army of Me {0}\nhttps://open.spotify.com/track/{0:022d}\n"
PATH = "#EXTINF:1,Ana - A demo\nC:\\Users\\ana\\demo.mp3\n/home/ana/secret.mp3\n"
LISTS = {
    "playlists": [
        {"name": "Same", "items": [{"track": {"trackName": "a", "artistName": "b", "trackUri": URI.format(1)}}]},
        {"name": "Same", "items": [{"track": None, "localTrack": {"uri": "spotify:local:A:B:C:9"}}, {"track": None}]},
    ]
}


def test_a_files_playlist_is_kept_with_its_history(myi: Callable, warehouse: Warehouse, tmp_path: Path) -> None:
    assert myi("user", "add", "ana").code == 0
    path = tmp_path / "trip.m3u8"
    path.write_text(HEAD + TRACK.format(1) + TRACK.format(2) + TRACK.format(1))
    first = myi("playlists", "import", path, "--user", "ana", "--json")
    assert first.code == 0, first.err
    (stored,) = first.document["stored"]
    assert (stored["name"], stored["entries"], stored["is_new"]) == ("Road trip", 3, True)

    again = myi("playlists", "import", path, "--user", "ana", "--json").document["stored"]
    assert again == [{**stored, "is_new": False}]
    assert "0 of them new or changed.\n" in myi("playlists", "import", path, "--user", "ana").out
    path.write_text(HEAD + TRACK.format(2))
    assert "1 playlist kept, 1 of them new or changed" in myi("playlists", "import", path, "--user", "ana").out

    (listed,) = myi("playlists", "list", "ana", "--json").document["playlists"]
    assert (listed["provider"], listed["name"], listed["versions"], listed["items"]) == ("file", "Road trip", 2, 1)
    number = str(stored["playlist_id"])
    shown = myi("playlists", "show", "ana", number, "--version", "1", "--json").document["entries"]
    assert [each["uri"] for each in shown] == [URI.format(1), URI.format(2), URI.format(1)]

    made = tmp_path / "made.xspf"
    assert myi("playlists", "export", "ana", number, "--to", "xspf", "--version", "1", "--output", made).code == 0
    (playlist,) = read_file(made)[0].playlists
    assert playlist.name == "Road trip"
    assert [each.track.uri for each in playlist.entries] == [URI.format(1), URI.format(2), URI.format(1)]
    assert myi("user", "add", "ben").code == 0
    assert myi("playlists", "export", "ben", number, "--to", "xspf").code == 1


def test_no_path_of_a_disk_comes_into_the_catalogue(myi: Callable, warehouse: Warehouse, tmp_path: Path) -> None:
    assert myi("user", "add", "ana").code == 0
    path = tmp_path / "mine.m3u8"
    path.write_text("#EXTM3U\n" + PATH)
    assert myi("playlists", "import", path, "--user", "ana").code == 0
    with warehouse.connect(Role.INGEST) as connection:
        contents = connection.execute("select title, uri from raw.contents").fetchall()
        kinds = connection.execute("select kind, original->>'uri' from raw.playlist_items order by position").fetchall()
    assert contents == [("A demo", None)]
    assert kinds == [("track", None), ("local", "/home/ana/secret.mp3")]


def test_lists_of_one_name_in_one_file_are_two(myi: Callable, warehouse: Warehouse, tmp_path: Path) -> None:
    assert myi("user", "add", "ana").code == 0
    path = tmp_path / "Playlist1.json"
    path.write_text(json.dumps(LISTS))
    stored = myi("playlists", "import", path, "--user", "ana", "--json").document["stored"]
    assert [each["entries"] for each in stored] == [1, 2]
    assert len({each["playlist_id"] for each in stored}) == 2
    with warehouse.connect(Role.INGEST) as connection:
        kinds = connection.execute("select kind from raw.playlist_items order by playlist_id, position").fetchall()
    assert kinds == [("track",), ("local",), ("removed",)]


def test_a_dry_run_and_an_unknown_user_store_nothing(myi: Callable, warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "trip.m3u8"
    path.write_text(HEAD + TRACK.format(1))
    assert myi("playlists", "import", path, "--user", "nobody").code == 2
    assert myi("user", "add", "ana").code == 0
    assert myi("playlists", "import", path, "--user", "ana", "--dry-run", "--json").document["stored"] == []
    assert myi("playlists", "list", "ana", "--json").document == {"playlists": []}


def test_a_list_of_the_account_data_is_one_list_whatever_its_file_is_called(
    myi: Callable, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Browsers number downloads, and with another list more, a list moves to the next file: each became a new list."""
    assert myi("user", "add", "ana").code == 0
    same = LISTS["playlists"][0]
    other = {"name": "Other", "items": []}
    library = {"tracks": [{"artist": "b", "track": "a", "uri": URI.format(1)}], "albums": [], "episodes": []}
    downloads = {
        "my_spotify_data.zip": {"Playlist1.json": [same, other], "YourLibrary.json": library},
        "my_spotify_data (1).zip": {"Playlist1.json": [other], "Playlist2.json": [same], "YourLibrary.json": library},
    }
    for name, files in downloads.items():
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file, content in files.items():
                document = {"playlists": content} if isinstance(content, list) else content
                archive.writestr(f"Spotify Account Data/{file}", json.dumps(document))
    first, second = (
        {
            each["name"]: each
            for each in myi("playlists", "import", tmp_path / name, "--user", "ana", "--json").document["stored"]
        }
        for name in downloads
    )
    assert set(first) == {"Same", "Other", "Liked Songs"}
    assert second == {name: {**each, "is_new": False} for name, each in first.items()}
    # Of two lists of one name the second stays the second, also where it is in the next file.
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as archive:
        archive.writestr("Playlist1.json", json.dumps({"playlists": [same]}))
        archive.writestr("Playlist2.json", json.dumps({"playlists": [{**same, "items": []}]}))
    stored = myi("playlists", "import", twice, "--user", "ana", "--json").document["stored"]
    assert [each["is_new"] for each in stored] == [False, True]
    assert stored[0]["playlist_id"] != stored[1]["playlist_id"]
    zipfile.ZipFile(twice).extractall(tmp_path)
    unpacked = [tmp_path / "Playlist1.json", tmp_path / "Playlist2.json"]
    assert myi("playlists", "import", *unpacked, "--user", "ana", "--json").document["stored"] == [
        {**each, "is_new": False} for each in stored
    ]
