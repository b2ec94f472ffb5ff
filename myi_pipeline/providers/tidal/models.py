"""TIDAL's documents, read leniently: a missing or malformed field does not affect others.

A relationship that was not requested, or whose resource may not be seen, is absent, which is not an error either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from myi_pipeline.errors import UnexpectedAnswer
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry, PlaylistHead

# PT2M58S. The description's own example for a playlist is P30M5S, without the T that ISO 8601 wants.
_DURATION = re.compile(
    r"P(?:(?P<days>\d{1,5})D)?T?(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,9})?)S)?",
    re.ASCII,
)
_URI = re.compile(r"tidal:(track|video):([0-9A-Za-z-]{1,64})", re.ASCII)
# As in its app and on its pages, with or without a suffix after the id.
_ADDRESS = re.compile(
    r"https?://(?:(?:www|listen|desktop)\.)?tidal\.com/(?:browse/)?(?:album/[0-9]{1,64}/)?"
    r"(track|video)/([0-9A-Za-z-]{1,64})(?:/u)?/?(?:[?#].*)?",
    re.ASCII,
)
_KINDS = {"tracks": EntryKind.TRACK, "videos": EntryKind.VIDEO}
_WORDS = {"tracks": "track", "videos": "video"}
_TYPES = {word: kind for kind, word in _WORDS.items()}

Resource = Mapping[str, Any]


class Included:
    """The resources included in a document, by type and id."""

    def __init__(self, document: Resource) -> None:
        found = document.get("included")
        resources = found if isinstance(found, list) else []
        self._resources = {
            (each["type"], each["id"]): each
            for each in resources
            if isinstance(each, dict) and isinstance(each.get("type"), str) and isinstance(each.get("id"), str)
        }

    def find(self, identifier: object) -> Resource | None:
        key = identity(identifier)
        return self._resources.get(key) if key is not None else None

    def related(self, resource: Resource, name: str) -> list[Resource]:
        """The included resources of the relationship, in its order."""
        found = (self.find(each) for each in identifiers(resource, name))
        return [each for each in found if each is not None]


def identity(identifier: object) -> tuple[str, str] | None:
    """Type and id; None if it has none."""
    if not isinstance(identifier, dict):
        return None
    kind, named = identifier.get("type"), identifier.get("id")
    return (kind, named) if isinstance(kind, str) and isinstance(named, str) and named else None


def identifiers(resource: Resource, name: str) -> list[Resource]:
    """The identifiers in a relationship, whether or not they are included."""
    relationship = _object(_object(resource.get("relationships")).get(name))
    data = relationship.get("data")
    listed = data if isinstance(data, list) else [data]
    return [each for each in listed if identity(each) is not None]


def data_of(document: Resource, *, what: str) -> list[Resource]:
    """The objects under `data`. Raises UnexpectedAnswer if it is not a list of objects."""
    data = document.get("data")
    if not isinstance(data, list) or not all(identity(each) is not None for each in data):
        raise UnexpectedAnswer(f"{what}: TIDAL's answer holds no list of resources")
    return data


def one_of(document: Resource, *, what: str) -> Resource:
    data = document.get("data")
    if not isinstance(data, dict) or identity(data) is None:
        raise UnexpectedAnswer(f"{what}: TIDAL's answer holds no resource")
    return data


def read_head(resource: Resource, included: Included) -> PlaylistHead:
    """A playlist without its entries. TIDAL has no version numbers, only the last modification."""
    told = _object(resource.get("attributes"))
    owners = identifiers(resource, "owners")
    names = [_text(_object(each.get("attributes")).get("name")) for each in included.related(resource, "ownerProfiles")]
    access = told.get("accessType")
    items = told.get("numberOfItems")
    return PlaylistHead(
        playlist_id=resource["id"],
        name=_text(told.get("name")) or "",
        description=_text(told.get("description")),
        owner_id=owners[0]["id"] if owners else None,
        owner_name=next((name for name in names if name), None),
        is_public=access == "PUBLIC" if isinstance(access, str) else None,
        is_collaborative=bool(identifiers(resource, "collaborators")) or None,
        version=_text(told.get("lastModifiedAt")),
        items=items if isinstance(items, int) and not isinstance(items, bool) and items >= 0 else None,
        image_url=_image(included.related(resource, "coverArt")),
        url=_shared(told) or f"https://tidal.com/playlist/{resource['id']}",
    )


def read_entry(identifier: Resource, included: Included) -> PlaylistEntry:
    """One position on a list.

    A resource that is not included has left the catalogue or may not be seen: its id stays.
    """
    meta = _object(identifier.get("meta"))
    kind, named = identifier["type"], identifier["id"]
    resource = included.find(identifier)
    if resource is None or kind not in _KINDS:
        track = ListedTrack(kind=EntryKind.REMOVED, uri=f"tidal:{_WORDS.get(kind, kind)}:{named}")
    else:
        track = read_track(resource, included)
    return PlaylistEntry(
        track=track,
        added_at=read_moment(meta.get("addedAt")),
        item_id=_text(meta.get("itemId")),
        original=None if track.kind is EntryKind.TRACK else dict(identifier),
    )


def read_track(resource: Resource, included: Included) -> ListedTrack:
    """A track or a video. `version` ("Live", "Radio Edit") belongs to the title, where other services have it."""
    told = _object(resource.get("attributes"))
    title, version = _text(told.get("title")) or "", _text(told.get("version"))
    if version and version.casefold() not in title.casefold():
        title = f"{title} ({version})"
    artists = [_text(_object(each.get("attributes")).get("name")) for each in included.related(resource, "artists")]
    album = next((_object(each.get("attributes")) for each in included.related(resource, "albums")), {})
    isrc = _text(told.get("isrc"))
    explicit = told.get("explicit")
    return ListedTrack(
        kind=_KINDS.get(resource["type"], EntryKind.REMOVED),
        uri=f"tidal:{_WORDS.get(resource['type'], resource['type'])}:{resource['id']}",
        title=title,
        artists=tuple(name for name in artists if name),
        album=_text(album.get("title")),
        isrc=isrc.upper() if isrc else None,
        duration_ms=read_duration(told.get("duration")),
        is_explicit=explicit if isinstance(explicit, bool) else None,
        released_on=_text(album.get("releaseDate")) or _text(told.get("releaseDate")),
    )


def read_duration(value: object) -> int | None:
    """Milliseconds of an ISO 8601 duration."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None or not any(found.groups()):
        return None
    days, hours, minutes = (int(found[name] or 0) for name in ("days", "hours", "minutes"))
    return round((((days * 24 + hours) * 60 + minutes) * 60 + float(found["seconds"] or 0)) * 1000)


