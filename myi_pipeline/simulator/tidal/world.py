"""The state of the simulated TIDAL: accounts, tracks, lists, every write received, and which faults come next.

All of it may be changed while requests are being answered.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import RLock

from myi_pipeline.simulator.services.accounts import ServiceFault


@dataclass(frozen=True, kw_only=True)
class TidalTrack:
    """A track or a video. `countries` None: available everywhere. `is_gone`: lists still name it, but its details are
    gone.
    """

    track_id: str
    title: str
    artists: tuple[str, ...]
    isrc: str
    album: str | None = None
    seconds: int = 200
    version: str | None = None
    is_explicit: bool = False
    is_video: bool = False
    released_on: str = "2019-05-17"
    countries: frozenset[str] | None = None
    is_gone: bool = False

    @property
    def kind(self) -> str:
        return "videos" if self.is_video else "tracks"

    def is_in(self, country: str | None) -> bool:
        return not self.is_gone and (country is None or self.countries is None or country in self.countries)


@dataclass(frozen=True)
class TidalAccount:
    account_id: str
    username: str
    country: str = "DE"


@dataclass(frozen=True)
class TidalEntry:
    """One entry of a list, which keeps its `item_id` when it is moved."""

    item_id: str
    kind: str
    track_id: str
    added_at: datetime


@dataclass
class TidalPlaylist:
    playlist_id: str
    owner: TidalAccount
    name: str
    created_at: datetime
    modified_at: datetime
    description: str | None = None
    access: str = "UNLISTED"
    collaborators: tuple[TidalAccount, ...] = ()
    entries: list[TidalEntry] = field(default_factory=list)

    @property
    def track_ids(self) -> list[str]:
        """Its true content, in order."""
        return [each.track_id for each in self.entries]


@dataclass(frozen=True, kw_only=True)
class Write:
    """A write received. `was_done`: it changed something; `is_replay`: it got the stored answer of an earlier one."""

    method: str
    path: str
    key: str | None
    body: bytes = field(repr=False)
    status: int
    was_done: bool
    is_replay: bool


@dataclass
class TidalWorld:
    """The service. Its behaviour may be changed at any time.

    `page_sizes` are used in turn, repeatedly. `total_is_off_by`: added to the true total. `tells_retry_after`: whether
    exceeding `requests_a_minute` is answered with Retry-After. `delay_s`: how long each write takes. `on_request` is
    called with method and path before each answer. `next_host`: host in the links to next pages.
    """

    clock: Callable[[], datetime]
    page_sizes: Sequence[int] = (20,)
    total_is_off_by: int = 0
    requests_a_minute: int = 100_000
    tells_retry_after: bool = True
    delay_s: float = 0.0
    most_entries: int = 10_000
    next_host: str | None = None
    on_request: Callable[[str, str], None] = lambda _, __: None
    calls: list[str] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    accounts: dict[str, TidalAccount] = field(default_factory=dict)
    tracks: dict[tuple[str, str], TidalTrack] = field(default_factory=dict)
    playlists: dict[str, TidalPlaylist] = field(default_factory=dict)
    liked: dict[str, TidalPlaylist] = field(default_factory=dict)
    guard: RLock = field(default_factory=RLock)
    _faults: list[ServiceFault] = field(default_factory=list)
    _times: list[datetime] = field(default_factory=list)
    _pages: int = 0

    # The truth, and changing it

    def account(self, username: str, *, country: str = "DE") -> TidalAccount:
        """The account with this name, created on first use."""
        with self.guard:
            if username not in self.accounts:
                number = 100_000 + len(self.accounts)
                self.accounts[username] = TidalAccount(str(number), username, country)
                self.liked[username] = TidalPlaylist(
                    f"liked-{number}", self.accounts[username], "", self.clock(), self.clock()
                )
            return self.accounts[username]

    def by_id(self, account_id: str) -> TidalAccount | None:
        return next((each for each in self.accounts.values() if each.account_id == account_id), None)

    def add_tracks(self, *tracks: TidalTrack) -> None:
        with self.guard:
            self.tracks.update({(each.kind, each.track_id): each for each in tracks})

    def remove_track(self, track_id: str, *, kind: str = "tracks") -> None:
        """Removes a track from the catalogue; lists keep their entries."""
        with self.guard:
            self.tracks[kind, track_id] = replace(self.tracks[kind, track_id], is_gone=True)

    def make_playlist(
        self, owner: TidalAccount, name: str, *, tracks: Iterable[str] = (), access: str = "UNLISTED",
        description: str | None = None, videos: Iterable[str] = (),
    ) -> TidalPlaylist:  # fmt: skip
        """A list that its owner made in TIDAL's own app."""
        now = self.clock()
        made = TidalPlaylist(str(uuid.uuid4()), owner, name, now, now, description, access)
        made.entries = [self.entry("tracks", each) for each in tracks] + [self.entry("videos", each) for each in videos]
        with self.guard:
            self.playlists[made.playlist_id] = made
        return made

    def entry(self, kind: str, track_id: str, added_at: datetime | None = None) -> TidalEntry:
        return TidalEntry(str(uuid.uuid4()), kind, track_id, added_at or self.clock())

    def touch(self, playlist: TidalPlaylist) -> None:
        """Records a change now; no two changes have the same time."""
        playlist.modified_at = max(self.clock(), playlist.modified_at + timedelta(milliseconds=1))

    def like(self, account: TidalAccount, *track_ids: str) -> None:
        """Adds tracks to the liked ones, the latest first."""
        liked = self.liked[account.username]
        for each in track_ids:
            liked.entries.insert(0, self.entry("tracks", each))
        self.touch(liked)

    def done(self, key: str | None = None) -> list[Write]:
        """The writes that changed something: those with this key, or all."""
        return [each for each in self.writes if each.was_done and (key is None or each.key == key)]

    def received(self, key: str) -> list[Write]:
        """Every write received with this key, carried out or not."""
        return [each for each in self.writes if each.key == key]

    # What goes wrong

    def fail(self, fault: ServiceFault) -> None:
        """Adds a fault, which takes effect after earlier ones. `on`: a part of "METHOD path"."""
        with self.guard:
            self._faults.append(fault)

    def forget_faults(self) -> None:
        with self.guard:
            self._faults.clear()

    def note(self, method: str, path: str) -> ServiceFault | None:
        """Records a request; returns how it must fail, if at all."""
        self.on_request(method, path)
        with self.guard:
            self.calls.append(f"{method} {path}")
            for place, fault in enumerate(self._faults):
                if fault.on in f"{method} {path}":
                    if fault.after:
                        self._faults[place] = replace(fault, after=fault.after - 1)
                        continue
                    left = replace(fault, times=fault.times - 1)
                    self._faults[place : place + 1] = [left] if left.times > 0 else []
                    return fault
        return None

    def is_too_often(self) -> bool:
        now = self.clock()
        with self.guard:
            self._times = [each for each in self._times if now - each < timedelta(minutes=1)]
            if len(self._times) >= self.requests_a_minute:
                return True
            self._times.append(now)
            return False

    def page_size(self) -> int:
        with self.guard:
            self._pages += 1
            return self.page_sizes[(self._pages - 1) % len(self.page_sizes)]
