"""M3U and PLS as other programs write them."""

from __future__ import annotations

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.files import Limits
from myi_pipeline.providers.playlists import EntryKind
from tests.unit.playlists.conftest import Read

EXTENDED = (
    "#EXTM3U\n#PLAYLIST:Road trip\n#EXTINF:215,Björk - Army of Me\nhttps://open.spotify.com/track/" + "a" * 22 + "\n"
)


def test_an_extended_list_is_read_with_its_name(read: Read) -> None:
    reading = read(EXTENDED, "a.m3u8")
    (playlist,) = reading.playlists
    track = playlist.entries[0].track
    assert (reading.format.key, playlist.name, reading.warnings) == ("m3u8", "Road trip", ())
    assert (track.uri, track.title, track.artists, track.duration_ms) == (
        "spotify:track:" + "a" * 22,
        "Army of Me",
        ("Björk",),
        215_000,
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + EXTENDED.encode(),
        EXTENDED.replace("\n", "\r\n").encode(),
        EXTENDED.replace("\n", "\r").encode(),
        EXTENDED.replace("\n", "\n\n").encode(),
        EXTENDED.encode("utf-16"),
        EXTENDED.replace("#PLAYLIST", "#EXTENC:UTF-8\n# by a player\n#PLAYLIST").encode(),
    ],
    ids=["mark", "CRLF", "CR", "empty lines", "UTF-16", "comments"],
)
def test_however_the_same_is_written_it_is_the_same(data: bytes, read: Read) -> None:
    assert read(data, "a.m3u8").playlists == read(EXTENDED, "b.m3u8").playlists


def test_latin_1_is_read_in_m3u_and_refused_in_m3u8(read: Read) -> None:
    data = "#EXTM3U\n#EXTINF:1,Björk - \u201cX\u201d\na.mp3\n".encode("cp1252")
    reading = read(data, "a.m3u")
    track = reading.playlists[0].entries[0].track
    assert (track.artists, track.title) == (("Björk",), "\u201cX\u201d")
    assert reading.warnings == ("a.m3u, byte 20: the text is not UTF-8 and is read as Latin-1.",)
    with pytest.raises(BadInput, match=r"a\.m3u8, byte 20: the text is not UTF-8"):
        read(data, "a.m3u8")


def test_a_list_without_a_header_is_known_by_its_suffix(read: Read) -> None:
    (playlist,) = read(
        "C:\\Music\\Björk\\01 - Army of Me.mp3\r\n\\\\nas\\b.mp3\r\n../c d.ogg\r\n", "My list.m3u"
    ).playlists
    assert playlist.name == "My list"
    assert [each.track.uri for each in playlist.entries] == [
        "C:\\Music\\Björk\\01 - Army of Me.mp3", "\\\\nas\\b.mp3", "../c d.ogg",
    ]  # fmt: skip


def test_attributes_do_not_disturb_the_names(read: Read) -> None:
    content = '#EXTM3U x-tvg-url="a"\n#EXTINF:-1 tvg-id="a,b" group-title="c - d" radio=true, Artist - Title, Pt. 2 - live\nhttp://x/y\n'
    reading = read(content, "a.m3u8")
    track = reading.playlists[0].entries[0].track
    assert (track.artists, track.title, track.duration_ms) == (("Artist",), "Title, Pt. 2 - live", None)
    assert reading.warnings == ("a.m3u8, line 2: attributes of #EXTINF are not kept.",)


@pytest.mark.parametrize(
    ("line", "duration_ms"),
    [("#EXTINF:12.5,a", 12_500), ("#EXTINF:0,a", None), ("#EXTINF:-1,a", None), ("#EXTINF:long,a", None)],
)
def test_a_length_is_what_is_told_or_nothing(line: str, duration_ms: int | None, read: Read) -> None:
    track = read(f"#EXTM3U\n{line}\nx.mp3\n", "a.m3u8").playlists[0].entries[0].track
    assert (track.title, track.duration_ms) == ("a", duration_ms)


@pytest.mark.parametrize("location", ["other.m3u", "http://x/list.pls", "C:\\lists\\a.XSPF"])
def test_a_list_of_lists_is_refused(location: str, read: Read) -> None:
    with pytest.raises(BadInput, match=r"a\.m3u, line 2: this is a list of playlists"):
        read(f"#EXTM3U\n{location}\n", "a.m3u")


