"""What a manifest says that a file does not say is what the file does not say: no more and no less."""

from __future__ import annotations

import io
from collections import Counter

import pytest
from hypothesis import given, settings

from myi_pipeline.playlists.files import WRITABLE, Playlist, write_playlists
from myi_pipeline.playlists.files.losses import not_said
from myi_pipeline.providers.playlists import ListedTrack, PlaylistEntry
from tests.unit.playlists.drawn_playlists import playlists
from tests.unit.playlists.what_survives import SURVIVES

OF_LISTS = ("name", "description", "creator", "url", "image_url", "created_at")
OF_TRACKS = (
    "kind", "uri", "title", "artists", "album", "album_artists", "isrc", "recording_mbid", "duration_ms", "disc_number",
    "track_number", "is_explicit", "released_on",
)  # fmt: skip


def written(playlist: Playlist, key: str) -> bytes:
    out = io.BytesIO()
    write_playlists([playlist], out, format_key=key)
    return out.getvalue()


def expected(playlist: Playlist, key: str) -> dict[str, int]:
    """By the table of what survives, which knows nothing of readers and writers."""
    if key == "tunemymusic" and not playlist.entries:
        return {"playlist": 1}
    there = SURVIVES[key](playlist)
    pairs = [(playlist, there, OF_LISTS)]
    for told, said in zip(playlist.entries, there.entries, strict=True):
        pairs += [(told.track, said.track, OF_TRACKS), (told, said, ("added_at", "added_by"))]  # type: ignore[list-item]
    lost: Counter[str] = Counter()
    for told, said, names in pairs:
        for name in names:
            value = getattr(told, name)
            lost[name] += value not in (None, "", ()) and value != getattr(said, name)
    return {name: count for name, count in sorted(lost.items()) if count}


@pytest.mark.parametrize("key", WRITABLE)
@given(playlist=playlists())
@settings(max_examples=20)
def test_what_is_lost_is_told(key: str, playlist: Playlist) -> None:
    stem = SURVIVES[key](playlist).name
    assert not_said(playlist, written(playlist, key), format_key=key, file_stem=stem) == expected(playlist, key)


def test_a_file_that_lacks_entries_or_cannot_be_read_is_told() -> None:
    playlist = Playlist(name="x", entries=(PlaylistEntry(track=ListedTrack(title="a", artists=("b",))),) * 3)
    whole = written(playlist, "m3u8").decode()
    cut = whole[: whole.rindex("#EXTINF")].encode()
    assert not_said(playlist, cut, format_key="m3u8", file_stem="x") == {"entries": 1}
    assert not_said(playlist, b"<playlist", format_key="xspf", file_stem="x") == {"playlist": 1}
