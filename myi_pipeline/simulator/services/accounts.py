"""The state of the simulated services: accounts, their listens, who may write, and which faults come next.

All of it may be changed while requests are being answered.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock


@dataclass(frozen=True, kw_only=True)
class TrueListen:
    """One listen: when it began, and what the player reported. `duration_ms` is None if it was not reported."""

    started_at: datetime
    title: str
    artist: str
    album: str | None = None
    duration_ms: int | None = None
    recording_mbid: str | None = None
    isrc: str | None = None
    spotify_id: str | None = None

    @property
    def second(self) -> int:
        return int(self.started_at.timestamp())


@dataclass(frozen=True)
class Kept:
    """A listen as stored by a service: when it becomes visible, and whether a program sent it."""

    listen: TrueListen
    shown_from: datetime
    was_sent: bool = False


@dataclass(frozen=True)
class ServiceFault:
    """How the next requests fail: with `status` and `body`; or the request is carried out but its answer is lost
    (`is_lost`); or the connection breaks before anything is done (`is_reset`). `on`: only requests whose method or path
    contains this; `after`: how many of them succeed first.
    """

    times: int = 1
    status: int = 500
    body: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    is_lost: bool = False
    is_reset: bool = False
    on: str = ""
    after: int = 0


class ServiceAccount:
    """One account of one service."""

    def __init__(self, name: str, clock: Callable[[], datetime]) -> None:
        self.name = name
        self.is_private = False
        self.is_gone = False
        self.playing: TrueListen | None = None
        self.secret = hashlib.sha256(f"secret of {name}".encode()).hexdigest()[:32]
        self.secret_is_good = True
        self.sent_today = 0
        self._clock = clock
        self._guard = RLock()
        self._kept: list[Kept] = []

    def listen(self, *listens: TrueListen) -> None:
        """A player reports these now, no matter when they began."""
        with self._guard:
            self._kept.extend(Kept(each, self._clock()) for each in listens)

    def take(self, *listens: TrueListen, shown_in: timedelta) -> None:
        """A program sends these; they become visible after `shown_in`."""
        with self._guard:
            self._kept.extend(Kept(each, self._clock() + shown_in, was_sent=True) for each in listens)

    def forget(self, second: int) -> None:
        """The person deletes the listens that began in that second."""
        with self._guard:
            self._kept = [each for each in self._kept if each.listen.second != second]

    def rename(self, second: int, *, title: str | None = None, artist: str | None = None) -> None:
        """The service corrects names."""
        with self._guard:
            self._kept = [_renamed(each, second, title, artist) for each in self._kept]

    def has(self, second: int, artist: str, title: str) -> bool:
        with self._guard:
            return any(
                (each.listen.second, each.listen.artist, each.listen.title) == (second, artist, title)
                for each in self._kept
            )

    def shown(self) -> list[TrueListen]:
        """The listens that are visible now, newest first; within a second, the last received first."""
        now = self._clock()
        with self._guard:
            listens = [each.listen for each in self._kept if each.shown_from <= now]
        listens.reverse()
        listens.sort(key=lambda listen: listen.second, reverse=True)
        return listens

    def sent(self) -> list[TrueListen]:
        """The listens that programs sent, in the order received, visible or not."""
        with self._guard:
            return [each.listen for each in self._kept if each.was_sent]


def _renamed(kept: Kept, second: int, title: str | None, artist: str | None) -> Kept:
    listen = kept.listen
    if listen.second != second:
        return kept
    changed = TrueListen(
        started_at=listen.started_at,
        title=title or listen.title,
        artist=artist or listen.artist,
        album=listen.album,
        duration_ms=listen.duration_ms,
        recording_mbid=listen.recording_mbid,
    )
    return Kept(changed, kept.shown_from, kept.was_sent)


@dataclass
class ServiceState:
    """One service. Its behaviour may be changed at any time.

    `takes_twice`: a listen that is sent again is stored again. `shown_in`: how long a sent listen stays invisible.
    `corrections`: names of artists that are corrected when they are sent. `on_request` is called with the name of each
    request before it is answered.
    """

    name: str
    clock: Callable[[], datetime]
    requests_a_minute: int = 100_000
    takes_twice: bool = True
    shown_in: timedelta = timedelta(seconds=20)
    corrections: dict[str, str] = field(default_factory=dict)
    ignored_artists: set[str] = field(default_factory=set)
    most_a_day: int = 2_800
    errors_with_200: bool = False
    bounds_are_inclusive: bool = False
    short_pages: bool = False
    on_request: Callable[[str], None] = lambda _: None
    calls: list[str] = field(default_factory=list)
    accounts: dict[str, ServiceAccount] = field(default_factory=dict)
    tokens: dict[str, str | None] = field(default_factory=dict)
    _faults: list[ServiceFault] = field(default_factory=list)
    _times: list[datetime] = field(default_factory=list)
    _guard: RLock = field(default_factory=RLock)

    def account(self, name: str) -> ServiceAccount:
        """The account with this name, created on first use. Names are case-insensitive."""
        with self._guard:
            return self.accounts.setdefault(name.casefold(), ServiceAccount(name, self.clock))

    def find(self, name: str) -> ServiceAccount | None:
        found = self.accounts.get(name.casefold())
        return None if found is None or found.is_gone else found

    def holder(self, secret: str) -> ServiceAccount | None:
        """The account that a token or session key belongs to."""
        return next((each for each in self.accounts.values() if each.secret == secret and each.secret_is_good), None)

    def fail(self, fault: ServiceFault) -> None:
        """Adds a fault, which takes effect after earlier ones."""
        with self._guard:
            self._faults.append(fault)

    def note(self, request: str) -> ServiceFault | None:
        """Records a request; returns how it must fail, if at all."""
        self.on_request(request)
        with self._guard:
            self.calls.append(request)
            for place, fault in enumerate(self._faults):
                if fault.on in request:
                    left = ServiceFault(**{**fault.__dict__, "times": fault.times - 1})
                    self._faults[place : place + 1] = [left] if left.times > 0 else []
                    return fault
        return None

    def left_of_minute(self) -> int:
        """How many requests are left in this minute after this one; negative if it exceeds the limit."""
        now = self.clock()
        with self._guard:
            self._times = [each for each in self._times if now - each < timedelta(minutes=1)]
            self._times.append(now)
            return self.requests_a_minute - len(self._times)