def test_the_list_of_a_streams_parts_is_refused(read: Read) -> None:
    with pytest.raises(BadInput, match="line 3: this is an HLS stream"):
        read("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:9.9,\na.ts\n", "a.m3u8")


def test_names_without_a_location_are_said(read: Read) -> None:
    reading = read("#EXTM3U\n#EXTINF:1,a\n#EXTINF:1,b\nb.mp3\n#EXTINF:1,c\n", "a.m3u8")
    assert [each.track.title for each in reading.playlists[0].entries] == ["b"]
    assert reading.warnings == ("a.m3u8, line 2: #EXTINF without a location after it (2 times).",)


def test_a_place_of_which_nothing_is_told_is_a_removed_entry(read: Read) -> None:
    (entry,) = read("#EXTM3U\n#EXTINF:-1,\nabout:invalid\n", "a.m3u8").playlists[0].entries
    assert (entry.track.kind, entry.track.uri) == (EntryKind.REMOVED, None)


PLS = (
    "[playlist]\nFile2=http://x/?a=b&c=50%25\nTitle2=Only a title = 50%\nLength2=-1\n\nfile01=/music/a;b.mp3\n"
    "Title1=Björk - Army of Me\nLength1=215\nX-GNOME-Title=Mine\nNumberOfEntries=2\nVersion=2\n"
)


def test_pls_is_read_by_numbers_whatever_its_values_hold(read: Read) -> None:
    reading = read(PLS, "a.pls")
    (playlist,) = reading.playlists
    first, second = (each.track for each in playlist.entries)
    assert (playlist.name, reading.warnings) == ("Mine", ())
    assert (first.uri, first.artists, first.title, first.duration_ms) == (
        "/music/a;b.mp3", ("Björk",), "Army of Me", 215_000,
    )  # fmt: skip
    assert (second.uri, second.title, second.duration_ms) == ("http://x/?a=b&c=50%25", "Only a title = 50%", None)


def test_pls_that_contradicts_itself_is_read_and_said(read: Read) -> None:
    content = (
        PLS.replace("Entries=2", "Entries=7").replace("Version=2", "Version=3") + "File1=b.mp3\nRating=5\nTitle9=x\n"
    )
    reading = read(content.replace("Length1=215", "Length1=3:35"), "a.pls")
    assert [each.track.uri for each in reading.playlists[0].entries] == [
        "/music/a;b.mp3",
        "http://x/?a=b&c=50%25",
        None,
    ]
    assert reading.warnings == (
        "a.pls, line 12: a repeated key is ignored.",
        "a.pls, line 13: an unknown key.",
        "a.pls: NumberOfEntries differs from the 3 entries that are there.",
        "a.pls: a version of PLS other than 2.",
        "a.pls, Length1: a length that is not a number of seconds.",
        "a.pls, File9: an entry without a location.",
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("File1=a\n", r"begins with \[playlist\]"),
        ("\n\n", "This file is empty"),
        ("[playlist]\nFile1\n", "line 2: a line without `=`"),
        ("[playlist]\nTitle1=a\0b\n", "line 2: a NUL character"),
    ],
)
def test_what_is_not_pls_is_refused(content: str, reason: str, read: Read) -> None:
    with pytest.raises(BadInput, match=reason):
        read(content, "a.pls")


def test_lines_entries_and_files_are_bounded(read: Read) -> None:
    few = Limits(max_entries=3, max_bytes=10_000)
    for name, content, rule in (
        ("a.m3u8", "#EXTM3U\n" + "a.mp3\n" * 4, "max_entries"),
        ("a.pls", "[playlist]\n" + "".join(f"File{n}=a\n" for n in range(4)), "max_entries"),
        ("a.m3u8", "#EXTM3U\n" + "a" * 10_001, "max_bytes"),
    ):
        with pytest.raises(BadInput) as refused:
            read(content, name, limits=few)
        assert refused.value.rule == rule
    for name, start in (("a.m3u8", "#EXTM3U\n"), ("a.pls", "[playlist]\nFile1=")):
        with pytest.raises(BadInput, match="line 2: a text of") as refused:
            read(start + "a" * 40_000, name)
        assert refused.value.rule == "max_text_chars"
