"""The records of the simulator: a play with names, a play as numbers, and what they refer to.

RawPlay and TruePlay have the same content: TruePlay is for people and comparisons, RawPlay for fast writers.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class TruePlay(NamedTuple):
    """One true play. `played_at`: its end, UTC, whole seconds. `kind`: track, episode, chapter or unknown.

    `source` is the kind of archive that reports it, as in `Source` but in lower case. `identity` is equal for the rows
    of several archives that report the same play, and None for a play that only one row reports.
    """

    played_at: datetime
    ms_played: int | None
    kind: str
    uri: str | None
    title: str | None
    creator: str | None
    collection: str | None
    platform: str | None
    conn_country: str | None
    reason_start: str | None
    reason_end: str | None
    shuffle: bool | None
    skipped: bool | None
    offline: bool | None
    offline_at: datetime | None
    incognito: bool | None
    source: str = "extended_history"
    identity: tuple[object, ...] | None = None


class Manner(NamedTuple):
    """How a play began, ended and was played; interned, because there are few combinations."""

    reason_start: str | None
    reason_end: str | None
    shuffle: bool | None
    skipped: bool | None
    offline: bool | None
    incognito: bool | None


class Place(NamedTuple):
    """The platform, in the spelling of old and of new exports, and the country."""

    platform_old: str
    platform_new: str
    country: str


class RawPlay(NamedTuple):
    """A play as numbers, for the writers. Times are unix seconds; `offline_stamp` is in the unit of the export.

    `lot` is a random number from 0 to 1 that decides what happens to this play in an export.
    `video`: it was watched; newer exports list it in their Video files.
    """

    played_at: int
    ms_played: int | None
    thing: int
    place: int
    manner: int
    offline_stamp: int | None
    lot: float
    video: bool

    @property
    def identity(self) -> tuple[object, ...]:
        """What identifies the play in every archive."""
        return self.played_at, self.thing, self.lot


PLATFORMS = (
    ("Android OS 9 API 28 (samsung, SM-G950F)", "android"),
    ("iOS 12.4 (iPhone10,4)", "ios"),
    ("Windows 10 (10.0.17763; x64)", "windows"),
    ("WebPlayer (websocket RFC6455)", "web_player"),
    ("Partner sonos_imx6 Sonos;Play1", "sonos"),
)