def read_moment(value: object) -> datetime | None:
    """An aware time in UTC; one without a zone counts as UTC."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC) if found is not None else None
    except (ValueError, OverflowError):
        return None


def identifier_of(uri: str) -> dict[str, Any] | None:
    """TIDAL's identifier for this URI; None if it is not TIDAL's or cannot be on a list."""
    found = _URI.fullmatch(uri)
    return {"type": _TYPES[found[1]], "id": found[2]} if found is not None else None


def uri_of_address(told: str) -> str:
    """The URI of the track or video at this address of TIDAL's app; anything else is returned unchanged."""
    found = _ADDRESS.fullmatch(told)
    return f"tidal:{found[1]}:{found[2]}" if found is not None else told


def _image(artworks: Iterable[Resource]) -> str | None:
    """The first file of the first picture, which was the largest in all observed answers."""
    for artwork in artworks:
        files = _object(artwork.get("attributes")).get("files")
        for each in files if isinstance(files, list) else []:
            href = _text(_object(each).get("href"))
            if href and href.startswith("https://"):
                return href
    return None


def _shared(told: Resource) -> str | None:
    links = told.get("externalLinks")
    for link in links if isinstance(links, list) else []:
        href = _text(_object(link).get("href"))
        if href and href.startswith("https://") and _object(_object(link).get("meta")).get("type") == "TIDAL_SHARING":
            return href
    return None


def _object(value: object) -> Resource:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
