"""How long a login lasts, and what it allows.

Spotify's refresh tokens expire six months after the person authorised, even if they are refreshed. Every requested
scope has a reason that a person can judge, and something that does not work without it.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

MONTHS = 6
WARN_DAYS = (30, 7, 1)


class Feature(StrEnum):
    """A feature that a login enables."""

    POLLS = "polls"
    TOP_LISTS = "top lists"
    NOW_PLAYING = "now playing"
    PLAYLISTS = "playlists"
    LIKED_SONGS = "liked songs"
    PLAYLIST_WRITES = "changing playlists"


@dataclass(frozen=True)
class Scope:
    name: str
    feature: Feature
    reason: str
    without: str


SCOPES = (
    Scope(
        "user-read-recently-played",
        Feature.POLLS,
        "to read the last 50 plays, every few minutes while you listen",
        "no plays are polled; only uploaded archives add any",
    ),
    Scope(
        "user-top-read",
        Feature.TOP_LISTS,
        "to record Spotify's own lists of top tracks and artists, day by day",
        "Spotify's top lists are not recorded",
    ),
    Scope(
        "user-read-currently-playing",
        Feature.NOW_PLAYING,
        "to show what is playing while your page is open, and to poll sooner when it ends",
        "pages do not show what is playing",
    ),
)
# Requested only if a person wants playlists.
PLAYLIST_SCOPES = (
    Scope(
        "playlist-read-private",
        Feature.PLAYLISTS,
        "to record your playlists and their history",
        "your playlists are not read",
    ),
    Scope(
        "playlist-read-collaborative",
        Feature.PLAYLISTS,
        "to record collaborative playlists, too",
        "collaborative playlists are not read",
    ),
    Scope(
        "user-library-read",
        Feature.LIKED_SONGS,
        "to record your liked songs and their history",
        "your liked songs are not read",
    ),
)
# Requested only if a person wants to move playlists to Spotify.
WRITE_SCOPES = (
    Scope(
        "playlist-modify-private",
        Feature.PLAYLIST_WRITES,
        "to create and fill playlists that you move to Spotify",
        "no playlist can be moved to Spotify",
    ),
    Scope(
        "playlist-modify-public",
        Feature.PLAYLIST_WRITES,
        "to add to your playlists that are on your profile",
        "playlists on your profile are not changed",
    ),
)
# Scopes without which a feature is off; the others only complete it.
_MAIN = frozenset({"playlist-read-private", "user-library-read", "playlist-modify-private"})
# MYI does not request this, but a login may allow it anyway.
_NOT_ASKED = {"user-read-playback-state": Feature.NOW_PLAYING}


def features(granted: Iterable[str]) -> frozenset[Feature]:
    """The features that these scopes enable."""
    names = set(granted)
    found = {scope.feature for scope in SCOPES if scope.name in names}
    found |= {scope.feature for scope in PLAYLIST_SCOPES + WRITE_SCOPES if scope.name in names & _MAIN}
    return frozenset(found | {feature for name, feature in _NOT_ASKED.items() if name in names})


def scopes_to_ask(*, with_playlists: bool, with_writes: bool = False) -> tuple[Scope, ...]:
    """The scopes that a sign-in requests. Written playlists must be read back, so writing also requests reading."""
    read = PLAYLIST_SCOPES if with_playlists or with_writes else ()
    return SCOPES + read + (WRITE_SCOPES if with_writes else ())


def denied(
    granted: Iterable[str], *, with_playlists: bool = False, with_writes: bool = False
) -> tuple[Scope, ...]:  # fmt: skip
    """The scopes that were requested but not granted."""
    names = set(granted)
    asked = scopes_to_ask(with_playlists=with_playlists, with_writes=with_writes)
    return tuple(scope for scope in asked if scope.name not in names)


def ends_at(authorised_at: datetime) -> datetime:
    """Six calendar months later; the last day of the month if that day does not exist."""
    months = authorised_at.month - 1 + MONTHS
    year, month = authorised_at.year + months // 12, months % 12 + 1
    day = min(authorised_at.day, calendar.monthrange(year, month)[1])
    return authorised_at.replace(year=year, month=month, day=day)


def days_left(authorised_at: datetime, now: datetime) -> int:
    """Whole days until the end, rounded up; 0 if it has passed."""
    left = ends_at(authorised_at) - now
    return max(0, -(-left // timedelta(days=1)))


def warning_stage(authorised_at: datetime, now: datetime) -> int | None:
    """The last of 30, 7 and 1 days that was reached, 0 after the end, None before 30 days."""
    left = days_left(authorised_at, now)
    if left <= 0:
        return 0
    return min((stage for stage in WARN_DAYS if left <= stage), default=None)
