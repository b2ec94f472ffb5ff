"""What each format can say, written down apart from its writer: docs/playlist-files.md as a function."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from myi_pipeline.playlists.files import Playlist
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry

Survives = Callable[[Playlist], Playlist]


def json_says(playlist: Playlist) -> Playlist:
    """JSON can say everything."""
    return playlist


def xml_says(playlist: Playlist) -> Playlist:
    """XML can say everything but most control characters, lone surrogates and two others."""
    return _all_texts(
        playlist, lambda text: re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    )


def m3u_says(playlist: Playlist) -> Playlist:
    def said(each: PlaylistEntry) -> PlaylistEntry:
        track, lined = each.track, _names(each.track)
        return _entry(
            uri=track.uri,
            recording_mbid=track.recording_mbid if not track.uri else None,
            title=lined.title,
            artists=lined.artists,
            album=_line(track.album or "") or None,
            album_artists=_credit(track.album_artists),
            duration_ms=_seconds(track),
        )

    return Playlist(name=_line(playlist.name), entries=tuple(map(said, playlist.entries)))


def pls_says(playlist: Playlist) -> Playlist:
    said = m3u_says(playlist)
    return replace(said, entries=tuple(_again(each, album=None, album_artists=()) for each in said.entries))


def exportify_says(playlist: Playlist) -> Playlist:
    def said(each: PlaylistEntry) -> PlaylistEntry:
        made = _entry(**{**_fields(each.track), "recording_mbid": None})
        return replace(made, added_at=each.added_at, added_by=each.added_by)

    return _all_texts(Playlist(name=playlist.name, entries=tuple(map(said, playlist.entries))), _utf8)


def soundiiz_says(playlist: Playlist) -> Playlist:
    def said(each: PlaylistEntry) -> PlaylistEntry:
        track = each.track
        made = _entry(
            uri=track.uri,
            recording_mbid=track.recording_mbid if not track.uri else None,
            title=track.title,
            artists=(", ".join(track.artists),) if track.artists else (),
            album=track.album,
            isrc=track.isrc,
            duration_ms=track.duration_ms,
        )
        return replace(made, added_at=each.added_at, added_by=each.added_by)

    return _all_texts(Playlist(name=playlist.name, entries=tuple(map(said, playlist.entries))), _utf8)


def tunemymusic_says(playlist: Playlist) -> Playlist:
    def said(each: PlaylistEntry) -> PlaylistEntry:
        track = each.track
        return _entry(
            uri=track.uri if track.uri and ":" in track.uri else None,
            title=track.title,
            artists=(", ".join(track.artists),) if track.artists else (),
            album=track.album,
            isrc=track.isrc,
        )

    return _all_texts(Playlist(name=playlist.name, entries=tuple(map(said, playlist.entries))), _utf8)


SURVIVES: dict[str, Survives] = {
    "m3u8": m3u_says,
    "m3u": m3u_says,
    "pls": pls_says,
    "xspf": xml_says,
    "jspf": json_says,
    "exportify": exportify_says,
    "tunemymusic": tunemymusic_says,
    "soundiiz": soundiiz_says,
}


def _fields(track: ListedTrack) -> dict[str, object]:
    return {name: getattr(track, name) for name in ListedTrack.__slots__ if name != "kind"}


def _entry(**fields: object) -> PlaylistEntry:
    """An entry whose kind is not told: it follows from the URI, and from there being nothing at all."""
    uri = fields.get("uri")
    is_told = any(fields.get(name) for name in ("uri", "title", "artists", "isrc", "recording_mbid"))
    starts = {
        "spotify:episode:": EntryKind.EPISODE,
        "spotify:local:": EntryKind.LOCAL,
        "tidal:video:": EntryKind.VIDEO,
    }
    kind = next((kind for start, kind in starts.items() if str(uri).startswith(start)), EntryKind.TRACK)
    return PlaylistEntry(track=ListedTrack(**{**fields, "kind": kind if is_told else EntryKind.REMOVED}))  # type: ignore[arg-type]


def _again(each: PlaylistEntry, **fields: object) -> PlaylistEntry:
    return _entry(**{**_fields(each.track), **fields})


def _utf8(text: str) -> str:
    return re.sub("[\0\ud800-\udfff]", "\ufffd", text)


def _line(text: str) -> str:
    """One line: line ends are spaces, other control characters U+FFFD, outer space is gone."""
    text = re.sub("\r\n|[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]", " ", text)
    return re.sub("[\x00-\x08\x0e-\x1b\x1f\x7f\ud800-\udfff]", "\ufffd", text).strip()


def _credit(artists: tuple[str, ...]) -> tuple[str, ...]:
    credit = _line(", ".join(artists))
    return (credit,) if credit else ()


def _names(track: ListedTrack) -> ListedTrack:
    """Several artists are one credit, whose ` - ` is a dash."""
    credit = [re.sub(" -(?= |$)", " –", each) for each in _credit(track.artists)]
    return ListedTrack(title=_line(track.title), artists=tuple(credit))


def _seconds(track: ListedTrack) -> int | None:
    return max(1, round(track.duration_ms / 1000)) * 1000 if track.duration_ms else None


def _all_texts(playlist: Playlist, change: Callable[[str], str]) -> Playlist:
    def of(value: object) -> object:
        if type(value) is str:
            return change(value)
        return tuple(map(of, value)) if isinstance(value, tuple) else value

    def said(each: PlaylistEntry) -> PlaylistEntry:
        track = replace(each.track, **{name: of(value) for name, value in _fields(each.track).items()})
        return replace(each, track=track, added_by=of(each.added_by))

    return replace(
        playlist,
        name=change(playlist.name),
        description=of(playlist.description),
        creator=of(playlist.creator),
        entries=tuple(map(said, playlist.entries)),
    )
