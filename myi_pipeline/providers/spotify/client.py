"""The Web API for one client id.

Belongs here: one method per question, the meaning of each status, the new dialect before the old. Not here: access
tokens' lives, retries, circuits (services/open_spotify). Invariants: every request passes the gate first, also one that
fails; a 429 always ends in RateLimited with a time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

import httpx

from myi_pipeline.core.errors import (
    BadInput,
    Forbidden,
    Gone,
    RateLimited,
    TokenRejected,
    Transient,
    UnexpectedAnswer,
)
from myi_pipeline.core.quota import Bucket
from myi_pipeline.spotify.models import (
    FULL_PAGE,
    Album,
    Artist,
    Entry,
    Me,
    PlayItem,
    RecentlyPlayedPage,
    TopPage,
    Track,
    read_list,
    read_one,
)
from myi_pipeline.spotify.oauth import AccessToken, explain_forbidden
from myi_pipeline.spotify.transport import Answer, Clock, retry_after, send

_ID = re.compile(r"[0-9A-Za-z]{1,64}\Z")


class TopTerm(StrEnum):
    """About four weeks, six months, a year."""

    SHORT = "short_term"
    MEDIUM = "medium_term"
    LONG = "long_term"


class Gate(Protocol):
    """Who counts requests. `before` raises RateLimited; `blocked` says until when; `passed` follows a success."""

    def before(self, bucket: Bucket) -> None: ...

    def blocked(self, bucket: Bucket, *, retry_after: timedelta | None, quota_exceeded: bool) -> datetime: ...

    def passed(self, bucket: Bucket) -> None: ...


class SpotifyClient:
    """Raises RateLimited, TokenRejected (401), Forbidden (403), Gone, Transient and UnexpectedAnswer."""

    def __init__(self, http: httpx.Client, *, api_url: str, gate: Gate, clock: Clock) -> None:
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
        """The whole window, always: `after` is no safe cursor, since offline plays surface late and out of order."""
        what, found = self._get(Bucket.POLLS, token, "/me/player/recently-played", limit=str(FULL_PAGE))
        good, bad = read_list(PlayItem, found, what=what)
        return RecentlyPlayedPage(tuple(Entry(index, item) for index, item in good), bad)

    def top_items(self, token: AccessToken, kind: Literal["tracks", "artists"], term: TopTerm) -> TopPage:
        """Up to 50 tracks or artists, first rank first."""
        what, found = self._get(
            Bucket.PERSONAL, token, f"/me/top/{kind}", time_range=term.value, limit=str(FULL_PAGE), offset="0"
        )
        if kind == "tracks":
            tracks, bad = read_list(Track, found, what=what)
            return TopPage(tracks=tuple((index + 1, track) for index, track in tracks), bad=bad)
        artists, bad = read_list(Artist, found, what=what)
        return TopPage(artists=tuple((index + 1, artist) for index, artist in artists), bad=bad)

    def track(self, token: AccessToken, track_id: str) -> Track:
        """One track; the answer's id may be another one than was asked for."""
        what, found = self._catalogue(token, "tracks", track_id)
        return read_one(Track, found, what=what)

    def album(self, token: AccessToken, album_id: str) -> Album:
        what, found = self._catalogue(token, "albums", album_id)
        return read_one(Album, found, what=what)

    def artist(self, token: AccessToken, artist_id: str) -> Artist:
        what, found = self._catalogue(token, "artists", artist_id)
        return read_one(Artist, found, what=what)

    def _catalogue(self, token: AccessToken, kind: str, wanted_id: str) -> tuple[str, dict[str, Any]]:
        if not _ID.match(wanted_id):
            raise BadInput(f"{wanted_id[:40]!r} is no Spotify id", place="id", rule="letters and digits")
        return self._get(Bucket.CATALOGUE, token, f"/{kind}/{wanted_id}", may_be_gone=True)

    def _get(
        self,
        bucket: Bucket,
        token: AccessToken,
        path: str,
        *,
        may_be_gone: bool = False,
        **params: str,
    ) -> tuple[str, dict[str, Any]]:
        self._gate.before(bucket)
        headers: Mapping[str, str] = {"Authorization": f"Bearer {token.value}"}
        answer = send(self._http, "GET", self._url + path, headers=headers, params=params)
        if answer.status == 200:
            found = answer.document()
        else:
            raise self._failure(bucket, answer, may_be_gone=may_be_gone)
        self._gate.passed(bucket)
        return answer.what, found

    def _failure(self, bucket: Bucket, answer: Answer, *, may_be_gone: bool) -> Exception:
        status, what, said = answer.status, answer.what, answer.message()
        if status == 429:
            is_used_up = b"QUOTA_EXCEEDED" in answer.body[:4_096]
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
            answer.document()  # a page with status 404 comes from something in between, and says nothing about the id
            return Gone(f"{what}: Spotify does not have it")
        if status >= 500:
            return Transient(f"{what}: Spotify answered {status}")
        return UnexpectedAnswer(f"{what}: Spotify answered {status}{f' ({said})' if said else ''}")
