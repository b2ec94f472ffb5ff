"""A common form for what Last.fm and ListenBrainz report.

A scrobble is one play of one track; its time is when it began, in whole seconds. Nothing is dropped silently:
unreadable items are in `bad`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

# The year 3000; anything larger is not a timestamp.
_LATEST_STAMP = 32_503_680_000


# Bits of a lock's number that name the service.
_SERVICE_BITS = 2


class Service(StrEnum):
    """A scrobbling service; the values are those of app.linked_services.

    The order is frozen, and there can be four at most: a lock's number holds the place of a service in this list.
    """

    LASTFM = "lastfm"
    LISTENBRAINZ = "listenbrainz"

    @property
    def traits(self) -> ServiceTraits:
        return SERVICE_TRAITS[self]

    @property
    def label(self) -> str:
        """Its own spelling of its name."""
        return self.traits.label

    @property
    def client_id(self) -> str:
        """The quota's client id; its dot keeps it apart from Spotify's."""
        return self.traits.client_id

    def lock_number(self, user_id: int) -> int:
        """The number of a user's account there, for the second key of an advisory lock.

        User ids stay far below 2^29; a process with a wrapped number would only wait for another user's.
        """
        return ((user_id << _SERVICE_BITS) + list(Service).index(self)) % 2**31


@dataclass(frozen=True, kw_only=True)
class ServiceTraits:
    """How services differ, for code that serves them all.

    `client_id` names the quota; its dot keeps it apart from Spotify's client ids. `has_tokens`: people give MYI their
    tokens, and requests with one are counted by user. `takes_back`: the maximum age of a play that is sent; None: any
    age.
    """

    label: str
    client_id: str
    has_tokens: bool = False
    takes_back: timedelta | None = None


SERVICE_TRAITS: Final = {
    # https://www.last.fm/api/scrobbling: older ones are ignored.
    Service.LASTFM: ServiceTraits(label="Last.fm", client_id="last.fm", takes_back=timedelta(days=14)),
    Service.LISTENBRAINZ: ServiceTraits(label="ListenBrainz", client_id="listenbrainz.org", has_tokens=True),
}


@dataclass(frozen=True, kw_only=True)
class Scrobble:
    """`index`: position on the page. `listened_at`: aware, UTC. `duration_ms`: the track's length. None if unknown."""

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
    """An item that is not a scrobble: `reason` is a code of catalogue.row_rules, `detail` a sentence without values."""

    index: int
    item: object
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class ScrobblePage:
    """One answer, newest first.

    `more_before`: ask for what came before this moment to get the next page; None if this was the last one.
    `is_skipping`: more scrobbles than fit on a page have the same second, and the rest cannot be read.
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
    """Reads one service.

    Raises Gone if the account does not exist, Forbidden if it is private, RateLimited, Transient.
    """

    service: Service

    def page(
        self, account: str, *, before: datetime | None = None, since: datetime | None = None, token: str | None = None
    ) -> ScrobblePage:
        """The newest scrobbles that began before `before`, and not before `since`.

        May also return some outside these bounds.
        """
        ...

    def check_account(self, account: str) -> str:
        """The account's name as the service writes it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A play to be sent: `listened_at` is when it began."""

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
    """The service's answer for one play. `refused`: why, or None if accepted. `is_for_now`: may succeed later."""

    refused: str | None = None
    is_for_now: bool = False


class ScrobbleWriter(Protocol):
    """Sends plays to a service. A failure with an unknown effect is a Transient."""

    service: Service
    most_at_once: int

    def send(self, plays: Sequence[Outgoing], *, account: str, secret: str, is_past: bool) -> tuple[Verdict, ...]:
        """One verdict per play, in order. `is_past`: they are old, and not news for followers."""
        ...


def read_stamp(value: Any) -> datetime | None:
    """Seconds since 1970 as a number or its digits; None if it is neither or not a time."""
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:
        value = int(value.strip())
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LATEST_STAMP:
        return None
    return datetime.fromtimestamp(value, UTC)


def read_text(value: Any) -> str | None:
    """A non-empty text."""
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
