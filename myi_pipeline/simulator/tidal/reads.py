"""The simulated TIDAL's answers to read requests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

from myi_pipeline.simulator.services.oauth import Grant
from myi_pipeline.simulator.tidal.documents import ApiError, Document, checked_include, moment, user
from myi_pipeline.simulator.tidal.world import TidalAccount, TidalPlaylist, TidalTrack, TidalWorld

Query = Mapping[str, str]
T = TypeVar("T")

_PLAYLIST_SORTS = {"createdAt": "created_at", "lastModifiedAt": "modified_at", "name": "name"}


def me(world: TidalWorld, grant: Grant, named: str) -> dict[str, Any]:
    account = require_account(world, grant, "user.read")
    if named not in ("me", account.account_id):
        raise ApiError(404, "Resource not found")
    return {"data": user(account), "links": {"self": f"/users/{named}"}}


def playlists(world: TidalWorld, grant: Grant, query: Query) -> dict[str, Any]:
    _require_known(query, "filter[owners.id]", "filter[collaborators.id]", "filter[id]")
    with world.guard:
        found = [each for each in world.playlists.values() if may_read(world, grant, each)]
    for name in ("owners", "collaborators"):
        wanted = query.get(f"filter[{name}.id]")
        if wanted is not None:
            account = require_account(world, grant, "playlists.read") if wanted == "me" else world.by_id(wanted)
            found = [each for each in found if account in _people(each, name)]
    if "filter[id]" in query:
        found = [each for each in found if each.playlist_id in query["filter[id]"].split(",")]
    sort = query.get("sort", "-createdAt")
    attribute = _PLAYLIST_SORTS.get(sort.removeprefix("-"))
    if attribute is None:
        raise ApiError(400, f"Unknown sort: {sort[:40]}")
    found.sort(key=lambda each: (getattr(each, attribute), each.playlist_id), reverse=sort.startswith("-"))
    document = Document(world, query.get("countryCode"), checked_include("playlists", query.get("include", "")))
    return _paged(world, "/playlists", query, found, document, lambda each, _: document.playlist(each))


def one_playlist(world: TidalWorld, grant: Grant, playlist_id: str, query: Query) -> dict[str, Any]:
    found = readable(world, grant, playlist_id)
    document = Document(world, query.get("countryCode"), checked_include("playlists", query.get("include", "")))
    return document.whole(document.playlist(found), {"self": f"/playlists/{playlist_id}"})


def items(world: TidalWorld, grant: Grant, playlist_id: str, query: Query) -> dict[str, Any]:
    _require_known(query)
    found = readable(world, grant, playlist_id)
    if query.get("sort", "itemIndex") != "itemIndex":
        raise ApiError(400, "This simulated TIDAL only sorts by itemIndex")
    document = Document(world, query.get("countryCode"), checked_include("playlists", query.get("include", "")))
    path = f"/playlists/{playlist_id}/relationships/items"
    with world.guard:
        entries = list(found.entries)
    return _paged(
        world, path, query, entries, document,
        lambda each, place: document.entry(each, cursor=_cursor(place), with_ids=True),
    )  # fmt: skip


def liked(world: TidalWorld, grant: Grant, query: Query) -> dict[str, Any]:
    account = require_account(world, grant, "collection.read")
    _require_known(query)
    document = Document(world, None, checked_include("userCollectionTracks", query.get("include", "")))
    with world.guard:
        entries = list(world.liked[account.username].entries)
    return _paged(
        world, "/userCollectionTracks/me/relationships/items", query, entries, document,
        lambda each, place: document.entry(each, cursor=_cursor(place), with_ids=False),
    )  # fmt: skip


def collection(world: TidalWorld, grant: Grant) -> dict[str, Any]:
    account = require_account(world, grant, "collection.read")
    held = world.liked[account.username]
    attributes = {
        "numberOfItems": len(held.entries) + world.total_is_off_by,
        "lastModifiedAt": moment(held.modified_at),
    }
    data = {"id": account.account_id, "type": "userCollectionTracks", "attributes": attributes}
    return {"data": data, "links": {"self": "/userCollectionTracks/me"}}


def tracks(world: TidalWorld, query: Query) -> dict[str, Any]:
    """For one ISRC, all tracks with it, in pages; for several, one track for each, without pages."""
    _require_known(query, "filter[isrc]", "filter[id]")
    document = Document(world, query.get("countryCode"), checked_include("tracks", query.get("include", "")))
    with world.guard:
        known = [each for each in world.tracks.values() if not each.is_video and each.is_in(document.country)]
    if "filter[isrc]" not in query:
        wanted = query.get("filter[id]", "").split(",")
        found = [each for each in known if each.track_id in wanted]
        return document.whole([document.track(each) for each in found], {"self": "/tracks"})
    codes = query["filter[isrc]"].split(",")
    if len(codes) == 1:
        found = [each for each in known if each.isrc == codes[0]]
        return _paged(world, "/tracks", query, found, document, lambda each, _: document.track(each))
    first = {each.isrc: each for each in reversed(known)}
    return document.whole(
        [document.track(first[each]) for each in dict.fromkeys(codes) if each in first], {"self": "/tracks"}
    )


def search(world: TidalWorld, grant: Grant, query: Query) -> dict[str, Any]:
    """Up to twenty tracks that share most words with the query; none of them has to match."""
    if grant.account is not None and "search.read" not in grant.scopes:
        raise ApiError(403, "Missing scope: search.read")
    text = query.get("filter[query]", "")
    if not text or len(text) > 256:
        raise ApiError(400, "filter[query] must have 1 to 256 characters")
    document = Document(world, query.get("countryCode"), checked_include("searchResults", query.get("include", "")))
    words = set(text.casefold().split())

    def shared(track: TidalTrack) -> int:
        return len(words & set(f"{track.title} {track.version or ''} {' '.join(track.artists)}".casefold().split()))

    with world.guard:
        known = [each for each in world.tracks.values() if not each.is_video and each.is_in(document.country)]
    best = sorted((each for each in known if shared(each)), key=shared, reverse=True)[:20]
    for each in best if "tracks" in document.include else []:
        document.included[each.kind, each.track_id] = document.track(each, "tracks.")
    named = base64.urlsafe_b64encode(text.encode()).decode()
    result: dict[str, Any] = {
        "id": named,
        "type": "searchResults",
        "attributes": {"query": text, "trackingId": "5896e37d-e847-4ca6-9629-ef8001719f7f"},
    }
    if "tracks" in document.include:
        data = [{"type": each.kind, "id": each.track_id} for each in best]
        result["relationships"] = {"tracks": {"data": data, "links": {"self": f"/searchResults/{named}"}}}
    return document.whole([result], {"self": "/searchResults"})


def require_account(world: TidalWorld, grant: Grant, scope: str) -> TidalAccount:
    """Raises ApiError if the token is the app's own or lacks the scope."""
    if grant.account is None or scope not in grant.scopes:
        raise ApiError(403, f"Missing scope: {scope}")
    return world.accounts[grant.account]


