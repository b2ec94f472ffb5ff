"""The Web API's JSON for tracks, albums, artists and people, in the new and the old dialect.

The new dialect lacks the fields that were removed for new apps in February 2026 (markets, popularity, previews,
linked_from, followers, genres, labels); ISRC and UPC are in both. Objects are made once and kept as bytes, from which
answers are joined.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Literal

from myi_pipeline.simulator.live.clock import from_ms
from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.live.spec import ListenerSpec
from myi_pipeline.simulator.live.world import AlbumEntry, ArtistEntry, TrackEntry, World

Dialect = Literal["new", "old"]
_MARKETS = ["AT", "CH", "DE", "NL", "SE"]
_OPEN = "https://open.spotify.com"
_KEPT_TRACKS = 50_000


def dump(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def stamp(at_ms: int) -> str:
    """A moment as the API writes it: ISO 8601 in UTC with milliseconds."""
    return from_ms(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Documents:
    """Makes the JSON of a world; `api_url` is the base of its links."""

    def __init__(self, world: World, api_url: str) -> None:
        self.world = world
        self.api_url = api_url
        self._tracks: dict[tuple[int, Dialect], bytes] = {}
        self._contexts: dict[tuple[int, str | None], bytes] = {}

    def _links(self, kind: str, identifier: str) -> dict[str, Any]:
        return {
            "external_urls": {"spotify": f"{_OPEN}/{kind}/{identifier}"},
            "href": f"{self.api_url}/{kind}s/{identifier}",
            "id": identifier,
            "type": kind,
            "uri": f"spotify:{kind}:{identifier}",
        }

    def _images(self, identifier: str) -> list[dict[str, Any]]:
        name = sha256(identifier.encode()).hexdigest()[:24]
        return [
            {"url": f"https://i.scdn.co/image/ab67616d0000{size:04}{name}", "height": size, "width": size}
            for size in (640, 300, 64)
        ]

    def artist_reference(self, artist: ArtistEntry) -> dict[str, Any]:
        return {**self._links("artist", artist.id), "name": artist.name}

    def artist(self, artist: ArtistEntry, dialect: Dialect) -> dict[str, Any]:
        document = {**self.artist_reference(artist), "images": self._images(artist.id)}
        if dialect == "old":
            document |= {"followers": {"href": None, "total": 1000}, "genres": ["made up"], "popularity": 40}
        return document

    def album_reference(self, album: AlbumEntry, dialect: Dialect) -> dict[str, Any]:
        various = {self.world.thing(index).artist for index in album.tracks} != {album.creator}
        document = {
            **self._links("album", album.id),
            "name": album.name,
            "album_type": "compilation" if various and len(album.tracks) > 1 else "album",
            "total_tracks": len(album.tracks),
            "release_date": album.released,
            "release_date_precision": "day" if "-" in album.released else "year",
            "images": self._images(album.id),
            "artists": [self.artist_reference(self.world.artists[album.creator])],
        }
        if dialect == "old":
            document["available_markets"] = _MARKETS
        return document

    def album(self, album: AlbumEntry, dialect: Dialect) -> dict[str, Any]:
        listed = [
            self._simple_track(self.world.tracks[index], dialect)
            for index in album.tracks
            if not self.world.tracks[index].is_gone and not self.world.tracks[index].is_local
        ]
        document = self.album_reference(album, dialect) | {
            "copyrights": [{"text": "A made-up label", "type": "C"}],
            "external_ids": {"upc": album.upc},
            "tracks": {
                "href": f"{self.api_url}/albums/{album.id}/tracks?offset=0&limit=50",
                "limit": 50,
                "next": None,
                "offset": 0,
                "previous": None,
                "total": len(listed),
                "items": listed[:50],
            },
        }
        if dialect == "old":
            document |= {"genres": [], "label": "A made-up label", "popularity": 30}
        return document

    def _simple_track(self, track: TrackEntry, dialect: Dialect) -> dict[str, Any]:
        thing, artists = self.world.thing(track.thing), self.world.artists
        names = [thing.artist or "Somebody", *([track.featured] if track.featured else [])]
        document = {
            **self._links("track", track.api_id),
            "name": thing.title_in("new"),
            "artists": [self.artist_reference(artists[name]) for name in names],
            "disc_number": 1,
            "track_number": track.number,
            "duration_ms": thing.duration_ms,
            "explicit": False,
            "is_local": False,
        }
        if dialect == "old":
            document |= {"available_markets": _MARKETS, "preview_url": None}
        return document

    def track(self, track: TrackEntry, dialect: Dialect) -> bytes:
        """The full track object, which is the same for both ids of a relinked track."""
        found = self._tracks.get((track.thing, dialect))
        if found is None:
            document = self._simple_track(track, dialect) | {
                "album": self.album_reference(self.world.albums[track.album], dialect),
                "external_ids": {"isrc": track.isrc},
            }
            if dialect == "old":
                document["popularity"] = 20
                if track.archive_id and track.archive_id != track.api_id:
                    document["linked_from"] = self._links("track", track.archive_id)
            if len(self._tracks) >= _KEPT_TRACKS:
                self._tracks.clear()
            found = self._tracks[track.thing, dialect] = dump(document)
        return found

    def play_item(self, play: LivePlay, dialect: Dialect, *, is_again: bool = False) -> bytes:
        """One item of recently-played; `is_again`: with the track's other id, and a millisecond later."""
        track = self._tracks.get((play.thing, dialect)) or self.track(self.world.tracks[play.thing], dialect)
        context = self._contexts.get((play.thing, play.context))
        if context is None:
            context = self._contexts[play.thing, play.context] = dump(self.context(play))
        if is_again:
            entry = self.world.tracks[play.thing]
            track = track.replace(entry.api_id.encode(), entry.other_id.encode())
        played_at = stamp(play.reported_ms + is_again).encode()
        return b'{"track":%b,"played_at":"%b","context":%b}' % (track, played_at, context)

    def context(self, play: LivePlay) -> dict[str, Any] | None:
        if play.context is None:
            return None
        album = self.world.albums[self.world.tracks[play.thing].album].id if play.thing in self.world.tracks else ""
        kind = play.context if album else "show"
        identifier = album or sha256(str(play.thing).encode()).hexdigest()[:22]
        links = self._links(kind, identifier)
        return {name: links[name] for name in ("type", "href", "external_urls", "uri")}

    def episode(self, play: LivePlay) -> dict[str, Any]:
        thing = self.world.thing(play.thing)
        identifier = (thing.uri or "").rsplit(":", 1)[-1]
        return {**self._links("episode", identifier), "name": thing.title, "duration_ms": thing.duration_ms}

    def me(
        self, listener: ListenerSpec, dialect: Dialect, *, account_id: bool, profile_id: bool = True
    ) -> dict[str, Any]:
        user = user_id(listener.key)
        document: dict[str, Any] = {**self._links("user", user), "display_name": listener.key, "images": []}
        if not profile_id:
            del document["id"]
        if account_id:
            document["account_id"] = account_identifier(listener.key)
        if dialect == "old":
            document |= {
                "country": listener.country,
                "product": "premium",
                "followers": {"href": None, "total": 0},
                "explicit_content": {"filter_enabled": False, "filter_locked": False},
            }
        return document


def user_id(key: str) -> str:
    """The `id` of /me."""
    return f"user-{key}"


def account_identifier(key: str) -> str:
    """The immutable `account_id` of /me."""
    return sha256(f"account {key}".encode()).hexdigest()[:26]
