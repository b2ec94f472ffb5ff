"""Looking up tracks in Spotify's catalogue, by code and by names.

Each lookup is one request from the catalogue's daily share, which enrichment uses, too. Facts: Spotify's OpenAPI
document of May 2026, `GET /search` with the fields isrc, track and artist, at most ten hits.
"""

from __future__ import annotations

import re

from myi_pipeline.errors import BadInput
from myi_pipeline.providers.accounts import ProviderAccount
from myi_pipeline.providers.playlists import EntryKind, ListedTrack
from myi_pipeline.providers.spotify.models import ListedItem, read_list
from myi_pipeline.providers.spotify.open_spotify import Spotify
from myi_pipeline.providers.spotify.playlists import listed_track

_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}", re.ASCII)
# Characters with a meaning in Spotify's search.
_SIGNS = re.compile(r"[\"*:]+")
_LONGEST_QUERY = 240


class SpotifyFinder:
    """A TrackFinder with the login of one account. It bypasses circuits: a missing track says nothing about them."""

    def __init__(self, spotify: Spotify, account: ProviderAccount) -> None:
        self._spotify = spotify
        self._account = account

    def by_isrc(self, isrc: str) -> tuple[ListedTrack, ...]:
        code = isrc.strip().upper().replace("-", "")
        if not _ISRC.fullmatch(code):
            raise BadInput(f"{isrc[:20]!r} is not an ISRC", place="isrc")
        # Spotify's search also returns similar codes.
        return tuple(each for each in self._search(f"isrc:{code}") if (each.isrc or "").upper() == code)

    def search(self, *, title: str, artist: str) -> tuple[ListedTrack, ...]:
        """Searches by title and artist as fields; if that finds nothing, by the words of both."""
        name, by = _plain(title), _plain(artist)
        if not name:
            return ()
        found = self._search(f"track:{name} artist:{by}" if by else f"track:{name}")
        return found or self._search(f"{by} {name}".strip())

    def _search(self, query: str) -> tuple[ListedTrack, ...]:
        what, items = self._spotify.call(
            self._spotify.account_credential(self._account),
            lambda client, token: client.search_tracks(token, query[:_LONGEST_QUERY]),
            counts=False,
        )
        good, _, _ = read_list(ListedItem, {"items": [each for each in items if each is not None]}, what=what)
        tracks = (listed_track(item) for _, item in good)
        return tuple(each for each in tracks if each.uri and each.kind is EntryKind.TRACK)


def _plain(words: str) -> str:
    return " ".join(_SIGNS.sub(" ", words).split())
