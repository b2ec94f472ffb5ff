"""The playlists of a simulated Spotify: their entries, who may read and write them, and how they change.

Written from the published schema (OpenAPI of May 2026): an entry is a track, an episode, a local file of its owner, or
null if the track is gone; every change gives a new snapshot id, and older snapshots cannot be read. A list may be
scripted to change while it is paged through, and reads to be some seconds behind writes.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import quote_plus

from pydantic import BaseModel, ConfigDict, Field

from myi_pipeline.simulator.live.documents import Dialect, Documents, dump, stamp, user_id
from myi_pipeline.simulator.live.world import World

LIKED = "liked"
# Limits of Spotify's clients.
MOST_ITEMS, MOST_LISTS = 10_000, 11_000


class ScriptedEntry(BaseModel):
    """One entry. `track`: its number in the world; `title`: for entries that are not in the catalogue."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["track", "episode", "local", "removed"] = "track"
    track: int = 0
    title: str = ""
    added_at: datetime | None = None
    added_by: str | None = None


class ScriptedPlaylist(BaseModel):
    """A list as scripted by a test. `owner` is the key of a listener or of somebody else; `followers` see it too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9]{1,40}$")
    owner: str
    name: str = "A list"
    description: str | None = None
    public: bool | None = True
    collaborative: bool = False
    followers: tuple[str, ...] = ()
    entries: tuple[ScriptedEntry, ...] = ()
    # How many more times an entry is added at the front after a page was read.
    changes_while_read: int = 0
    # Changes to who may see it do not change the snapshot id.
    keeps_snapshot_id: bool = False
    # Spotify lists some playlists as null.
    is_listed_as_null: bool = False


@dataclass
class LivePlaylist:
    spec: ScriptedPlaylist
    entries: list[ScriptedEntry] = field(default_factory=list)
    revision: int = 1
    changes_left: int = 0
    made_at: datetime | None = None
    # Earlier states and when each ended, if reads are late.
    earlier: list[tuple[datetime, list[ScriptedEntry], int]] = field(default_factory=list)

    @property
    def snapshot_id(self) -> str:
        text = f"{self.revision},{sha256(f'{self.spec.id} {self.revision}'.encode()).hexdigest()}"
        return b64encode(text.encode()).decode()

    def may_read(self, listener: str) -> bool:
        return listener == self.spec.owner or (self.spec.collaborative and listener in self.spec.followers)

    def is_seen_by(self, listener: str) -> bool:
        return self.spec.public is not False or listener == self.spec.owner or listener in self.spec.followers

    def changed(self) -> str:
        self.revision += 1
        return self.snapshot_id


class PlaylistBook:
    """All lists, in the order of creation. Each listener's liked songs are a list that is not listed."""

    def __init__(self, world: World, documents: Documents) -> None:
        self._world = world
        self._documents = documents
        self.lists: dict[str, LivePlaylist] = {}
        self.liked: dict[str, LivePlaylist] = {}
        self.most_items, self.most_lists = MOST_ITEMS, MOST_LISTS
        # How many seconds reads are behind writes.
        self.late_by_s = 0.0
        self._made = 0

    def put(self, spec: ScriptedPlaylist) -> LivePlaylist:
        """Creates or changes a list. A change gives it a new snapshot id, unless its spec keeps it."""
        shelf, key = (self.liked, spec.owner) if spec.id == LIKED else (self.lists, spec.id)
        known = shelf.get(key)
        made = shelf[key] = LivePlaylist(spec, list(spec.entries), changes_left=spec.changes_while_read)
        if known is not None:
            made.revision = known.revision + (not spec.keeps_snapshot_id)
        return made

    def create(
        self, owner: str, *, name: str, description: str | None, public: bool, collaborative: bool, now: datetime
    ) -> str:
        self._made += 1
        made = "0" + sha256(f"{owner} {self._made}".encode()).hexdigest()[:21]
        self.put(
            ScriptedPlaylist(
                id=made, owner=owner, name=name, description=description, public=public, collaborative=collaborative
            )
        ).made_at = now
        return made

    def is_changing(self, playlist: LivePlaylist, now: datetime) -> None:
        """Called before each write."""
        if self.late_by_s:
            playlist.earlier.append((now, list(playlist.entries), playlist.revision))

    def as_read(self, playlist: LivePlaylist, now: datetime) -> LivePlaylist:
        """The state that readers see."""
        shown_at = now - timedelta(seconds=self.late_by_s)
        for until, entries, revision in playlist.earlier if self.late_by_s else ():
            if until > shown_at:
                return LivePlaylist(playlist.spec, entries, revision)
        return playlist

    def is_listed(self, playlist: LivePlaylist, now: datetime) -> bool:
        """Whether reads already include it among its owner's lists."""
        return playlist.made_at is None or now - playlist.made_at >= timedelta(seconds=self.late_by_s)

    def unfollow(self, listener: str, playlist_id: str) -> None:
        """Removes a list from a person's library. This is how an owner deletes it; it can still be read by its id."""
        found = self.lists[playlist_id]
        if found.spec.owner == listener:
            owner = f"{listener} of before"
            found.spec = found.spec.model_copy(update={"owner": owner, "followers": ()})
        else:
            followers = tuple(each for each in found.spec.followers if each != listener)
            found.spec = found.spec.model_copy(update={"followers": followers})

    def of(self, listener: str) -> list[LivePlaylist]:
        """The lists in a listener's library, the latest first."""
        return [
            each
            for each in reversed(self.lists.values())
            if each.spec.owner == listener or listener in each.spec.followers
        ]

    def liked_by(self, listener: str) -> LivePlaylist:
        return self.liked.get(listener) or self.put(ScriptedPlaylist(id=LIKED, owner=listener))

    def page_was_read(self, playlist: LivePlaylist) -> None:
        """Called after a page that is not the last; changes a list that is scripted to change."""
        if playlist.changes_left and playlist.entries:
            playlist.changes_left -= 1
            playlist.entries.insert(0, playlist.entries[-1])
            playlist.changed()

    # Documents

    def head(self, playlist: LivePlaylist, *, listener: str, dialect: Dialect, is_whole: bool) -> dict[str, Any]:
        spec = playlist.spec
        href = f"{self._documents.api_url}/playlists/{spec.id}"
        counted = {"href": f"{href}/items", "total": len(playlist.entries)}
        document: dict[str, Any] = {
            "collaborative": spec.collaborative,
            "description": spec.description,
            "external_urls": {"spotify": f"https://open.spotify.com/playlist/{spec.id}"},
            "href": href,
            "id": spec.id,
            "images": [{"url": f"https://mosaic.scdn.co/640/{spec.id}", "height": None, "width": None}]
            if playlist.entries
            else None,
            "name": spec.name,
            "owner": {
                "display_name": spec.owner,
                "href": f"{self._documents.api_url}/users/{user_id(spec.owner)}",
                "id": user_id(spec.owner),
                "type": "user",
                "uri": f"spotify:user:{user_id(spec.owner)}",
            },
            "primary_color": None,
            "public": spec.public,
            "snapshot_id": playlist.snapshot_id,
            "type": "playlist",
            "uri": f"spotify:playlist:{spec.id}",
        }
        if not is_whole or playlist.may_read(listener):
            document["items"] = counted
        if dialect == "old":
            document["tracks"] = counted
        return document

    def entry(self, entry: ScriptedEntry, *, dialect: Dialect, types: set[str]) -> bytes:
        by = None if entry.added_by is None else {"id": user_id(entry.added_by), "type": "user"}
        at = None if entry.added_at is None else stamp(round(entry.added_at.timestamp() * 1000))
        head = {
            "added_at": at,
            "added_by": by,
            "is_local": entry.kind == "local",
            "primary_color": None,
            "video_thumbnail": {"url": None},
        }
        name = b"track" if dialect == "old" else b"item"
        return b'%b,"%b":%b}' % (dump(head)[:-1], name, self._item(entry, dialect, types))

    def liked_entry(self, entry: ScriptedEntry, *, dialect: Dialect) -> bytes:
        at = None if entry.added_at is None else stamp(round(entry.added_at.timestamp() * 1000))
        return b'{"added_at":%b,"track":%b}' % (dump(at), self._item(entry, dialect, {"track"}))

    def _item(self, entry: ScriptedEntry, dialect: Dialect, types: set[str]) -> bytes:
        if entry.kind == "removed":
            return b"null"
        if entry.kind == "local":
            return dump(self._local(entry))
        if entry.kind == "episode":
            # Clients that do not request episodes get them in a form similar to a track.
            kind = "episode" if "episode" in types else "track"
            return dump(self._episode(entry) | {"type": kind})
        return self._documents.track(self._world.tracks[entry.track], dialect)

    def _local(self, entry: ScriptedEntry) -> dict[str, Any]:
        return {
            "album": {"name": "", "artists": [], "images": [], "id": None, "uri": None, "album_type": None},
            "artists": [{"name": "Somebody's band", "id": None, "uri": None, "type": "artist"}],
            "disc_number": 0,
            "duration_ms": 183_000,
            "explicit": False,
            "external_ids": {},
            "id": None,
            "is_local": True,
            "name": entry.title,
            "track_number": 0,
            "type": "track",
            "uri": uri_of(entry, self._world),
        }

    def _episode(self, entry: ScriptedEntry) -> dict[str, Any]:
        uri = uri_of(entry, self._world) or ""
        return {
            "id": uri.rsplit(":", 1)[-1],
            "uri": uri,
            "name": entry.title,
            "duration_ms": 1_800_000,
            "explicit": False,
            "is_playable": True,
            "show": {"name": "A made-up show", "publisher": "Somebody"},
        }


def uri_of(entry: ScriptedEntry, world: World) -> str | None:
    """The URI of an entry; None if it is gone."""
    if entry.kind == "removed":
        return None
    if entry.kind == "local":
        return f"spotify:local:Somebody%27s+band::{quote_plus(entry.title)}:183"
    if entry.kind == "episode":
        return f"spotify:episode:{sha256(entry.title.encode()).hexdigest()[:22]}"
    return f"spotify:track:{world.tracks[entry.track].api_id}"


def entry_of(uri: str, world: World, *, added_at: datetime, added_by: str) -> ScriptedEntry | None:
    """The entry for a URI in a write; None for an unknown track or a local file, which cannot be added."""
    kind, identifier = uri.split(":")[1:3] if uri.count(":") == 2 else ("", "")
    track = world.by_track_id.get(identifier) if kind == "track" else None
    if track is not None and not track.is_gone and not track.is_local:
        return ScriptedEntry(track=track.thing, added_at=added_at, added_by=added_by)
    return None
