"""Playlists in the account data that Spotify sends on request: `Playlist1.json`, `Playlist2.json`, `YourLibrary.json`.

`Playlist*.json` is `{"playlists": [{"name", "lastModifiedDate", "description", "items": [...]}]}`. An item has a track,
an episode, an audiobook or a local file, with the others null, and the day on which it was added. Older archives have
no URIs. Descriptions are HTML-escaped. In the library only the liked songs and saved episodes are playable lists; it
has no dates.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote_plus

from myi_pipeline.playlists.files.json_text import Node, parse
from myi_pipeline.playlists.files.records import Playlist, Source, entry, moment_of
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry

NAMES: Final = re.compile(r"(?:playlist\d*|yourlibrary)(?:[ _.(-][^/]*)?\.json", re.IGNORECASE)
LIKED_SONGS: Final = "Liked Songs"
SAVED_EPISODES: Final = "Your Episodes"
_LIBRARY: Final = ("tracks", "albums", "shows", "episodes", "artists", "bannedTracks", "bannedArtists", "other")
_KINDS: Final = (
    ("track", EntryKind.TRACK),
    ("episode", EntryKind.EPISODE),
    ("audiobook", EntryKind.EPISODE),
    ("localTrack", EntryKind.LOCAL),
)


def holds_playlists(paths: Iterable[str]) -> bool:
    """Whether one of the files at these paths is named like one with playlists."""
    return any(NAMES.fullmatch(PurePosixPath(path).name) for path in paths)


def series_of(place: str) -> str:
    """What stands for the name of a file when its lists are looked for on the next import.

    Browsers number the ZIPs of one name, and a list may move from `Playlist1.json` to `Playlist2.json`.
    """
    is_library = PurePosixPath(place).name.casefold().startswith("yourlibrary")
    return f"Spotify's account data/{'library' if is_library else 'playlists'}"


def looks_like_playlists(document: object) -> bool:
    """Whether a document is a `Playlist1.json`."""
    return isinstance(document, dict) and isinstance(document.get("playlists"), list)


def looks_like_library(document: object) -> bool:
    """Whether a document is a `YourLibrary.json`."""
    return isinstance(document, dict) and isinstance(document.get("tracks"), list) and "albums" in document


def read(source: Source) -> tuple[Playlist, ...]:
    """Raises BadInput with the path of what is wrong."""
    document = parse(source)
    root = Node(source, document, "")
    if looks_like_playlists(document):
        lists = root.get("playlists").items()
        if len(lists) > source.limits.max_playlists:
            raise source.refusal(f"more than {source.limits.max_playlists:,} playlists", rule="max_playlists")
        source.check_entries(sum(len(each.get("items").items()) for each in lists))
        return tuple(_playlist(each) for each in lists)
    if looks_like_library(document):
        return _library(root)
    raise source.refusal(
        "this is neither Playlist1.json nor YourLibrary.json of Spotify's account data", rule="playlists or tracks"
    )


def _playlist(node: Node) -> Playlist:
    description = node.get("description").text()
    return Playlist(
        name=node.get("name").text() or "",
        description=html.unescape(description) if description else None,
        entries=tuple(_entry(item) for item in node.get("items").items()),
    )


def _entry(item: Node) -> PlaylistEntry:
    added_at = moment_of(item.get("addedDate").text())
    for key, kind in _KINDS:
        thing = item.get(key)
        if thing.value is None:
            continue
        uri = _text(thing, "trackUri", "episodeUri", "audiobookUri", "uri")
        if kind is EntryKind.LOCAL:
            track = _local(thing, uri)
        else:
            artist = _text(thing, "artistName", "showName", "authorName")
            track = ListedTrack(
                uri=uri or None,
                title=_text(thing, "trackName", "episodeName", "audiobookName", "name"),
                artists=(artist,) if artist else (),
                album=_text(thing, "albumName") or None,
            )
        is_plain = kind is EntryKind.TRACK
        return entry(track, kind=kind, added_at=added_at, original=None if is_plain else item.value)
    item.source.note("an entry that no longer says what it was", at=item.path)
    return entry(ListedTrack(), kind=EntryKind.REMOVED, added_at=added_at, original=item.value)


def _text(node: Node, *keys: str) -> str:
    return next((text for key in keys if (text := node.get(key).text())), "")


def _local(thing: Node, uri: str) -> ListedTrack:
    """A local file. All information is in its URI: spotify:local:ARTIST:ALBUM:TITLE:SECONDS, form-encoded."""
    parts = [unquote_plus(part) for part in uri.removeprefix("spotify:local:").split(":")]
    artist, album, title, seconds = parts if len(parts) == 4 else ("", "", "", "")
    artist, title = artist or _text(thing, "artistName"), title or _text(thing, "trackName")
    return ListedTrack(
        uri=uri or None,
        title=title,
        artists=(artist,) if artist else (),
        album=album or _text(thing, "albumName") or None,
        duration_ms=int(seconds) * 1000 if re.fullmatch(r"[0-9]{1,7}", seconds, re.ASCII) else None,
    )


def _library(root: Node) -> tuple[Playlist, ...]:
    liked, episodes = root.get("tracks").items(), root.get("episodes").items()
    root.source.check_entries(len(liked) + len(episodes))
    for key in _LIBRARY:
        if key not in ("tracks", "episodes") and root.get(key).value:
            root.source.note(f"`{key}` of the library is not a list of tracks and is left out")
    found = [Playlist(name=LIKED_SONGS, entries=tuple(_saved(each, EntryKind.TRACK, "artist") for each in liked))]
    if episodes:
        entries = tuple(_saved(each, EntryKind.EPISODE, "show") for each in episodes)
        found.append(Playlist(name=SAVED_EPISODES, entries=entries))
    return tuple(found)


def _saved(node: Node, kind: EntryKind, credit: str) -> PlaylistEntry:
    artist, uri = _text(node, credit), _text(node, "uri")
    track = ListedTrack(
        uri=uri or None,
        title=_text(node, "track", "name"),
        artists=(artist,) if artist else (),
        album=_text(node, "album") or None,
    )
    if kind is EntryKind.TRACK and uri.startswith("spotify:local:"):
        kind = EntryKind.LOCAL
    return entry(track, kind=kind, original=None if kind is EntryKind.TRACK else node.value)
