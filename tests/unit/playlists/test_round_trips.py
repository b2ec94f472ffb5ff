"""Whatever a format can say survives being written and read: every field, in order, with duplicates."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given, settings

from myi_pipeline.playlists.files import FORMATS, WRITABLE, Limits, Playlist, read_bytes, tables, texts, write_playlists
from myi_pipeline.playlists.files.formats import Reading
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry
from tests.unit.playlists.drawn_playlists import playlists
from tests.unit.playlists.what_survives import SURVIVES


def written(playlist: Playlist, key: str, *, formula_guard: bool = True) -> bytes:
    out = io.BytesIO()
    write_playlists([playlist], out, format_key=key, formula_guard=formula_guard)
    return out.getvalue()


def read(data: bytes, key: str, *, name: str = "") -> Reading:
    return read_bytes(data, place=f"list{FORMATS[key].suffixes[0]}", name=name, limits=Limits())


def back(playlist: Playlist, key: str, *, formula_guard: bool = True) -> Playlist:
    reading = read(written(playlist, key, formula_guard=formula_guard), key, name=SURVIVES[key](playlist).name)
    assert reading.format.key == key
    # A table of entries has no playlist where it has no entries.
    return reading.playlists[0] if reading.playlists else Playlist(name=SURVIVES[key](playlist).name)


def test_what_survives_is_known_for_every_format_that_is_written() -> None:
    assert set(SURVIVES) == set(WRITABLE)


@pytest.mark.parametrize("key", WRITABLE)
@given(playlist=playlists())
@settings(max_examples=20)
def test_whatever_a_format_can_say_survives(key: str, playlist: Playlist) -> None:
    assert back(playlist, key) == SURVIVES[key](playlist)


@pytest.mark.property
@pytest.mark.parametrize("key", WRITABLE)
@given(playlist=playlists())
@settings(max_examples=500)
def test_whatever_a_format_can_say_survives_many_times(key: str, playlist: Playlist) -> None:
    assert back(playlist, key) == SURVIVES[key](playlist)


@pytest.mark.parametrize("key", ["exportify", "soundiiz", "tunemymusic"])
@given(playlist=playlists())
@settings(max_examples=12)
def test_a_table_without_the_formula_guard_says_the_same(key: str, playlist: Playlist) -> None:
    assert back(playlist, key, formula_guard=False) == SURVIVES[key](playlist)


@pytest.mark.parametrize("key", ["exportify", "soundiiz", "tunemymusic"])
@given(playlist=playlists())
@settings(max_examples=12)
def test_no_cell_of_a_table_begins_as_a_formula(key: str, playlist: Playlist) -> None:
    import csv

    text = written(playlist, key).decode()
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=";" if key == "soundiiz" else ",")
    assert [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r")] == []


@pytest.mark.parametrize("key", ["m3u8", "pls"])
@given(playlist=playlists())
@settings(max_examples=15)
def test_a_name_never_makes_a_line_of_its_own(key: str, playlist: Playlist) -> None:
    lines = written(playlist, key).decode().split("\n")
    locations = [line for line in lines if line and not line.startswith("#")]
    if key == "pls":
        locations = [line for line in lines if line.startswith("File")]
    assert len(locations) == len(playlist.entries)


@given(playlist=playlists())
@settings(max_examples=8)
def test_what_was_written_once_is_written_the_same_again(playlist: Playlist) -> None:
    for key in WRITABLE:
        once = back(playlist, key)
        if once.entries:
            assert back(once, key) == once


def test_a_broken_escape_of_commas_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from myi_pipeline.playlists.files import exportify

    monkeypatch.setattr(exportify, "_joined", ", ".join)
    with pytest.raises(AssertionError):
        _must_survive("exportify")


def test_a_broken_line_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_LINE_ENDS", texts.re.compile("never"))
    with pytest.raises(AssertionError):
        _must_survive("m3u8")


def test_a_broken_formula_guard_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # What many do: the prefix is taken away although nobody put it there.
    monkeypatch.setattr(tables, "_FORMULA", texts.re.compile(r"[=+\-@\t\r]"))
    with pytest.raises(AssertionError):
        _must_survive("soundiiz")


def _must_survive(key: str) -> None:
    @given(playlist=playlists())
    @example(
        playlist=Playlist(
            name="x", entries=(PlaylistEntry(track=ListedTrack(title="'=1\nb", artists=("Tyler, The Creator", "B"))),)
        )
    )
    @settings(max_examples=1)
    def law(playlist: Playlist) -> None:
        assert back(playlist, key) == SURVIVES[key](playlist)

    law()
