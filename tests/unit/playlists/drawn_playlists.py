"""Playlists that hypothesis draws: every field, duplicates, and names that break what is written without care."""

from __future__ import annotations

from datetime import UTC

from hypothesis import strategies as st

from myi_pipeline.playlists.files import Playlist
from myi_pipeline.playlists.files.records import entry
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry

NASTY = (
    "", " ", "=1+1", "+49", "-", "- -", " - ", "a - b", "-x", "x -", "@SUM(A1)", "\tTab", "\rCR", "'=1", "''=1",
    "'", "'a", "#EXTM3U", "#EXTINF:1,a - b", "two\nlines", "two\r\nlines", "vertical\vtab",
    "line\u2028separator", "\u0085", 'quote "inside"', '"', '""', "comma, name", "a;b", "a\\,b", "back\\",
    "\\\\", "\\", ",", ", ", "File1=x", "50% = half", "[playlist]", "<b>&amp;</b>", "]]>", "&#10;",
    "NUL\0inside", "\0", "\ud800lone", "lone\udfff", "\ufffe", "\x07bell", "שלום", "\u202eright to left", "🎵🎶",
    "e\u0301", "\ufeffmark", " outer space ", "sep=;", "Title", "\x1b[31m",
)  # fmt: skip

texts = st.one_of(st.sampled_from(NASTY), st.text(max_size=20), st.text(st.characters(codec=None), max_size=12))
names = texts.filter(lambda text: text != "")
# Without the first and the last day of what Python has: offsets would lead out of it.
moments = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: 1 < moment.year < 9999)
mbids = st.uuids().map(str)
isrcs = st.from_regex(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", fullmatch=True)
_ids = st.text("0123456789ABCdefXYZ", min_size=22, max_size=22)
uris = st.one_of(
    st.builds("spotify:track:{}".format, _ids),
    st.builds("spotify:episode:{}".format, _ids),
    st.builds("tidal:track:{}".format, st.integers(1, 10**9)),
    st.builds("tidal:video:{}".format, st.integers(1, 10**9)),
    st.builds("deezer:track:{}".format, st.integers(1, 10**9)),
    st.builds("youtube:video:{}".format, st.text("abcXYZ012_-", min_size=11, max_size=11)),
    st.sampled_from(
        (
            "spotify:local:Artist:Album:Title:200",
            "https://example.com/a%20b.mp3?x=1#y",
            "https://example.com/50%",
            "C:\\Music\\a b.mp3",
            "file:///home/me/ä.flac",
            "#1 hits/song.mp3",
            "./#1 hits/song.mp3",
            "../up/Ain't Mine.flac",
        )
    ),
)


@st.composite
def entries(draw: st.DrawFn) -> PlaylistEntry:
    """One entry; its kind is what its URI says or, now and then, another."""
    track = ListedTrack(
        uri=draw(st.none() | uris),
        title=draw(texts),
        artists=tuple(draw(st.lists(names, max_size=3))),
        album=draw(st.none() | names),
        album_artists=tuple(draw(st.lists(names, max_size=2))),
        isrc=draw(st.none() | isrcs),
        recording_mbid=draw(st.none() | mbids),
        duration_ms=draw(st.none() | st.integers(0, 10**10)),
        disc_number=draw(st.none() | st.integers(0, 99)),
        track_number=draw(st.none() | st.integers(0, 999)),
        is_explicit=draw(st.none() | st.booleans()),
        released_on=draw(st.none() | st.sampled_from(("1999", "1999-12", "1999-12-31"))),
    )
    return entry(
        track,
        kind=draw(st.none() | st.sampled_from(EntryKind)),
        added_at=draw(st.none() | moments),
        added_by=draw(st.none() | names),
    )


@st.composite
def playlists(draw: st.DrawFn) -> Playlist:
    """A playlist in which entries come more than once."""
    pool = draw(st.lists(entries(), max_size=4))
    drawn = draw(st.lists(st.sampled_from(pool), max_size=8)) if pool else []
    return Playlist(
        name=draw(names),
        description=draw(st.none() | names),
        creator=draw(st.none() | names),
        url=draw(st.none() | st.just("https://open.spotify.com/playlist/1")),
        image_url=draw(st.none() | st.just("https://example.com/a.jpg")),
        created_at=draw(st.none() | moments),
        entries=tuple(drawn),
    )
