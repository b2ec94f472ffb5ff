"""The Web API for one client id.

Every request passes the gate first, even one that fails; a 429 always ends in RateLimited with a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from myi_pipeline.errors import (
    BadInput,
    Forbidden,
    Gone,
    RateLimited,
    TokenRejected,
    Transient,
    UnexpectedAnswer,
    Unfit,
)
from myi_pipeline.providers.quota_rules import Bucket
from myi_pipeline.providers.sign_in_rules import AccessToken
from myi_pipeline.providers.spotify.models import (
    FULL_PAGE,
    Album,
    Artist,
    CurrentlyPlaying,
    Me,
    RecentlyPlayedPage,
    TopPage,
    Track,
    read_list,
    read_one,
    recently_played_page,
    require_any,
)
from myi_pipeline.providers.spotify.oauth import explain_forbidden
from myi_pipeline.providers.transport import Answer, Clock, Gate, HttpClient, is_quota_exceeded, retry_after, send

_ID = re.compile(r"[0-9A-Za-z]{1,64}\Z")
MOST_FOUND = 10


class TopTerm(StrEnum):
    """About four weeks, six months, a year."""

    SHORT = "short_term"
    MEDIUM = "medium_term"
    LONG = "long_term"


class SpotifyClient:
    """Raises RateLimited, TokenRejected (401), Forbidden (403), Gone, Transient and UnexpectedAnswer."""

    def __init__(self, http: HttpClient, *, api_url: str, gate: Gate, clock: Clock) -> None:
        self._http = http
        self._url = api_url.rstrip("/")
        self._gate = gate
        self._clock = clock

    def __repr__(self) -> str:
        return f"SpotifyClient({self._url!r})"

    def me(self, token: AccessToken) -> Me:
        """The account that signed in."""
        what, found = self._get(Bucket.PERSONAL, token, "/me")
        return read_one(Me, found, what=what)

    def recently_played(self, token: AccessToken) -> RecentlyPlayedPage:
        """Always the whole window: `after` is not a safe cursor, since offline plays appear late and out of order."""
        what, found = self._get(Bucket.POLLS, token, "/me/player/recently-played", limit=str(FULL_PAGE))
        return recently_played_page(found, what=what)

    def currently_playing(self, token: AccessToken) -> CurrentlyPlaying | None:
        """What is playing or paused; None if nothing is, or in a private session."""
        path, types = "/me/player/currently-playing", "track,episode"
        what, found = self._get(Bucket.NOW_PLAYING, token, path, may_be_empty=True, additional_types=types)
        return read_one(CurrentlyPlaying, found, what=what) if found else None

    def top_items(self, token: AccessToken, kind: Literal["tracks", "artists"], term: TopTerm) -> TopPage:
        """Up to 50 tracks or artists, first rank first."""
        what, found = self._get(
            Bucket.PERSONAL, token, f"/me/top/{kind}", time_range=term.value, limit=str(FULL_PAGE), offset="0"
        )
        if kind == "tracks":
            tracks, bad, _ = read_list(Track, found, what=what)
            require_any(tracks, bad, what=what)
            return TopPage(tracks=tuple((index + 1, track) for index, track in tracks), bad=bad)
        artists, bad, _ = read_list(Artist, found, what=what)
        require_any(artists, bad, what=what)
        return TopPage(artists=tuple((index + 1, artist) for index, artist in artists), bad=bad)

    def track(self, token: AccessToken, track_id: str) -> Track:
        """One track; the answer's id may differ from the requested one."""
        what, found = self._catalogue(token, "tracks", track_id)
        return read_one(Track, found, what=what)

    def album(self, token: AccessToken, album_id: str) -> Album:
        what, found = self._catalogue(token, "albums", album_id)
        return read_one(Album, found, what=what)

    def artist(self, token: AccessToken, artist_id: str) -> Artist:
        what, found = self._catalogue(token, "artists", artist_id)
        return read_one(Artist, found, what=what)

    def search_tracks(self, token: AccessToken, query: str) -> tuple[str, list[Any]]:
        """The first ten tracks of a search in Spotify's order, which is the maximum at once."""
        what, found = self._get(
            Bucket.CATALOGUE, token, "/search", q=query, type="track", limit=str(MOST_FOUND), offset="0"
        )
        tracks = found.get("tracks")
        items = tracks.get("items") if isinstance(tracks, dict) else None
        if not isinstance(items, list):
            raise UnexpectedAnswer(f"{what}: Spotify's answer holds no list of tracks")
        return what, items

    def playlist_page(
        self, token: AccessToken, path: str, *, offset: int, types: str | None = None
    ) -> tuple[str, dict[str, Any]]:
        """The request's description, and a page of up to 50 playlists, entries or liked songs from `offset`."""
        may_be_gone = path.startswith("/playlists/")
        more = {"additional_types": types} if types is not None else {}
        what, found = self._get(
            Bucket.PERSONAL,
            token,
            path,
            may_be_gone=may_be_gone,
            may_be_empty=False,
            limit=str(FULL_PAGE),
            offset=str(offset),
            **more,
        )
        if not isinstance(found.get("items"), list):
            raise UnexpectedAnswer(f"{what}: Spotify's answer holds no list of items")
        return what, found

    def playlist(self, token: AccessToken, playlist_id: str) -> tuple[str, dict[str, Any]]:
        return self._get(Bucket.PERSONAL, token, f"/playlists/{playlist_id}", may_be_gone=True)

    def write(
        self, token: AccessToken, method: Literal["POST", "PUT", "DELETE"], path: str, document: Mapping[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """One change, never retried here.

        After Transient, it is unknown whether it was done; after RateLimited, TokenRejected, Forbidden, Gone and Unfit,
        it was not.
        """
        self._gate.before(Bucket.PERSONAL)
        headers = {"Authorization": f"Bearer {token.value}", "Content-Type": "application/json"}
        answer = send(self._http, method, self._url + path, headers=headers, content=json.dumps(document).encode())
        if answer.status not in (200, 201):
            if answer.status in (400, 413, 422):
                raise Unfit(f"{answer.what}: Spotify refuses this change ({answer.message() or answer.status})")
            raise self._failure(Bucket.PERSONAL, answer, may_be_gone=True)
        self._gate.passed(Bucket.PERSONAL)
        return answer.what, answer.document()

    def _catalogue(self, token: AccessToken, kind: str, wanted_id: str) -> tuple[str, dict[str, Any]]:
        if not _ID.match(wanted_id):
            raise BadInput(f"{wanted_id[:40]!r} is not a Spotify id", place="id", rule="letters and digits")
        return self._get(Bucket.CATALOGUE, token, f"/{kind}/{wanted_id}", may_be_gone=True)

    def _get(
        self,
        bucket: Bucket,
        token: AccessToken,
        path: str,
        *,
        may_be_gone: bool = False,
        may_be_empty: bool = False,
        **params: str,
    ) -> tuple[str, dict[str, Any]]:
        self._gate.before(bucket)
        headers: Mapping[str, str] = {"Authorization": f"Bearer {token.value}"}
        answer = send(self._http, "GET", self._url + path, headers=headers, params=params)
        if may_be_empty and (answer.status == 204 or (answer.status == 200 and not answer.body.strip())):
            found = {}
        elif answer.status == 200:
            found = answer.document()
        else:
            raise self._failure(bucket, answer, may_be_gone=may_be_gone)
        self._gate.passed(bucket)
        return answer.what, found

    def _failure(self, bucket: Bucket, answer: Answer, *, may_be_gone: bool) -> Exception:
        status, what, said = answer.status, answer.what, answer.message()
        if status == 429:
            is_used_up = is_quota_exceeded(answer)
            wait = retry_after(answer, self._clock())
            retry_at = self._gate.blocked(bucket, retry_after=wait, quota_exceeded=is_used_up)
            why = "the quota is used up" if is_used_up else "too many requests"
            return RateLimited(
                f"{what}: Spotify says {why}; again at {retry_at:%Y-%m-%d %H:%M:%S} UTC", retry_at=retry_at
            )
        if status == 401:
            return TokenRejected(f"{what}: Spotify does not accept the access token")
        if status == 403:
            return Forbidden(f"{what}: {explain_forbidden(said)}")
        if status in (400, 404, 410) and may_be_gone:
            answer.document()  # an HTML page with status 404 comes from something in between
            return Gone(f"{what}: Spotify does not have it")
        if status >= 500:
            return Transient(f"{what}: Spotify answered {status}")
        return UnexpectedAnswer(f"{what}: Spotify answered {status}{f' ({said})' if said else ''}")