def may_read(world: TidalWorld, grant: Grant, playlist: TidalPlaylist) -> bool:
    """Anybody who knows its id may read a public or unlisted list; only its owner and collaborators a private one."""
    if playlist.access != "PRIVATE":
        return True
    account = world.accounts.get(grant.account or "")
    return account is not None and account in (playlist.owner, *playlist.collaborators)


def readable(world: TidalWorld, grant: Grant, playlist_id: str) -> TidalPlaylist:
    """Raises the same ApiError for a list that may not be seen as for one that does not exist."""
    found = world.playlists.get(playlist_id)
    if found is None or not may_read(world, grant, found):
        raise ApiError(404, "Resource not found")
    return found


def _people(playlist: TidalPlaylist, role: str) -> Sequence[TidalAccount]:
    return (playlist.owner,) if role == "owners" else playlist.collaborators


def _require_known(query: Query, *filters: str) -> None:
    for name in query:
        if name.startswith("filter[") and name not in filters:
            raise ApiError(400, f"Unknown filter: {name[:60]}")


def _paged(
    world: TidalWorld,
    path: str,
    query: Query,
    whole: Sequence[T],
    document: Document,
    shown: Callable[[T, int], dict[str, Any]],
) -> dict[str, Any]:
    """A page of varying size from the cursor on. A cursor is a position, so a change to the list shifts the items."""
    start = _place(query["page[cursor]"]) if "page[cursor]" in query else 0
    end = start + world.page_size()
    data = [shown(each, start + place) for place, each in enumerate(whole[start:end])]
    links: dict[str, Any] = {"self": path}
    if end < len(whole):
        cursor = _cursor(end)
        kept = {name: value for name, value in query.items() if name != "page[cursor]"}
        following = f"{path}?{urlencode({**kept, 'page[cursor]': cursor})}"
        links |= {"next": (world.next_host or "") + following, "meta": {"nextCursor": cursor}}
    return document.whole(data, links)


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(f"at {place}".encode()).decode()


def _place(cursor: str) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(cursor).decode().partition(" ")
        if word != "at":
            raise ValueError(word)
        return int(number)
    except (binascii.Error, ValueError):
        raise ApiError(400, "Invalid page cursor") from None
