"""JSPF, ListenBrainz' dialect of it, and the playlists in Spotify's account data."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.errors import BadInput, UnsafeArchive
from myi_pipeline.playlists.files import Limits, read_file
from myi_pipeline.providers.playlists import EntryKind
from tests.unit.playlists.conftest import Read

MBID = "e8f9b188-f819-4e43-ab0f-4bd26ce9ff56"
LISTENBRAINZ: dict[str, Any] = {
    "playlist": {
        "annotation": "<p>Weekly</p>",
        "creator": "listenbrainz",
        "date": "2024-03-01T00:00:00+00:00",
        "extension": {"https://musicbrainz.org/doc/jspf#playlist": {"public": True, "created_for": "me"}},
        "identifier": "https://listenbrainz.org/playlist/862add71-2e87-44b7-abe1-a7f1a8658346",
        "title": "Weekly jams",
        "track": [
            {
                "identifier": [f"https://musicbrainz.org/recording/{MBID}"],
                "title": "Song",
                "creator": "A feat. B",
                "album": "C",
                "duration": 215000,
                "extension": {
                    "https://musicbrainz.org/doc/jspf#track": {
                        "added_at": "2024-03-01T12:00:00+01:00",
                        "added_by": "me",
                        "artist_identifiers": ["https://musicbrainz.org/artist/x"],
                        "additional_metadata": {
                            "caa_id": 1,
                            "artists": [
                                {"artist_credit_name": "A", "artist_mbid": "x", "join_phrase": " feat. "},
                                {"artist_credit_name": "B", "artist_mbid": "y", "join_phrase": ""},
                            ],
                        },
                    }
                },
            },
            {"identifier": f"https://musicbrainz.org/recording/{MBID}", "title": None, "duration": None, "track": []},
        ],
    }
}


def test_a_playlist_of_listenbrainz_is_read_with_recordings_and_artists(read: Read) -> None:
    reading = read(json.dumps(LISTENBRAINZ), "a.jspf")
    (playlist,) = reading.playlists
    first, second = playlist.entries
    assert (reading.format.key, playlist.name, playlist.creator) == ("jspf", "Weekly jams", "listenbrainz")
    assert playlist.url == "https://listenbrainz.org/playlist/862add71-2e87-44b7-abe1-a7f1a8658346"
    assert (first.track.recording_mbid, first.track.uri, first.track.artists) == (MBID, None, ("A", "B"))
    assert (first.added_at, first.added_by) == (datetime(2024, 3, 1, 11, tzinfo=UTC), "me")
    assert second.track.recording_mbid == MBID


def test_jspf_is_known_by_its_content_under_any_name(read: Read) -> None:
    assert read(json.dumps(LISTENBRAINZ), "export.json").format.key == "jspf"


def test_fields_as_the_draft_has_them_are_read(read: Read) -> None:
    track = {
        "location": ["https://tidal.com/browse/track/77"], "identifier": "urn:isrc:USUM71703861", "trackNum": "3",
        "duration": 1000.0, "link": [{"x": "y"}], "extension": {"http://example.com/": [1]},
    }  # fmt: skip
    reading = read(json.dumps({"playlist": {"track": [track], "license": "http://x/"}}), "b.jspf")
    found = reading.playlists[0].entries[0].track
    assert (reading.playlists[0].name, found.uri, found.isrc) == ("b", "tidal:track:77", "USUM71703861")
    assert (found.track_number, found.duration_ms) == (3, 1000)
    assert reading.warnings == (
        "b.jspf, playlist: `license` of a playlist is not kept.",
        "b.jspf, playlist.track[0]: `link` of a track is not kept.",
        "b.jspf, playlist.track[0].extension: the body of an extension is not kept.",
    )


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"playlist": []}, "playlist: this must be an object, not a list"),
        ({"playlist": {"title": 1}}, "playlist.title: this must be text, not a number"),
        ({"playlist": {"track": {}}}, "playlist.track: this must be a list, not an object"),
        ({"playlist": {"track": ["a"]}}, r"playlist.track\[0\]: this must be an object, not text"),
        ({"playlist": {"track": [{"duration": -1}]}}, r"track\[0\].duration: this must be a whole number from 0"),
        ({"playlist": {"track": [{"duration": True}]}}, r"track\[0\].duration: this must be a whole number from 0"),
        ({"playlist": {"track": [{"location": [1]}]}}, r"track\[0\].location\[0\]: this must be text"),
        ({"title": "x"}, "a JSPF file is an object with `playlist`"),
        ([1], "this must be an object"),
        ('{"playlist": {"track": [', "line 1, column 25: |the file is not JSON"),
        ('{"playlist": {"track": [' + "{}," * 2_500_000 + "{}]}}", "more than 5,000,000 values"),
        ('{"playlist": {"title": NaN}}', "NaN is not a JSON number"),
        ('{"playlist": ' + "[" * 100_000, "nested too deeply"),
        ('{"playlist": {"x": ' + "9" * 10_000 + "}}", "digits"),
        ('{"playlist": {"title": "\udcff"}}', "the text is not UTF-8"),
    ],
)
def test_jspf_of_another_shape_is_refused_with_its_path(document: object, reason: str, read: Read) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(BadInput, match=reason) as refused:
        read(text.encode("utf-8", "surrogateescape"), "a.jspf")
    assert str(refused.value).startswith("a.jspf")
    assert refused.value.rule


PLAYLISTS = {
    "playlists": [
        {
            "name": "Run &amp; jump",
            "lastModifiedDate": "2023-09-25",
            "collaborators": [],
            "items": [
                {
                    "track": {
                        "trackName": "Song", "artistName": "A", "albumName": "B",
                        "trackUri": "spotify:track:" + "1" * 22,
                    },
                    "episode": None, "audiobook": None, "localTrack": None, "addedDate": "2023-07-04",
                },
                {"track": {"trackName": "Old", "artistName": "A", "albumName": "B"}, "episode": None},
                {"episode": {"episodeName": "E", "showName": "S", "episodeUri": "spotify:episode:" + "2" * 22}},
                {"track": None, "localTrack": {"uri": "spotify:local:Oasis:Morning+Glory:Wonder%3Awall:258"}},
                {"track": None, "episode": None, "localTrack": None, "addedDate": "2020-01-01"},
            ],
            "description": "i don&#x27;t know", "numberOfFollowers": 1,
        },
        {"name": "Empty", "items": []},
    ]
}  # fmt: skip
LIBRARY = {
    "tracks": [{"artist": "A", "album": "B", "track": "Liked", "uri": "spotify:track:" + "3" * 22}],
    "albums": [{"artist": "A", "album": "B", "uri": "spotify:album:x"}], "shows": [],
    "episodes": [{"name": "E", "show": "S", "uri": "spotify:episode:" + "4" * 22}], "bannedTracks": [],
}  # fmt: skip


def test_nothing_that_stands_on_a_list_of_the_account_data_vanishes(read: Read) -> None:
    reading = read(json.dumps(PLAYLISTS), "Playlist1.json")
    first, empty = reading.playlists
    assert (reading.format.key, first.name, first.description, empty.entries) == (
        "spotify", "Run &amp; jump", "i don't know", (),
    )  # fmt: skip
    kinds = [(each.track.kind, each.track.title, each.track.uri) for each in first.entries]
    assert kinds == [
        (EntryKind.TRACK, "Song", "spotify:track:" + "1" * 22),
        (EntryKind.TRACK, "Old", None),
        (EntryKind.EPISODE, "E", "spotify:episode:" + "2" * 22),
        (EntryKind.LOCAL, "Wonder:wall", "spotify:local:Oasis:Morning+Glory:Wonder%3Awall:258"),
        (EntryKind.REMOVED, "", None),
    ]
    local = first.entries[3].track
    assert (local.artists, local.album, local.duration_ms) == (("Oasis",), "Morning Glory", 258_000)
    assert first.entries[0].added_at == datetime(2023, 7, 4, tzinfo=UTC)
    assert first.entries[3].original == PLAYLISTS["playlists"][0]["items"][3]  # type: ignore[index]


def test_liked_songs_and_saved_episodes_are_lists_too(read: Read) -> None:
    reading = read(json.dumps(LIBRARY), "YourLibrary.json")
    assert [(each.name, len(each.entries)) for each in reading.playlists] == [("Liked Songs", 1), ("Your Episodes", 1)]
    assert reading.warnings == ("YourLibrary.json: `albums` of the library is not a list of tracks and is left out.",)


def zipped(files: dict[str, str | bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_of_the_accounts_zip_only_its_playlists_are_read(tmp_path: Path) -> None:
    path = tmp_path / "my_spotify_data.zip"
    path.write_bytes(
        zipped({
            "Spotify Account Data/Userdata.json": "{",
            "Spotify Account Data/StreamingHistory_music_0.json": "[]",
            "Spotify Account Data/Playlist1.json": json.dumps(PLAYLISTS),
            "Spotify Account Data/YourLibrary.json": json.dumps(LIBRARY),
            "Spotify Account Data/a.m3u8": "#EXTM3U\nother.m3u\n",
        })
    )  # fmt: skip
    readings = read_file(path)
    assert [each.name for reading in readings for each in reading.playlists] == [
        "Run &amp; jump", "Empty", "Liked Songs", "Your Episodes",
    ]  # fmt: skip
    assert readings[0].place == "my_spotify_data.zip/Spotify Account Data/Playlist1.json"


def test_a_zip_of_other_playlist_files_is_read_file_by_file(tmp_path: Path) -> None:
    path = tmp_path / "lists.zip"
    path.write_bytes(
        zipped({"b.pls": "[playlist]\nFile1=a\n", "x/a.m3u8": "#EXTM3U\na\n", "__MACOSX/._b.pls": b"\0", "c.txt": ""})
    )
    assert [(each.format.key, each.playlists[0].name) for each in read_file(path)] == [("pls", "b"), ("m3u8", "a")]


def _lying(data: bytes) -> bytes:
    return data[:-12] + b"\xff\xff" + data[-10:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped({"a.txt": "x"}), "holds no playlists: none of its 1 files"),
        (zipped({"a.pls": "[playlist]\nFile1=a\n"})[:-20], "the ZIP is cut off"),
        (zipped({"a.pls": "[playlist]\nFile1\n"}), "z.zip/a.pls, line 2: a line without `=`"),
        (zipped({"a.pls": "x" * 2_000_000}), "z.zip/a.pls: not read: it has more than 1,000,000 bytes"),
        (zipped({f"{n}.m3u8": "#EXTM3U\n" + "#\n" * 450_000 for n in range(3)}), "add up to more than 2,000,000 bytes"),
        (zipped({f"{n}.pls": "" for n in range(101)}), "it has more than 100 files"),
        (zipped({"a.pls": "x"}, method=zipfile.ZIP_LZMA), "compressed by an unsupported method"),
        (_lying(zipped({"a.pls": "x"})), "ZIP64"),
        (zipped({"a.pls": "[playlist]\n" * 99}).replace(b"[playlist]", b"\xff" * 10), "z.zip"),
        (zipped({"a.zip": zipped({"a.pls": "x"})}), "holds no playlists"),
    ],
)
def test_a_zip_that_is_broken_or_too_large_is_refused(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    path.write_bytes(data)
    with pytest.raises(BadInput, match=reason):
        read_file(path, limits=Limits(max_bytes=1_000_000, max_unpacked_bytes=2_000_000, max_members=100))


def test_a_zip_bomb_is_unsafe_by_name(tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    path.write_bytes(zipped({"a.pls": b"\0" * 100_000_000}))
    with pytest.raises(UnsafeArchive, match="more than"):
        read_file(path)
