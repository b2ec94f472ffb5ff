"""What services that collect listening tell, in one form for all: scrobbles, pages of them, and who answers.

A scrobble is one listening of one track; its time is its beginning, in whole seconds. Nothing is left out in silence:
an item that cannot be read is in `bad`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

# Later than any clock: what a number beyond it means is not a time.
_LATEST_STAMP = 32_503_680_000


class Service(StrEnum):
    """Who collects listening; the values are those of app.linked_services."""

    LASTFM = "lastfm"
    LISTENBRAINZ = "listenbrainz"

    @property
    def label(self) -> str:
        """Its name as it writes it."""
        return {"lastfm": "Last.fm", "listenbrainz": "ListenBrainz"}[self.value]

    @property
    def client_id(self) -> str:
        """Whose quota its requests are: no client id of Spotify's holds a dot."""
        return {"lastfm": "last.fm", "listenbrainz": "listenbrainz.org"}[self.value]


@dataclass(frozen=True, kw_only=True)
class Scrobble:
    """`index`: its place in the page. `listened_at`: aware, UTC. `duration_ms`: the track's length. None: not told."""

    index: int
    listened_at: datetime
    title: str | None
    artist: str | None
    album: str | None = None
    recording_mbid: str | None = None
    isrc: str | None = None
    duration_ms: int | None = None
    spotify_uri: str | None = None


@dataclass(frozen=True)
class BadScrobble:
    """An item that is no scrobble: `reason` is a code of catalogue.row_rules, `detail` a sentence without values."""

    index: int
    item: object
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class ScrobblePage:
    """One answer, newest first. `more_before`: older ones are told by asking for what was before this moment; None:
    there are none. `is_skipping`: more scrobbles than a page holds have one second, and those beyond it cannot be read.
    """

    scrobbles: tuple[Scrobble, ...] = ()
    bad: tuple[BadScrobble, ...] = ()
    more_before: datetime | None = None
    is_playing: bool = False
    is_skipping: bool = False

    @property
    def items(self) -> int:
        return len(self.scrobbles) + len(self.bad)


class ScrobbleReader(Protocol):
    """Reads one service. Raises Gone without such an account, Forbidden for a private one, RateLimited, Transient."""

    service: Service

    def page(
        self, account: str, *, before: datetime | None = None, since: datetime | None = None, token: str | None = None
    ) -> ScrobblePage:
        """The newest scrobbles that began before `before`, and not before `since`. Outside of both may come more."""
        ...

    def check_account(self, account: str) -> str:
        """The account's name as the service writes it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A play to be told: `listened_at` is when it began."""

    listened_at: datetime
    title: str
    artist: str
    album: str | None = None
    duration_ms: int | None = None
    recording_mbid: str | None = None
    isrc: str | None = None
    spotify_uri: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What the service said of one play: refused with the reason, or (None) taken. `is_for_now`: later it may be."""

    refused: str | None = None
    is_for_now: bool = False


class ScrobbleWriter(Protocol):
    """Tells a service of plays. A failure whose effect nobody knows is a Transient."""

    service: Service
    most_at_once: int

    def send(self, plays: Sequence[Outgoing], *, account: str, secret: str, is_past: bool) -> tuple[Verdict, ...]:
        """One verdict a play, in their order. `is_past`: they are old, and no news for followers."""
        ...


def read_stamp(value: Any) -> datetime | None:
    """Seconds since 1970 as a number or its digits; None where it is neither, or no time."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value.strip())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LATEST_STAMP:
        return None
    return datetime.fromtimestamp(value, UTC)


def read_text(value: Any) -> str | None:
    """A text that says something."""
    return value if isinstance(value, str) and value.strip() else None


def read_mbid(value: Any) -> str | None:
    """MusicBrainz' id in its usual spelling."""
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) and len(value) == 36 else None
    except ValueError:
        return None


def read_whole(value: Any, *, most: int = 2**31 - 1) -> int | None:
    """A whole number above 0, also as digits or as a float such as 215000.0."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value.strip())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most else None


def stamp(moment: datetime) -> int:
    """Whole seconds since 1970."""
    return int(moment.timestamp())
