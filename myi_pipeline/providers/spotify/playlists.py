"""The playlists and liked songs of one Spotify account: read completely, and changed exactly once.

No entry is left out: local files, episodes, removed and unreadable entries keep their positions. Facts are from
Spotify's OpenAPI document of May 2026: pages of 50, entries under `item` (older apps: `/tracks`, `track`), and 403 for
entries of lists that are neither the account's own nor collaborative.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

from myi_pipeline.errors import BadInput, Forbidden, Gone, Permanent, Transient, UnexpectedAnswer, Unfit
from myi_pipeline.providers.accounts import ProviderAccount
from myi_pipeline.providers.login_terms import Feature, features
from myi_pipeline.providers.playlists import (
    LIKED,
    Added,
    Capabilities,
    EntryKind,
    ListChanged,
    ListedTrack,
    PlaylistEntry,
    PlaylistHead,
)
from myi_pipeline.providers.spotify.models import FULL_PAGE, ListedItem, Playlist, PlaylistItem, read_list, read_one
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.token_vault import Credential

# Far beyond the 11,000 lists and 10,000 entries that Spotify's clients allow.
_MOST_PAGES: Final = 2_000
MOST_IN_A_WRITE: Final = 100
_ID = re.compile(r"[0-9A-Za-z]{1,64}\Z")
_TYPES: Final = "track,episode"
_LONGEST_TEXT: Final = 2_000
# The longest playlist name in Spotify's own apps.
_LONGEST_NAME: Final = 100
_MOST_READINGS: Final = 3
CAPABILITIES = Capabilities(
    creates=True,
    moves=True,
    removes=True,
    finds_isrc=True,
    searches=True,
    most_per_add=MOST_IN_A_WRITE,
    most_per_move=MOST_IN_A_WRITE,
    most_per_removal=MOST_IN_A_WRITE,
    most_entries=10_000,
    # Spotify has several ids for one recording, and shows the one for the account's country.
    renames=True,
    # Reads come from replicas that may be some seconds behind.
    shows_writes_after_s=30.0,
)


class SpotifyPlaylists:
    """A PlaylistReader and PlaylistWriter. Reads are retried after transient failures; changes never are.

    With `is_exact`, a list that changes while it is read is read again, and its snapshot id is sent with every move, so
    that Spotify refuses a move if positions have changed: two more requests per read. Requests bypass the user's
    circuit, so that failures here do not stop polls; the caller uses the account's own.
    """

    capabilities = CAPABILITIES

    def __init__(self, spotify: Spotify, account: ProviderAccount, *, is_exact: bool = False) -> None:
        self._spotify = spotify
        self._account = account
        self._is_exact = is_exact
        self._versions: dict[str, str | None] = {}
        self._entries_under: Literal["items", "tracks"] = "items"

    def playlists(self) -> Iterator[PlaylistHead]:
        """Liked songs first, then the library's lists, as far as the person allowed either.

        Raises Forbidden if neither.
        """
        allowed = self.allowed()
        if not allowed & {Feature.PLAYLISTS, Feature.LIKED_SONGS}:
            raise Forbidden("the Spotify login does not allow reading playlists: sign in again with --playlists")
        if Feature.LIKED_SONGS in allowed:
            yield self.head(LIKED)
        if Feature.PLAYLISTS in allowed:
            for page in self._pages("/me/playlists"):
                # Some lists of the library come as null, without any identification.
                named = {"items": [each for each in page["items"] if each is not None]}
                good, _, _ = read_list(Playlist, named, what="GET /me/playlists")
                yield from (_head(found) for _, found in good)

    def allowed(self) -> frozenset[Feature]:
        """What the person's login currently allows."""
        return features(self._login().scopes)

    def head(self, playlist_id: str) -> PlaylistHead:
        if playlist_id == LIKED:
            return self._liked_head()
        what, found = self._spotify.call(
            self._login(), lambda client, token: client.playlist(token, _checked(playlist_id)), counts=False
        )
        playlist = read_one(Playlist, found, what=what)
        is_readable = playlist.items is not None or playlist.tracks is not None
        return _head(playlist, is_readable=is_readable)

    def entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        """All entries, in order. Raises Transient if the list keeps changing while it is read."""
        if not self._is_exact or playlist_id == LIKED:
            yield from self._entries(playlist_id)
            return
        before = self.head(playlist_id).version
        for _ in range(_MOST_READINGS):
            found = list(self._entries(playlist_id))
            after = self.head(playlist_id).version
            if after == before:
                self._versions[playlist_id] = after
                yield from found
                return
            before = after
        raise Transient("the playlist keeps changing: it could not be read as a whole")

    def _entries(self, playlist_id: str) -> Iterator[PlaylistEntry]:
        pages = self._pages("/me/tracks") if playlist_id == LIKED else self._item_pages(_checked(playlist_id))
        for page in pages:
            yield from (_entry(each) for each in page["items"])

    # Changes

    def kept_name(self, name: str) -> str:
        return name.strip()[:_LONGEST_NAME].strip()

    def create(self, name: str, *, description: str | None, is_public: bool, key: str) -> PlaylistHead:
        document: dict[str, Any] = {"name": self.kept_name(name), "public": is_public}
        if description:
            document["description"] = description
        what, found = self._write("POST", "/me/playlists", document)
        return _head(read_one(Playlist, found, what=what))

    def add(
        self,
        playlist_id: str,
        uris: Sequence[str],
        *,
        position: int | None,
        added_at: Sequence[datetime | None],
        key: str,
    ) -> Added:
        """Spotify dates the entries itself, gives them no ids, and accepts all of a request or none."""
        document: dict[str, Any] = {"uris": _bounded(uris)}
        if position is not None:
            document["position"] = position
        self._change(playlist_id, "POST", document)
        return Added(item_ids=(None,) * len(uris))

    def move(
        self,
        playlist_id: str,
        *,
        start: int,
        length: int,
        before: int,
        item_ids: Sequence[str],
        key: str,
        version: str | None = None,
    ) -> None:
        """`version` is the snapshot id at which the positions were read, by default that of the last read: if the list
        has changed since, Spotify refuses the move and ListChanged is raised.
        """
        document: dict[str, Any] = {"range_start": start, "insert_before": before, "range_length": length}
        version = version or self._versions.get(playlist_id)
        if version is not None:
            document["snapshot_id"] = version
        try:
            self._change(playlist_id, "PUT", document)
        except Unfit as error:
            # Spotify's wording for this is not documented.
            if version is not None and self.head(playlist_id).version != version:
                raise ListChanged(f"{error}: the playlist has changed since it was read") from None
            raise

    def remove(
        self, playlist_id: str, *, positions: Sequence[int], uris: Sequence[str], item_ids: Sequence[str], key: str
    ) -> None:
        """Removes all entries with these URIs: Spotify cannot address one of two equal ones."""
        named = [{"uri": uri} for uri in dict.fromkeys(_bounded(uris))]
        self._change(playlist_id, "DELETE", {"items": named})

    def replace(self, playlist_id: str, uris: Sequence[str], *, key: str) -> None:
        self._change(playlist_id, "PUT", {"uris": _bounded(uris, least=0)})

    def _change(self, playlist_id: str, method: Literal["POST", "PUT", "DELETE"], document: dict[str, Any]) -> None:
        # Without an answer, the list's snapshot id is unknown.
        self._versions.pop(playlist_id, None)
        _, found = self._write(method, _items_of(playlist_id), document)
        told = found.get("snapshot_id")
        if self._is_exact and isinstance(told, str):
            self._versions[playlist_id] = told

    def _login(self) -> Credential:
        return self._spotify.account_credential(self._account)

    def _write(
        self, method: Literal["POST", "PUT", "DELETE"], path: str, document: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        if Feature.PLAYLIST_WRITES not in self.allowed():
            raise Forbidden("the Spotify login does not allow changing playlists: sign in again with --playlist-writes")
        return self._spotify.call_once(
            self._login(), lambda client, token: client.write(token, method, path, document)
        )  # fmt: skip

    def _liked_head(self) -> PlaylistHead:
        """Spotify gives liked songs no snapshot id, so their number and the latest 50 serve as one.

        Liking or unliking changes these, unless one is removed while another with an old date is added.
        """
        page = self._page("/me/tracks", 0)
        total = page.get("total")
        first = [_entry(each) for each in page["items"]]
        told = repr([(each.track.uri, each.added_at) for each in first])
        return PlaylistHead(
            playlist_id=LIKED,
            name="Liked songs",
            is_public=False,
            is_collaborative=False,
            version=f"{total}:{sha256(told.encode()).hexdigest()[:32]}",
            items=total if isinstance(total, int) else None,
            url="https://open.spotify.com/collection/tracks",
        )

    def _item_pages(self, playlist_id: str) -> Iterator[dict[str, Any]]:
        pages = self._pages(f"/playlists/{playlist_id}/{self._entries_under}", types=_TYPES)
        try:
            first = next(pages)
        except Gone as gone:
            if self._entries_under == "tracks":
                raise
            # An app from before 2026, or a list that does not exist.
            pages = self._pages(f"/playlists/{playlist_id}/tracks", types=_TYPES)
            try:
                first = next(pages)
            except (Forbidden, Gone):
                raise gone from None
            self._entries_under = "tracks"
        yield first
        yield from pages

    def _pages(self, path: str, types: str | None = None) -> Iterator[dict[str, Any]]:
        for number in range(_MOST_PAGES):
            offset = number * FULL_PAGE
            page = self._page(path, offset, types=types)
            yield page
            total = page.get("total")
            # A page may be short, since entries are filtered out after paging.
            is_more = isinstance(total, int) and offset + FULL_PAGE < total and bool(page["items"])
            if not (page.get("next") or is_more):
                return
        raise UnexpectedAnswer(f"GET {path}: Spotify's pages do not end")

    def _page(self, path: str, offset: int, types: str | None = None) -> dict[str, Any]:
        _, found = self._spotify.call(
            self._login(),
            lambda client, token: client.playlist_page(token, path, offset=offset, types=types),
            counts=False,
        )
        return found


def _checked(playlist_id: str) -> str:
    if not _ID.match(playlist_id):
        raise BadInput(f"{playlist_id[:40]!r} is not a Spotify id", place="id", rule="letters and digits")
    return playlist_id


def _items_of(playlist_id: str) -> str:
    if playlist_id == LIKED:
        raise Permanent("liked songs can only be read")
    return f"/playlists/{_checked(playlist_id)}/items"


def _bounded(uris: Sequence[str], *, least: int = 1) -> list[str]:
    if not least <= len(uris) <= MOST_IN_A_WRITE:
        raise BadInput(f"a request accepts {least} to {MOST_IN_A_WRITE} tracks, not {len(uris)}", place="tracks")
    return list(uris)


def _head(found: Playlist, *, is_readable: bool = True) -> PlaylistHead:
    counted = found.items or found.tracks
    return PlaylistHead(
        playlist_id=found.id,
        name=found.name or "",
        description=found.description or None,
        owner_id=found.owner.id if found.owner is not None else None,
        owner_name=found.owner.display_name if found.owner is not None else None,
        is_public=found.public,
        is_collaborative=found.collaborative,
        version=found.snapshot_id,
        items=counted.total if counted is not None else None,
        image_url=next((image.url for image in found.images if image.url.startswith("https://")), None),
        url=f"https://open.spotify.com/playlist/{found.id}",
        is_readable=is_readable,
    )


def _entry(document: object) -> PlaylistEntry:
    """An entry from any of its forms: an unreadable one keeps its position."""
    if not isinstance(document, dict):
        return PlaylistEntry(track=ListedTrack(kind=EntryKind.REMOVED), original={"unreadable": str(document)[:200]})
    _, found = read_list(PlaylistItem, {"items": [document]}, what="playlist entry")[0][0]
    item = found.item or found.track
    track = (
        listed_track(item, is_local=bool(found.is_local)) if item is not None else ListedTrack(kind=EntryKind.REMOVED)
    )
    original: dict[str, Any] | None = None
    if track.kind is not EntryKind.TRACK:
        named = document.get("item") or document.get("track")
        kept = named if isinstance(named, dict) else {}
        original = {name: kept[name] for name in ("uri", "name", "type", "is_local") if _is_small(kept.get(name))}
    return PlaylistEntry(
        track=track,
        added_at=_moment(found.added_at),
        added_by=found.added_by.id if found.added_by is not None else None,
        original=original,
    )


def _is_small(value: object) -> bool:
    return isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) <= _LONGEST_TEXT)


