"""YouTube's documents, read leniently. A video's artist is in its title, in its channel, or nowhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from myi_pipeline.errors import UnexpectedAnswer
from myi_pipeline.providers.playlists import EntryKind, ListedTrack, PlaylistEntry, PlaylistHead

# Channels that YouTube generates for an artist; the titles of their videos are those of the recordings.
_TOPIC = " - Topic"
_DASH = re.compile(r"\s+[-\u2013\u2014]\s+")
# Words in a title about the video, not the music. Live, remix and the like are about the music, and stay.
_ABOUT_THE_FILM = re.compile(
    r"\s*[(\[](?:official\s*)?(?:(?:music|lyrics?|hd|4k)\s*)?(?:video|audio|visuali[sz]er|clip|lyrics?|hd|4k|mv|m/v)"
    r"(?:\s*(?:hd|4k|video|clip|remastered))?[)\]]",
    re.IGNORECASE,
)
_VEVO = re.compile(r"\s*VEVO\Z", re.IGNORECASE)
_URI = re.compile(r"youtube:video:([0-9A-Za-z_-]{1,32})", re.ASCII)
_DURATION = re.compile(r"P(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,4})M)?(?:(\d{1,6})S)?)?", re.ASCII)
_GONE_TITLES = ("Deleted video", "Private video")

Resource = Mapping[str, Any]


def items_of(document: Resource, *, what: str) -> list[Resource]:
    """The objects under `items`. Raises UnexpectedAnswer if there is no such list."""
    found = document.get("items")
    if not isinstance(found, list):
        raise UnexpectedAnswer(f"{what}: YouTube's answer holds no list")
    return [each for each in found if isinstance(each, dict)]


def read_head(resource: Resource, *, what: str) -> PlaylistHead:
    """A playlist. YouTube has no versions: only the entries show whether anything has changed."""
    named = text_of(resource.get("id"))
    if named is None:
        raise UnexpectedAnswer(f"{what}: YouTube's playlist has no id")
    told, status = object_of(resource.get("snippet")), object_of(resource.get("status"))
    privacy, items = status.get("privacyStatus"), object_of(resource.get("contentDetails")).get("itemCount")
    return PlaylistHead(
        playlist_id=named,
        name=text_of(told.get("title")) or "",
        description=text_of(told.get("description")),
        owner_id=text_of(told.get("channelId")),
        owner_name=text_of(told.get("channelTitle")),
        is_public=privacy == "public" if isinstance(privacy, str) else None,
        items=items if isinstance(items, int) and not isinstance(items, bool) and items >= 0 else None,
        image_url=_image(told),
        url=f"https://music.youtube.com/playlist?list={named}",
    )


def read_entry(resource: Resource, durations: Mapping[str, int]) -> PlaylistEntry:
    told = object_of(resource.get("snippet"))
    video = video_of(resource)
    title, channel = text_of(told.get("title")) or "", text_of(told.get("videoOwnerChannelTitle"))
    if video is None or (channel is None and title in _GONE_TITLES):
        track = ListedTrack(kind=EntryKind.REMOVED, uri=f"youtube:video:{video}" if video else None)
    else:
        track = read_track(video, title=title, channel=channel, duration_ms=durations.get(video))
    return PlaylistEntry(
        track=track,
        added_at=read_moment(told.get("publishedAt")),
        item_id=text_of(resource.get("id")),
        original=None if track.kind is EntryKind.TRACK else dict(resource),
    )


def read_track(video: str, *, title: str, channel: str | None, duration_ms: int | None = None) -> ListedTrack:
    """A recording, from the names of its video and channel."""
    artist, name = split_title(title, channel)
    return ListedTrack(
        kind=EntryKind.TRACK,
        uri=f"youtube:video:{video}",
        title=name,
        artists=(artist,) if artist else (),
        duration_ms=duration_ms,
    )


def split_title(title: str, channel: str | None) -> tuple[str | None, str]:
    """Artist and title. If the title names no artist, it is the channel."""
    if channel is not None and channel.endswith(_TOPIC):
        return channel.removesuffix(_TOPIC).strip() or None, title
    plain = _ABOUT_THE_FILM.sub("", title).strip() or title
    parts = _DASH.split(plain, maxsplit=1)
    if len(parts) == 2 and all(part.strip() for part in parts):
        return parts[0].strip(), parts[1].strip().strip('"“”') or parts[1].strip()
    return (_VEVO.sub("", channel).strip() or None) if channel else None, plain


def video_of(resource: Resource) -> str | None:
    told = object_of(object_of(resource.get("snippet")).get("resourceId"))
    return text_of(told.get("videoId")) or text_of(object_of(resource.get("contentDetails")).get("videoId"))


def video_id(uri: str) -> str | None:
    """The id in youtube:video:ID; None if it is not a video."""
    found = _URI.fullmatch(uri)
    return found[1] if found is not None else None


def read_duration(value: object) -> int | None:
    """Milliseconds of an ISO 8601 duration; None if there is none, as for a live stream."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000 or None


def read_moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC) if found is not None else None
    except (ValueError, OverflowError):
        return None


def object_of(value: object) -> Resource:
    return value if isinstance(value, dict) else {}


def text_of(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _image(told: Resource) -> str | None:
    sizes = object_of(told.get("thumbnails"))
    for name in ("maxres", "standard", "high", "medium", "default"):
        url = text_of(object_of(sizes.get(name)).get("url"))
        if url and url.startswith("https://"):
            return url
    return None
