"""Changes to an account's playlists and liked tracks at TIDAL.

Each is sent once, with its key. After Transient, the same call with the same key may be repeated within the hour that
TIDAL keeps its answer: it gets that answer if the first one was done, and is done now if not. Later, the list must be
read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from myi_pipeline.errors import BadInput, UnexpectedAnswer
from myi_pipeline.providers.playlists import LIKED, Added, ListChanged, PlaylistHead
from myi_pipeline.providers.tidal.api import TidalApi
from myi_pipeline.providers.tidal.client import CAPABILITIES, TidalReader, checked_id, items_path
from myi_pipeline.providers.tidal.models import (
    Included,
    Resource,
    identifier_of,
    identity,
    one_of,
    read_head,
)
from myi_pipeline.providers.transport import Answer


class TidalWriter:
    """A PlaylistWriter. Also raises WriteUnderWay, KeyUsed, ListChanged."""

    capabilities = CAPABILITIES

    def __init__(self, api: TidalApi, *, country: str | None = None) -> None:
        self._api = api
        self._country = country
        # With the same token, since writes are visible at once only to the account that made them.
        self._reader = TidalReader(api, country=country)

    def kept_name(self, name: str) -> str:
        return name.strip()

    def create(self, name: str, *, description: str | None, is_public: bool, key: str) -> PlaylistHead:
        """TIDAL has no private lists: one that is not public is unlisted, but can be opened by its address."""
        told = {"name": _name(name), "accessType": "PUBLIC" if is_public else "UNLISTED"}
        if description is not None:
            told["description"] = description
        answer = self._api.mutate("POST", "/playlists", {"data": {"type": "playlists", "attributes": told}}, key=key)
        document = answer.document()
        return read_head(one_of(document, what=answer.what), Included(document))

    def change(
        self,
        playlist_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        is_public: bool | None = None,
        key: str,
    ) -> None:
        """None leaves a field unchanged."""
        told: dict[str, str] = {}
        if name is not None:
            told["name"] = _name(name)
        if description is not None:
            told["description"] = description
        if is_public is not None:
            told["accessType"] = "PUBLIC" if is_public else "UNLISTED"
        data = {"type": "playlists", "id": checked_id(playlist_id), "attributes": told}
        self._api.mutate("PATCH", f"/playlists/{playlist_id}", {"data": data}, key=key)

    def delete(self, playlist_id: str, *, key: str) -> None:
        self._api.mutate("DELETE", f"/playlists/{checked_id(playlist_id)}", key=key)

    def add(
        self,
        playlist_id: str,
        uris: Sequence[str],
        *,
        position: int | None,
        added_at: Sequence[datetime | None],
        key: str,
    ) -> Added:
        """See PlaylistWriter. A position requires reading up to it, because TIDAL inserts before an entry.

        Liked tracks have no positions and contain each track once; TIDAL refuses a request with an existing one.
        """
        _count(uris, CAPABILITIES.most_per_add)
        data = [_identifier(uri) for uri in uris]
        for each, moment in zip(data, added_at, strict=True):
            if moment is not None:
                each["meta"] = {"addedAt": moment.astimezone(UTC).isoformat().replace("+00:00", "Z")}
        document: dict[str, Any] = {"data": data}
        if position is not None and playlist_id != LIKED:
            before = self._item_ids(playlist_id, upto=position + 1)[position:]
            if before:
                document["meta"] = {"positionBefore": before[0]}
        answer = self._api.mutate("POST", items_path(playlist_id), document, key=key, country=self._country)
        return _read_added(answer, data)

    def move(
        self, playlist_id: str, *, start: int, length: int, before: int, item_ids: Sequence[str], key: str
    ) -> None:
        """See PlaylistWriter. TIDAL needs each entry's track besides its id, so the list is read first."""
        _count(item_ids, CAPABILITIES.most_per_move)
        if playlist_id == LIKED:
            raise BadInput("liked tracks have no order that could be changed", place="playlist id")
        standing = list(self._standing(playlist_id, upto=max(start + length, before + 1)))
        block = standing[start : start + length]
        if [item_id for item_id, _ in block] != list(item_ids):
            raise ListChanged("the entries to be moved are no longer where they were")
        document: dict[str, Any] = {"data": [each | {"meta": {"itemId": item_id}} for item_id, each in block]}
        if before < len(standing):
            document["meta"] = {"positionBefore": standing[before][0]}
        self._api.mutate("PATCH", items_path(playlist_id), document, key=key)

    def remove(
        self, playlist_id: str, *, positions: Sequence[int], uris: Sequence[str], item_ids: Sequence[str], key: str
    ) -> None:
        """See PlaylistWriter. An entry is removed by its id; the positions are not needed."""
        _count(uris, CAPABILITIES.most_per_removal)
        data = [_identifier(uri) for uri in uris]
        if playlist_id != LIKED:
            for each, item_id in zip(data, item_ids, strict=True):
                each["meta"] = {"itemId": item_id}
        self._api.mutate("DELETE", items_path(playlist_id), {"data": data}, key=key)

    def replace(self, playlist_id: str, uris: Sequence[str], *, key: str) -> None:
        """TIDAL has no such request, and needs none: an entry can be removed by its own id."""
        raise BadInput("TIDAL cannot replace a list in one request", place="replace")

    def _item_ids(self, playlist_id: str, *, upto: int) -> list[str]:
        return [item_id for item_id, _ in self._standing(playlist_id, upto=upto)]

    def _standing(self, playlist_id: str, *, upto: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """The first entries: their ids and their tracks' identifiers."""
        for place, found in enumerate(self._reader.identifiers(playlist_id)):
            if place >= upto:
                return
            yield _item_id(found), {"type": found["type"], "id": found["id"]}


def _read_added(answer: Answer, asked: Sequence[Resource]) -> Added:
    """What was added and what was left out.

    Raises UnexpectedAnswer if the answer is inconsistent: the caller then reads the list.
    """
    document = answer.document()
    data, meta = document.get("data"), document.get("meta")
    left_out = meta.get("skipped") if isinstance(meta, dict) else None
    unknown = {identity(each) for each in left_out} if isinstance(left_out, list) else set()
    skipped = tuple(place for place, each in enumerate(asked) if identity(each) in unknown)
    added = [identity(each) for place, each in enumerate(asked) if place not in skipped]
    if not isinstance(data, list) or [identity(each) for each in data] != added:
        raise UnexpectedAnswer(f"{answer.what}: TIDAL's answer does not say which of {len(asked)} entries it added")
    return Added(item_ids=tuple(_item_id_or_none(each) for each in data), skipped=skipped)


def _item_id_or_none(identifier: Resource) -> str | None:
    meta = identifier.get("meta")
    item_id = meta.get("itemId") if isinstance(meta, dict) else None
    return item_id if isinstance(item_id, str) and item_id else None


def _item_id(identifier: Resource) -> str:
    found = _item_id_or_none(identifier)
    if found is None:
        raise UnexpectedAnswer("TIDAL's list has an entry without an id of its own")
    return found


def _identifier(uri: str) -> dict[str, Any]:
    found = identifier_of(uri)
    if found is None:
        raise BadInput(f"{uri[:60]!r} is not a track or a video of TIDAL", place="uri", rule="tidal:track:ID")
    return found


def _count(entries: Sequence[str], most: int) -> None:
    if not 1 <= len(entries) <= most:
        raise BadInput(f"TIDAL accepts 1 to {most} entries at once, not {len(entries)}", place="entries")


def _name(name: str) -> str:
    if not name.strip():
        raise BadInput("a TIDAL playlist needs a name", place="name")
    return name
