"""How the simulated TIDAL carries out writes, and stores answers for writes that are sent again."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from myi_pipeline.simulator.services.oauth import Grant
from myi_pipeline.simulator.tidal.documents import ApiError, Document, moment
from myi_pipeline.simulator.tidal.reads import may_read, require_account
from myi_pipeline.simulator.tidal.world import TidalAccount, TidalEntry, TidalPlaylist, TidalWorld

KEPT = timedelta(hours=1)
LONGEST_KEY = 128


@dataclass
class _Kept:
    """A write by its key: its fingerprint, and its answer once there is one."""

    fingerprint: str
    status: int | None = None
    body: bytes = b""
    completed_at: datetime | None = None


class Idempotency:
    """Answers by account and key, stored for an hour after the write was completed."""

    def __init__(self, world: TidalWorld) -> None:
        self._world = world
        self._kept: dict[tuple[str, str], _Kept] = {}

    def begin(self, account: str, key: str, request: bytes) -> _Kept | None:
        """The stored answer, or None if the write must be carried out now. Raises ApiError."""
        if len(key) > LONGEST_KEY:
            raise ApiError(400, "Idempotency-Key is too long")
        fingerprint = hashlib.sha256(request).hexdigest()
        with self._world.guard:
            held = self._kept.get((account, key))
            if held is not None and held.completed_at is not None and self._world.clock() > held.completed_at + KEPT:
                held = None
            if held is None:
                self._kept[account, key] = _Kept(fingerprint)
                return None
            if held.fingerprint != fingerprint:
                raise ApiError(
                    422, "Idempotency key reused with a different payload", "IDEMPOTENT_REQUEST_PAYLOAD_MISMATCH"
                )
            if held.completed_at is None:
                raise ApiError(
                    409, "Request already in progress for this idempotency key", "IDEMPOTENT_REQUEST_IN_PROGRESS"
                )
            return held

    def complete(self, account: str, key: str, status: int, body: bytes) -> None:
        with self._world.guard:
            held = self._kept[account, key]
            held.status, held.body, held.completed_at = status, body, self._world.clock()

    def drop(self, account: str, key: str) -> None:
        """Frees the key of a write that was refused."""
        with self._world.guard:
            self._kept.pop((account, key), None)


def create(world: TidalWorld, grant: Grant, sent: Any) -> tuple[int, dict[str, Any]]:
    account = require_account(world, grant, "playlists.write")
    attributes = _attributes(sent, allowed={"name", "description", "accessType", "createdAt"})
    if not isinstance(attributes.get("name"), str) or not attributes["name"]:
        raise ApiError(400, "name is required")
    now = world.clock()
    made = TidalPlaylist(str(uuid.uuid4()), account, attributes["name"], now, now)
    _describe(made, attributes)
    with world.guard:
        world.playlists[made.playlist_id] = made
    document = Document(world, None, frozenset())
    return 201, {"data": document.playlist(made), "links": {"self": f"/playlists/{made.playlist_id}"}}


def change(world: TidalWorld, grant: Grant, playlist_id: str, sent: Any) -> tuple[int, dict[str, Any]]:
    found = _writable(world, grant, playlist_id)
    _describe(found, _attributes(sent, allowed={"name", "description", "accessType"}))
    world.touch(found)
    return 200, {"data": Document(world, None, frozenset()).playlist(found), "links": {"self": "/playlists"}}


def delete(world: TidalWorld, grant: Grant, playlist_id: str) -> tuple[int, dict[str, Any]]:
    _writable(world, grant, playlist_id, owner_only=True)
    del world.playlists[playlist_id]
    return 200, {"links": {"self": f"/playlists/{playlist_id}"}}


def add(world: TidalWorld, grant: Grant, playlist_id: str, sent: Any) -> tuple[int, dict[str, Any]]:
    found = _writable(world, grant, playlist_id)
    listed = _listed(sent, most=50, kinds=("tracks", "videos"))
    with world.guard:
        entries, skipped = _entries(world, listed)
        if len(found.entries) + len(entries) > world.most_entries:
            raise ApiError(409, "Playlist item limit reached", "TOO_MANY_ITEMS_IN_PLAYLIST")
        before = _before(sent)
        place = _place_of(found, before) if before is not None else len(found.entries)
        found.entries[place:place] = entries
        world.touch(found)
    data = [
        {"id": each.track_id, "type": each.kind, "meta": {"itemId": each.item_id, "addedAt": moment(each.added_at)}}
        for each in entries
    ]
    return 200, {"data": data, "links": {"self": f"/playlists/{playlist_id}"}, "meta": {"skipped": skipped}}


def move(world: TidalWorld, grant: Grant, playlist_id: str, sent: Any) -> tuple[int, dict[str, Any]]:
    """Moves to the end if no entry is named."""
    found = _writable(world, grant, playlist_id)
    listed = _listed(sent, most=20, kinds=("tracks", "videos"))
    with world.guard:
        moved = [_entry_of(found, each) for each in listed]
        before = _before(sent)
        if before is not None and before in {each.item_id for each in moved}:
            raise ApiError(400, "positionBefore is one of the moved items")
        left = [each for each in found.entries if each not in moved]
        place = next((n for n, each in enumerate(left) if each.item_id == before), None) if before else len(left)
        if place is None:
            raise ApiError(400, "positionBefore is not on the playlist")
        found.entries = [*left[:place], *moved, *left[place:]]
        world.touch(found)
    return 200, {"links": {"self": f"/playlists/{playlist_id}"}}


def remove(world: TidalWorld, grant: Grant, playlist_id: str, sent: Any) -> tuple[int, dict[str, Any]]:
    found = _writable(world, grant, playlist_id)
    listed = _listed(sent, most=50, kinds=("tracks", "videos"))
    with world.guard:
        gone = [_entry_of(found, each) for each in listed]
        found.entries = [each for each in found.entries if each not in gone]
        world.touch(found)
    return 200, {"links": {"self": f"/playlists/{playlist_id}"}}


def like(world: TidalWorld, grant: Grant, sent: Any) -> tuple[int, dict[str, Any]]:
    """The whole request is refused if any of the tracks is already liked."""
    account = require_account(world, grant, "collection.write")
    listed = _listed(sent, most=50, kinds=("tracks",))
    held = world.liked[account.username]
    with world.guard:
        there = {each.track_id for each in held.entries}
        if len({each["id"] for each in listed} - there) != len(listed):
            raise ApiError(409, "Items are already in the collection", "DUPLICATE_ITEMS_IN_COLLECTION")
        entries, skipped = _entries(world, listed)
        if len(there) + len(entries) > world.most_entries:
            raise ApiError(409, "Collection item limit reached", "TOO_MANY_ITEMS_IN_COLLECTION")
        held.entries[:0] = entries
        held.entries.sort(key=lambda each: each.added_at, reverse=True)
        world.touch(held)
    data = [{"id": each.track_id, "type": each.kind, "meta": {"addedAt": moment(each.added_at)}} for each in entries]
    return 200, {"data": data, "links": {"self": "/userCollectionTracks/me"}, "meta": {"skipped": skipped}}


def unlike(world: TidalWorld, grant: Grant, sent: Any) -> tuple[int, dict[str, Any]]:
    account = require_account(world, grant, "collection.write")
    gone = {each["id"] for each in _listed(sent, most=50, kinds=("tracks",))}
    held = world.liked[account.username]
    with world.guard:
        held.entries = [each for each in held.entries if each.track_id not in gone]
        world.touch(held)
    return 200, {"links": {"self": "/userCollectionTracks/me"}}


def read_body(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        raise ApiError(400, "The body is not JSON") from None


def _writable(world: TidalWorld, grant: Grant, playlist_id: str, *, owner_only: bool = False) -> TidalPlaylist:
    account: TidalAccount = require_account(world, grant, "playlists.write")
    found = world.playlists.get(playlist_id)
    if found is None or not may_read(world, grant, found):
        raise ApiError(404, "Resource not found")
    if account != found.owner and (owner_only or account not in found.collaborators):
        raise ApiError(403, "You may not change this playlist")
    return found


def _attributes(sent: Any, *, allowed: set[str]) -> dict[str, Any]:
    data = sent.get("data") if isinstance(sent, dict) else None
    attributes = data.get("attributes") if isinstance(data, dict) else None
    if not isinstance(data, dict) or data.get("type") != "playlists" or not isinstance(attributes, dict):
        raise ApiError(400, "data must be a playlist with attributes")
    if set(attributes) - allowed or attributes.get("accessType", "PUBLIC") not in ("PUBLIC", "UNLISTED"):
        raise ApiError(400, "An attribute cannot be written, or has no such value")
    return attributes


def _describe(playlist: TidalPlaylist, attributes: dict[str, Any]) -> None:
    playlist.name = attributes.get("name", playlist.name)
    playlist.description = attributes.get("description", playlist.description)
    playlist.access = attributes.get("accessType", playlist.access)


def _listed(sent: Any, *, most: int, kinds: Sequence[str]) -> list[dict[str, Any]]:
    data = sent.get("data") if isinstance(sent, dict) else None
    if not isinstance(data, list) or not 1 <= len(data) <= most:
        raise ApiError(400, f"data must hold 1 to {most} identifiers")
    if not all(isinstance(each, dict) and each.get("type") in kinds and each.get("id") for each in data):
        raise ApiError(400, "An identifier is malformed")
    return data


def _entries(world: TidalWorld, listed: Sequence[dict[str, Any]]) -> tuple[list[TidalEntry], list[dict[str, str]]]:
    """Entries for the tracks in the catalogue, and the identifiers of the others."""
    entries, skipped = [], []
    for each in listed:
        track = world.tracks.get((each["type"], each["id"]))
        if track is None or track.is_gone:
            skipped.append({"id": each["id"], "type": each["type"], "reason": "NOT_FOUND"})
            continue
        added_at = (each.get("meta") or {}).get("addedAt")
        entries.append(world.entry(each["type"], each["id"], datetime.fromisoformat(added_at) if added_at else None))
    return entries, skipped


def _before(sent: dict[str, Any]) -> str | None:
    meta = sent.get("meta")
    if meta is None:
        return None
    if not isinstance(meta, dict) or not isinstance(meta.get("positionBefore"), str):
        raise ApiError(400, "positionBefore is required in meta")
    return str(meta["positionBefore"])


def _place_of(playlist: TidalPlaylist, item_id: str) -> int:
    for place, each in enumerate(playlist.entries):
        if each.item_id == item_id:
            return place
    raise ApiError(400, "positionBefore is not on the playlist")


def _entry_of(playlist: TidalPlaylist, identifier: dict[str, Any]) -> TidalEntry:
    item_id = (identifier.get("meta") or {}).get("itemId")
    for each in playlist.entries:
        if (each.item_id, each.kind, each.track_id) == (item_id, identifier["type"], identifier["id"]):
            return each
    raise ApiError(404, "An item is not on the playlist")
