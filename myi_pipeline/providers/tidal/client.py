"""An account's playlists and liked tracks at TIDAL, and its catalogue: all read requests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from myi_pipeline.errors import BadInput, Forbidden, Gone
from myi_pipeline.providers.playlists import (
    LIKED,
    Capabilities,
    ListedTrack,
    PlaylistEntry,
    PlaylistHead,
)
from myi_pipeline.providers.tidal.api import TidalApi
from myi_pipeline.providers.tidal.models import (
    Included,
    Resource,
    data_of,
    one_of,
    read_entry,
    read_head,
    read_track,
)

# `most_isrcs_at_once`: the number that other programs use; TIDAL documents none, nor a maximum list size.
CAPABILITIES = Capabilities(
    creates=True,
    moves=True,
    removes=True,
    removes_one_of_equal=True,
    finds_isrc=True,
    searches=True,
    keeps_added_at=True,
    most_per_add=50,
    most_per_move=20,
    most_per_removal=50,
    most_isrcs_at_once=20,
    idempotent_for_s=3_600,
)
_HEAD = "owners,ownerProfiles,collaborators,coverArt"
_ITEMS = "items,items.artists,items.albums"
_LONGEST_QUERY = 256
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", re.ASCII)


class TidalReader:
    """A PlaylistReader.

    `country` (ISO 3166-1) decides which tracks are shown; if None, TIDAL uses the account's. Without an account's
    tokens, the app's own read public lists by their id.
    """

    def __init__(self, api: TidalApi, *, country: str | None = None) -> None:
        self._api = api
        self._country = {"countryCode": country} if country else {}

    def playlists(self) -> Iterator[PlaylistHead]:
        """Its liked tracks if the login may read them, its own lists, and collaborative ones."""
        # Not around the yield: the caller's exceptions must not be suppressed.
        liked = None
        with suppress(Forbidden):
            liked = self.head(LIKED)
        if liked is not None:
            yield liked
        seen = set[str]()
        for role in ("owners", "collaborators"):
            params = {f"filter[{role}.id]": "me", "include": _HEAD, **self._country}
            for what, document in self._api.pages("/playlists", params):
                included = Included(document)
                for resource in data_of(document, what=what):
                    # If pages shift while they are read, a list appears twice.
                    if resource["id"] not in seen:
                        seen.add(resource["id"])
                        yield read_head(resource, included)

    def head(self, playlist_id: str) -> PlaylistHead:
        if playlist_id == LIKED:
            what, document = self._api.read("/userCollectionTracks/me", self._country)
            head = read_head(one_of(document, what=what), Included(document))
            return PlaylistHead(
                playlist_id=LIKED, name="Liked tracks", is_public=False, version=head.version, items=head.items
            )
        what, document = self._api.read(f"/playlists/{checked_id(playlist_id)}", {"include": _HEAD, **self._country})
        return read_head(one_of(document, what=what), Included(document))

    def entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        """In the list's order; liked tracks with the latest first, as TIDAL shows them."""
        params = {"include": _ITEMS, **self._country}
        if playlist_id == LIKED:
            params.pop("countryCode", None)  # not a parameter of this one
        for what, document in self._api.pages(items_path(playlist_id), params):
            included = Included(document)
            for identifier in data_of(document, what=what):
                yield read_entry(identifier, included)

    def identifiers(self, playlist_id: str) -> Iterator[Resource]:
        """The entries of the list, by ids only."""
        for what, document in self._api.pages(items_path(playlist_id), self._country):
            yield from data_of(document, what=what)


class TidalFinder:
    """A BatchFinder with tokens of an account or of the app."""

    def __init__(self, api: TidalApi, *, country: str | None = None) -> None:
        self._api = api
        self._params = {"include": "artists,albums", **({"countryCode": country} if country else {})}

    def by_isrc(self, isrc: str) -> tuple[ListedTrack, ...]:
        """Every track with the code: for a single code, TIDAL returns all of them."""
        found: list[ListedTrack] = []
        for what, document in self._api.pages("/tracks", {"filter[isrc]": checked_isrc(isrc), **self._params}):
            included = Included(document)
            found += [read_track(each, included) for each in data_of(document, what=what)]
        return tuple(found)

    def by_isrcs(self, isrcs: Sequence[str]) -> dict[str, ListedTrack]:
        """See BatchFinder. For several codes, TIDAL returns one track for each."""
        wanted = list(dict.fromkeys(checked_isrc(each) for each in isrcs))
        found: dict[str, ListedTrack] = {}
        most = CAPABILITIES.most_isrcs_at_once
        for start in range(0, len(wanted), most):
            batch = wanted[start : start + most]
            what, document = self._api.read("/tracks", {"filter[isrc]": ",".join(batch), **self._params})
            included = Included(document)
            for resource in data_of(document, what=what):
                track = read_track(resource, included)
                if track.isrc in batch:
                    found.setdefault(track.isrc, track)
        return found

    def search(self, *, title: str, artist: str) -> tuple[ListedTrack, ...]:
        """The first page of hits, best first; a login needs search.read for it, the app's own token does not."""
        query = " ".join(f"{artist} {title}".split())[:_LONGEST_QUERY]
        include = "tracks,tracks.artists,tracks.albums"
        try:
            what, document = self._api.read(
                "/searchResults", {"filter[query]": query, **self._params, "include": include}
            )
        except Gone:
            return ()
        included = Included(document)
        results = data_of(document, what=what)
        return tuple(
            read_track(each, included) for result in results[:1] for each in included.related(result, "tracks")
        )


def items_path(playlist_id: str) -> str:
    if playlist_id == LIKED:
        return "/userCollectionTracks/me/relationships/items"
    return f"/playlists/{checked_id(playlist_id)}/relationships/items"


def checked_id(playlist_id: str) -> str:
    """Raises BadInput for anything that would change the path."""
    if not _ID.fullmatch(playlist_id):
        raise BadInput(f"{playlist_id[:40]!r} is not the id of a TIDAL playlist", place="playlist id")
    return playlist_id


def checked_isrc(isrc: str) -> str:
    """Raises BadInput; in a list of codes, a comma would make two."""
    code = isrc.strip().upper().replace("-", "")
    if not _ISRC.fullmatch(code):
        rule = "two letters, three letters or digits, seven digits"
        raise BadInput(f"{isrc[:20]!r} is not an ISRC", place="isrc", rule=rule)
    return code