def listed_track(item: ListedItem, *, is_local: bool = False) -> ListedTrack:
    uri = item.uri or (f"spotify:track:{item.id}" if item.id and item.type in (None, "track") else None)
    artists = tuple(artist.name for artist in item.artists if artist.name)
    if is_local or item.is_local or (uri or "").startswith("spotify:local:"):
        kind = EntryKind.LOCAL
    elif item.type == "episode" or (uri or "").startswith("spotify:episode:"):
        kind = EntryKind.EPISODE
    else:
        kind = EntryKind.TRACK if uri or item.name else EntryKind.REMOVED
    album = item.album
    show = item.show.name if item.show is not None else None
    return ListedTrack(
        kind=kind,
        uri=uri,
        title=item.name or "",
        artists=artists,
        album=(album.name or None) if album is not None else show,
        album_artists=tuple(artist.name for artist in album.artists if artist.name) if album is not None else (),
        isrc=item.isrc,
        duration_ms=item.duration_ms,
        disc_number=item.disc_number,
        track_number=item.track_number,
        is_explicit=item.explicit,
        released_on=album.release_date if album is not None else None,
    )


def _moment(text: str | None) -> datetime | None:
    """Aware; old lists have 1970 or nothing if it is unknown."""
    try:
        found = datetime.fromisoformat(text) if text and len(text) < 60 else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None and found.year > 1970 else None
