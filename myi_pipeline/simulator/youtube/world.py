"""The data of the simulated YouTube: channels, videos, lists, and the quota used per day."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from threading import RLock

from myi_pipeline.simulator.services.accounts import ServiceFault


@dataclass(frozen=True, kw_only=True)
class Video:
    """`is_gone`: deleted, but still listed."""

    video_id: str
    title: str
    channel: str
    seconds: int = 200
    is_gone: bool = False


@dataclass(frozen=True)
class Item:
    item_id: str
    video_id: str
    added_at: datetime


@dataclass
class YouTubePlaylist:
    playlist_id: str
    owner: str
    title: str
    description: str = ""
    privacy: str = "private"
    items: list[Item] = field(default_factory=list)

    @property
    def video_ids(self) -> list[str]:
        """Its true content, in order."""
        return [each.video_id for each in self.items]


@dataclass
class YouTubeWorld:
    """`hours_of_pacific`: how many hours its day is behind UTC (7 in summer, 8 in winter). `used` counts the units and
    searches used per day. `writes` are the writes received, in order: what, and whether it was carried out.
    """

    clock: Callable[[], datetime]
    hours_of_pacific: int = 8
    units_a_day: int = 10_000
    searches_a_day: int = 100
    page: int = 50
    too_fast: int = 0
    channels: list[str] = field(default_factory=list)
    videos: dict[str, Video] = field(default_factory=dict)
    playlists: dict[str, YouTubePlaylist] = field(default_factory=dict)
    used: Counter[tuple[date, str]] = field(default_factory=Counter)
    writes: list[tuple[str, bool]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    guard: RLock = field(default_factory=RLock)
    _faults: list[ServiceFault] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def account(self, name: str) -> str:
        if name not in self.channels:
            self.channels.append(name)
            liked = self.liked_of(name)
            self.playlists[liked] = YouTubePlaylist(liked, name, "Liked videos")
        return name

    def liked_of(self, name: str) -> str:
        """The id of an account's list of liked videos; to the account itself it is LL."""
        return f"LL-{name}"

    def add_videos(self, *videos: Video) -> None:
        self.videos.update({each.video_id: each for each in videos})

    def delete_video(self, video_id: str) -> None:
        self.videos[video_id] = replace(self.videos[video_id], is_gone=True)

    def make_playlist(self, owner: str, title: str, video_ids: Iterable[str] = ()) -> YouTubePlaylist:
        made = YouTubePlaylist(f"PL{next(self._numbers):08d}", self.account(owner), title)
        made.items = [self.item(each) for each in video_ids]
        self.playlists[made.playlist_id] = made
        return made

    def item(self, video_id: str) -> Item:
        return Item(f"UEw{next(self._numbers):08d}", video_id, self.clock())

    def today(self) -> date:
        return self.clock().astimezone(timezone(-timedelta(hours=self.hours_of_pacific))).date()

    def take(self, kind: str, units: int) -> bool:
        """Takes units from today's quota; False, taking none, if too few are left."""
        most = self.searches_a_day if kind == "searches" else self.units_a_day
        with self.guard:
            if self.used[self.today(), kind] + units > most:
                return False
            self.used[self.today(), kind] += units
            return True

    def fail(self, fault: ServiceFault) -> None:
        self._faults.append(fault)

    def forget_faults(self) -> None:
        self._faults.clear()

    def note(self, method: str, path: str) -> ServiceFault | None:
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
