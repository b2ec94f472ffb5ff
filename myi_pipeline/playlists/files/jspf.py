"""JSPF, which is XSPF as JSON (Xiph's JSPF draft, 2008), and the dialect of it that ListenBrainz reads and writes.

`location` and `identifier` of a track are lists; ListenBrainz sometimes writes `identifier` as a single text. Facts
without a field go into the extension that both formats share (spiff.py), as JSON: `artists` is a list of objects with
`artist_credit_name`.
"""

from __future__ import annotations

import json
from typing import BinaryIO, Final

from myi_pipeline.playlists.files.json_text import Node, parse
from myi_pipeline.playlists.files.records import Playlist, Source, moment_of, written
from myi_pipeline.playlists.files.spiff import EXTENSION, Facts, as_uri, parts_of, playlist_entry
from myi_pipeline.providers.playlists import PlaylistEntry

# ListenBrainz rejects playlists that do not say whether they are public.
_PLAYLIST_EXTENSION: Final = "https://musicbrainz.org/doc/jspf#playlist"
_HEAD_KEYS: Final = frozenset(
    ("title", "creator", "annotation", "location", "identifier", "image", "date", "track", "extension")
)
_TRACK_KEYS: Final = frozenset(
    ("location", "identifier", "title", "creator", "album", "trackNum", "duration", "extension")
)
_TEXT_FACTS: Final = ("isrc", "released_on", "kind", "uri")


def read(source: Source) -> Playlist:
    """Raises BadInput with the path of what is wrong."""
    head = Node(source, parse(source), "").get("playlist")
    if head.value is None:
        raise source.refusal("a JSPF file is an object with `playlist`", rule="playlist")
    tracks = head.get("track").items()
    source.check_entries(len(tracks))
    _note_unknown(head, _HEAD_KEYS)
    urls = head.get("location").texts() + head.get("identifier").texts()
    return Playlist(
        name=head.get("title").text() or source.name,
        description=head.get("annotation").text() or None,
        creator=head.get("creator").text() or None,
        url=next(iter(urls), None) or None,
        image_url=head.get("image").text() or None,
        created_at=moment_of(head.get("date").text()),
        entries=tuple(_entry(source, track) for track in tracks),
    )


def _note_unknown(node: Node, known: frozenset[str]) -> None:
    if isinstance(node.value, dict):
        for key, value in node.value.items():
            if key not in known and value not in (None, "", [], {}):
                node.source.note(
                    f"`{key:.40}` of a {'track' if 'track[' in node.path else 'playlist'} is not kept", at=node.path
                )


def _entry(source: Source, track: Node) -> PlaylistEntry:
    fields = {
        "location": track.get("location").texts(),
        "identifier": track.get("identifier").texts(),
        **{name: _texts(track.get(name)) for name in ("title", "creator", "album")},
        **{name: _digits(track.get(name)) for name in ("trackNum", "duration")},
    }
    _note_unknown(track, _TRACK_KEYS)
    return playlist_entry(source, fields, _facts(track.get("extension")), at=track.path)


def _texts(node: Node) -> list[str]:
    text = node.text()
    return [] if text is None else [text]


def _digits(node: Node) -> list[str]:
    """A whole number; some programs write it as text, or with a fraction of zero."""
    value = node.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value == "":
        return []
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
        node.refuse("a whole number from 0")
    return [str(value)]


def _facts(extensions: Node) -> Facts:
    facts = Facts()
    if extensions.value is None:
        return facts
    extension = extensions.get(EXTENSION)
    # The draft has a list of bodies where ListenBrainz has a single one.
    bodies = extension.items() if isinstance(extension.value, list) else [extension]
    for body in bodies:
        if isinstance(body.value, dict):
            _add_facts(facts, body)
    if isinstance(extensions.value, dict) and any(key != EXTENSION for key in extensions.value):
        extensions.source.note("the body of an extension is not kept", at=extensions.path)
    return facts


def _add_facts(facts: Facts, body: Node) -> None:
    more = body.get("additional_metadata")
    named = [("added_at", body.get("added_at")), ("added_by", body.get("added_by"))]
    if isinstance(more.value, dict):
        named += [(name, more.get(name)) for name in _TEXT_FACTS]
        named += [("artist", each.get("artist_credit_name")) for each in more.get("artists").items()]
        named += [("album_artist", each) for each in more.get("album_artists").items()]
        for name in ("disc_number", "explicit"):
            if (value := more.get(name).value) is not None:
                facts.add([name], str(value).lower())
    for name, node in named:
        if text := node.text():
            facts.add([name], text)


def write(playlist: Playlist, out: BinaryIO) -> None:
    """Indented, and only ASCII, in which JSON can represent every text, even one with lone surrogates."""
    head = {
        "title": playlist.name or None,
        "creator": playlist.creator,
        "annotation": playlist.description,
        "location": as_uri(playlist.url) if playlist.url else None,
        "image": playlist.image_url,
        "date": written(playlist.created_at) if playlist.created_at else None,
        "extension": {_PLAYLIST_EXTENSION: {"public": False}},
    }
    text = json.dumps({key: value for key, value in head.items() if value is not None}, indent=2)
    out.write(b'{"playlist": ')
    out.write(text.removesuffix("\n}").encode())
    out.write(b',\n  "track": [')
    for number, each in enumerate(playlist.entries):
        out.write(b",\n    " if number else b"\n    ")
        out.write(json.dumps(_track(each)).encode())
    out.write(b"\n  ]\n}}\n")


def _track(each: PlaylistEntry) -> dict[str, object]:
    fields, facts = parts_of(each)
    track: dict[str, object] = {**fields}
    for name in ("location", "identifier"):
        if name in fields:
            track[name] = [fields[name]]
    for name in ("trackNum", "duration"):
        if name in fields:
            track[name] = int(fields[name])
    extension: dict[str, object] = {name: text for name, text in facts if name in ("added_at", "added_by")}
    more: dict[str, object] = {name: text for name, text in facts if name in _TEXT_FACTS}
    more |= {name: int(text) for name, text in facts if name == "disc_number"}
    more |= {name: text == "true" for name, text in facts if name == "explicit"}
    if artists := [text for name, text in facts if name == "artist"]:
        phrases = [", "] * (len(artists) - 1) + [""]
        more["artists"] = [
            {"artist_credit_name": name, "join_phrase": phrase} for name, phrase in zip(artists, phrases, strict=True)
        ]
    if credit := [text for name, text in facts if name == "album_artist"]:
        more["album_artists"] = credit
    if more:
        extension["additional_metadata"] = more
    if extension:
        track["extension"] = {EXTENSION: extension}
    return track
