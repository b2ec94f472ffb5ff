"""An account's playlists at YouTube Music, read and written, and videos found by name.

A write costs 50 units and holds one video: `day_quota.plan_migration` computes how many days a list takes. A write is
sent once; YouTube has no idempotency keys, so after Transient only the list itself shows whether it was done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from myi_pipeline.errors import BadInput, Gone, UnexpectedAnswer
from myi_pipeline.providers.playlists import (
    LIKED,
    Added,
    Capabilities,
    ListChanged,
    ListedTrack,
    PlaylistEntry,
    PlaylistHead,
)
from myi_pipeline.providers.youtube_music.api import VideoGone, YouTubeApi
from myi_pipeline.providers.youtube_music.models import (
    Resource,
    items_of,
    object_of,
    read_duration,
    read_entry,
    read_head,
    read_track,
    text_of,
    video_id,
    video_of,
)

CAPABILITIES = Capabilities(
    creates=True,
    moves=True,
    removes=True,
    removes_one_of_equal=True,
    searches=True,
    most_entries=5_000,
)
# The list of liked videos; YouTube's own app calls the songs among them liked music.
_LIKED_LIST = "LL"
_ID = re.compile(r"[0-9A-Za-z_-]{2,64}", re.ASCII)
# YouTube's category for music, so that a search does not find a film with the same name.
_MUSIC = "10"
_MOST_FOUND = "10"


class YouTubeMusicPlaylists:
    """A PlaylistReader, PlaylistWriter and TrackFinder for one account."""

    capabilities = CAPABILITIES

    def __init__(self, api: YouTubeApi) -> None:
        self._api = api

    def playlists(self) -> Iterator[PlaylistHead]:
        """Liked videos first. YouTube does not list others' playlists here, nor those that only YouTube Music shows."""
        yield PlaylistHead(playlist_id=LIKED, name="Liked videos", is_public=False)
        params = {"part": "snippet,status,contentDetails", "mine": "true"}
        for what, document in self._api.pages("/playlists", params):
            for resource in items_of(document, what=what):
                yield read_head(resource, what=what)

    def head(self, playlist_id: str) -> PlaylistHead:
        if playlist_id == LIKED:
            return PlaylistHead(playlist_id=LIKED, name="Liked videos", is_public=False)
        what, document = self._api.read(
            "/playlists", {"part": "snippet,status,contentDetails", "id": _checked_id(playlist_id)}
        )
        found = items_of(document, what=what)
        if not found:
            raise Gone(f"{what}: YouTube does not have it, or does not show it to this account")
        return read_head(found[0], what=what)

    def entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        """In order; two units per fifty entries, one of them for the videos' lengths."""
        listed = _LIKED_LIST if playlist_id == LIKED else _checked_id(playlist_id)
        params = {"part": "snippet,contentDetails", "playlistId": listed}
        for what, document in self._api.pages("/playlistItems", params):
            found = items_of(document, what=what)
            durations = self._durations([video for each in found if (video := video_of(each)) is not None])
            for resource in found:
                yield read_entry(resource, durations)

    def kept_name(self, name: str) -> str:
        return _kept_name(name)

    def create(self, name: str, *, description: str | None, is_public: bool, key: str) -> PlaylistHead:
        """YouTube has no idempotency keys: each call creates a list."""
        told = {"title": _name(name), **({"description": description} if description is not None else {})}
        document = {"snippet": told, "status": {"privacyStatus": "public" if is_public else "private"}}
        answer = self._api.write("POST", "/playlists", document, params={"part": "snippet,status"})
        return read_head(answer.document(), what=answer.what)

    def add(
        self,
        playlist_id: str,
        uris: Sequence[str],
        *,
        position: int | None,
        added_at: Sequence[datetime | None],
        key: str,
    ) -> Added:
        """One video. The date on which it was added elsewhere cannot be preserved."""
        if len(uris) != 1:
            raise BadInput(f"YouTube accepts one video at once, not {len(uris)}", place="entries")
        video = video_id(uris[0])
        if video is None:
            raise BadInput(f"{uris[0][:60]!r} is not a video of YouTube", place="uri", rule="youtube:video:ID")
        told: dict[str, object] = {
            "playlistId": _writable(playlist_id),
            "resourceId": {"kind": "youtube#video", "videoId": video},
        }
        if position is not None:
            told["position"] = position
        try:
            answer = self._api.write("POST", "/playlistItems", {"snippet": told}, params={"part": "snippet"})
        except VideoGone:
            return Added(item_ids=(), skipped=(0,))
        item_id = text_of(answer.document().get("id"))
        if item_id is None:
            raise UnexpectedAnswer(f"{answer.what}: YouTube's answer does not state what was added")
        return Added(item_ids=(item_id,))

    def move(
        self, playlist_id: str, *, start: int, length: int, before: int, item_ids: Sequence[str], key: str
    ) -> None:
        """One entry; YouTube needs its video besides its id, so the entry is read first."""
        if length != 1 or len(item_ids) != 1:
            raise BadInput("YouTube moves only one entry at once", place="entries")
        standing = self._item(item_ids[0])
        told = object_of(standing.get("snippet"))
        if told.get("playlistId") != _writable(playlist_id) or told.get("position") != start:
            raise ListChanged("the entry to be moved is no longer where it was")
        place = before - 1 if before > start else before
        document = {
            "id": item_ids[0],
            "snippet": {"playlistId": playlist_id, "resourceId": told.get("resourceId"), "position": place},
        }
        self._api.write("PUT", "/playlistItems", document, params={"part": "snippet"})

    def remove(
        self, playlist_id: str, *, positions: Sequence[int], uris: Sequence[str], item_ids: Sequence[str], key: str
    ) -> None:
        _writable(playlist_id)
        if len(item_ids) != 1:
            raise BadInput("YouTube removes only one entry at once", place="entries")
        self._api.write("DELETE", "/playlistItems", params={"id": item_ids[0]})

    def replace(self, playlist_id: str, uris: Sequence[str], *, key: str) -> None:
        raise BadInput("YouTube cannot replace a list in one request", place="replace")

    def by_isrc(self, isrc: str) -> tuple[ListedTrack, ...]:
        """Empty: YouTube has no codes. No search is spent on it."""
        return ()

    def search(self, *, title: str, artist: str) -> tuple[ListedTrack, ...]:
        """The best ten videos of music. One of the day's hundred searches."""
        query = " ".join(f"{artist} {title}".split())[:200]
        params = {
            "part": "snippet",
            "type": "video",
            "videoCategoryId": _MUSIC,
            "maxResults": _MOST_FOUND,
            "q": query,
        }
        what, document = self._api.read("/search", params)
        found: list[tuple[str, Resource]] = []
        for each in items_of(document, what=what):
            video = text_of(object_of(each.get("id")).get("videoId"))
            if video is not None:
                found.append((video, object_of(each.get("snippet"))))
        durations = self._durations([video for video, _ in found])
        return tuple(
            read_track(
                video,
                title=text_of(told.get("title")) or "",
                channel=text_of(told.get("channelTitle")),
                duration_ms=durations.get(video),
            )
            for video, told in found
        )

    def _item(self, item_id: str) -> Resource:
        what, document = self._api.read("/playlistItems", {"part": "snippet", "id": item_id})
        found = items_of(document, what=what)
        if not found:
            raise ListChanged("the entry to be moved no longer exists")
        return found[0]

    def _durations(self, videos: Sequence[str]) -> dict[str, int]:
        wanted = list(dict.fromkeys(videos))
        if not wanted:
            return {}
        what, document = self._api.read("/videos", {"part": "contentDetails", "id": ",".join(wanted)})
        told = {
            text_of(each.get("id")): read_duration(object_of(each.get("contentDetails")).get("duration"))
            for each in items_of(document, what=what)
        }
        return {video: length for video, length in told.items() if video is not None and length is not None}


def _checked_id(playlist_id: str) -> str:
    if not _ID.fullmatch(playlist_id):
        raise BadInput(f"{playlist_id[:40]!r} is not the id of a YouTube playlist", place="playlist id")
    return playlist_id


def _writable(playlist_id: str) -> str:
    if playlist_id == LIKED:
        raise BadInput("liked videos cannot be changed here", place="playlist id")
    return _checked_id(playlist_id)


def _kept_name(name: str) -> str:
    # YouTube's own limit, and the characters that it refuses.
    return name.translate({ord(char): None for char in "<>"}).strip()[:150].strip()


def _name(name: str) -> str:
    plain = _kept_name(name)
    if not plain:
        raise BadInput("a YouTube playlist needs a name", place="name")
    return plain
