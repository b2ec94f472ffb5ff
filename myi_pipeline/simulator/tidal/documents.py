"""Documents of the simulated TIDAL: JSON:API, including exactly what was requested."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from myi_pipeline.simulator.tidal.world import TidalAccount, TidalEntry, TidalPlaylist, TidalTrack, TidalWorld

MEDIA_TYPE = "application/vnd.api+json"
_MOST_DEEP, _MOST_INCLUDED = 3, 10
_RELATIONSHIPS: Mapping[str, frozenset[str]] = {
    "playlists": frozenset({"items", "owners", "ownerProfiles", "collaborators", "coverArt"}),
    "tracks": frozenset({"artists", "albums"}),
    "videos": frozenset({"artists", "albums"}),
    "searchResults": frozenset({"tracks", "videos"}),
    "userCollectionTracks": frozenset({"items"}),
    "items": frozenset({"artists", "albums"}),
}


class ApiError(Exception):
    """An error answer."""

    def __init__(self, status: int, detail: str, code: str | None = None, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.code = status, detail, code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        error = {"status": str(self.status), "detail": self.detail}
        if self.code is not None:
            error["code"] = self.code
        return answer({"errors": [error]}, self.status, self.headers)


def answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(document), status, dict(headers or {}), MEDIA_TYPE)


def moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def checked_include(root: str, text: str) -> frozenset[str]:
    """The paths in `include`. Raises ApiError for unknown or too deep ones, or too many."""
    paths = [each for each in text.split(",") if each]
    if len(paths) > _MOST_INCLUDED:
        raise ApiError(400, f"At most {_MOST_INCLUDED} resources can be included")
    for path in paths:
        parts, kind = path.split("."), root
        if len(parts) > _MOST_DEEP:
            raise ApiError(400, f"Includes are at most {_MOST_DEEP} levels deep")
        for part in parts:
            if part not in _RELATIONSHIPS.get(kind, frozenset()):
                raise ApiError(400, f"Unknown include: {path[:60]}")
            kind = part
    return frozenset(paths)


@dataclass
class Document:
    """An answer being built; `include` are paths from the resources in `data`."""

    world: TidalWorld
    country: str | None
    include: frozenset[str]
    included: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def whole(self, data: object, links: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"data": data, "links": links}
        if self.include:
            found["included"] = list(self.included.values())
        return found

    def playlist(self, made: TidalPlaylist) -> dict[str, Any]:
        videos = sum(each.kind == "videos" for each in made.entries)
        items = len(made.entries) + self.world.total_is_off_by
        attributes: dict[str, Any] = {
            "name": made.name,
            "bounded": True,
            "duration": f"PT{sum(self._seconds(each) for each in made.entries)}S",
            "numberOfItems": items,
            "numberOfTrackItems": items - videos,
            "numberOfVideoItems": videos,
            "externalLinks": [
                {"href": f"https://tidal.com/browse/playlist/{made.playlist_id}", "meta": {"type": "TIDAL_SHARING"}}
            ],
            "createdAt": moment(made.created_at),
            "lastModifiedAt": moment(made.modified_at),
            "accessType": made.access,
            "playlistType": "USER",
            "numberOfFollowers": 0,
        }
        if made.description is not None:
            attributes["description"] = made.description
        links: dict[str, Any] = {}
        if "owners" in self.include:
            links["owners"] = self._related([("users", made.owner.account_id)])
        if "ownerProfiles" in self.include:
            links["ownerProfiles"] = self._related([("artists", f"p{made.owner.account_id}")])
            self._keep("artists", f"p{made.owner.account_id}", {"name": made.owner.username, "popularity": 0.0})
        if "collaborators" in self.include:
            links["collaborators"] = self._related([("users", each.account_id) for each in made.collaborators])
        if "coverArt" in self.include:
            named = f"c{made.playlist_id}"
            links["coverArt"] = self._related([("artworks", named)])
            files = [{"href": f"https://resources.tidal.com/{named}.jpg", "meta": {"width": 640, "height": 640}}]
            self._keep("artworks", named, {"mediaType": "IMAGE", "files": files})
        return _resource("playlists", made.playlist_id, attributes, links)

    def entry(self, entry: TidalEntry, *, cursor: str, with_ids: bool) -> dict[str, Any]:
        """An identifier; its resource is included if it is visible."""
        meta = {"addedAt": moment(entry.added_at)}
        if with_ids:
            meta |= {"itemId": entry.item_id, "itemCursor": cursor}
        track = self.world.tracks.get((entry.kind, entry.track_id))
        if "items" in self.include and track is not None and track.is_in(self.country):
            self.included[entry.kind, entry.track_id] = self.track(track, "items.")
        return {"id": entry.track_id, "type": entry.kind, "meta": meta}

    def track(self, track: TidalTrack, prefix: str = "") -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "title": track.title,
            "isrc": track.isrc,
            "duration": _duration(track.seconds),
            "explicit": track.is_explicit,
            "popularity": 0.5,
        }
        if track.version is not None:
            attributes["version"] = track.version
        if track.is_video:
            attributes["releaseDate"] = track.released_on
        else:
            attributes |= {"key": "UNKNOWN", "keyScale": "UNKNOWN", "mediaTags": ["LOSSLESS"]}
        links: dict[str, Any] = {}
        if f"{prefix}artists" in self.include:
            links["artists"] = self._related([("artists", _made_id(name)) for name in track.artists])
            for name in track.artists:
                self._keep("artists", _made_id(name), {"name": name, "popularity": 0.5})
        if f"{prefix}albums" in self.include and track.album is not None:
            links["albums"] = self._related([("albums", _made_id(track.album))])
            self._keep("albums", _made_id(track.album), _album(track))
        return _resource(track.kind, track.track_id, attributes, links)

    def _keep(self, kind: str, named: str, attributes: dict[str, Any]) -> None:
        self.included[kind, named] = _resource(kind, named, attributes, {})

    def _related(self, named: Iterable[tuple[str, str]]) -> dict[str, Any]:
        return {"data": [{"type": kind, "id": each} for kind, each in named], "links": {"self": "/"}}

    def _seconds(self, entry: TidalEntry) -> int:
        track = self.world.tracks.get((entry.kind, entry.track_id))
        return track.seconds if track is not None else 0


def user(account: TidalAccount) -> dict[str, Any]:
    attributes = {"username": account.username, "country": account.country, "developerAccessTier": "THIRD_PARTY"}
    return _resource("users", account.account_id, attributes, {})


def _resource(kind: str, named: str, attributes: dict[str, Any], relationships: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"id": named, "type": kind, "attributes": attributes}
    if relationships:
        found["relationships"] = relationships
    return found


def _album(track: TidalTrack) -> dict[str, Any]:
    return {
        "title": track.album,
        "albumType": "ALBUM",
        "barcodeId": "0000000000000",
        "duration": "PT40M",
        "explicit": track.is_explicit,
        "mediaTags": [],
        "numberOfItems": 10,
        "numberOfVolumes": 1,
        "popularity": 0.5,
        "releaseDate": track.released_on,
    }


def _made_id(name: str) -> str:
    return str(int(hashlib.sha256(name.encode()).hexdigest()[:8], 16))


def _duration(seconds: int) -> str:
    """As in ISO 8601, without parts that are zero."""
    minutes, left = divmod(seconds, 60)
    return "PT" + (f"{minutes}M" if minutes else "") + (f"{left}S" if left or not minutes else "")
