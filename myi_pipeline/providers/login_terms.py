"""How long a login lasts, and what it allows.

Source: Spotify's refresh tokens die six months after the person authorised, whatever is refreshed meanwhile. A scope
that is asked for has a reason that a person can judge, and something that stops without it.
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
    """What a login makes possible."""

    POLLS = "polls"
    TOP_LISTS = "top lists"
    NOW_PLAYING = "now playing"


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
        "no plays are polled; only uploaded archives bring any",
    ),
    Scope(
        "user-top-read",
        Feature.TOP_LISTS,
        "to keep Spotify's own lists of the top tracks and artists, day by day",
        "Spotify's top lists are not kept",
    ),
    Scope(
        "user-read-currently-playing",
        Feature.NOW_PLAYING,
        "to show what is playing while your page is open, and to poll sooner when it ends",
        "pages do not show what is playing",
    ),
)
# This one, which MYI does not ask for, allows it too.
_ALSO_NOW_PLAYING = "user-read-playback-state"


def features(granted: Iterable[str]) -> frozenset[Feature]:
    """What may be done with these scopes."""
    names = set(granted)
    found = {scope.feature for scope in SCOPES if scope.name in names}
    return frozenset(found | {Feature.NOW_PLAYING} if _ALSO_NOW_PLAYING in names else found)


def denied(granted: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes that were asked for and not given."""
    names = set(granted)
    return tuple(scope for scope in SCOPES if scope.name not in names)


def ends_at(authorised_at: datetime) -> datetime:
    """Six calendar months later; the last day of a shorter month where that day is missing."""
    months = authorised_at.month - 1 + MONTHS
    year, month = authorised_at.year + months // 12, months % 12 + 1
    day = min(authorised_at.day, calendar.monthrange(year, month)[1])
    return authorised_at.replace(year=year, month=month, day=day)


def days_left(authorised_at: datetime, now: datetime) -> int:
    """Whole days until the end, rounded up; 0 when it has passed."""
    left = ends_at(authorised_at) - now
    return max(0, -(-left // timedelta(days=1)))


def warning_stage(authorised_at: datetime, now: datetime) -> int | None:
    """The last of 30, 7 and 1 days that was reached, 0 after the end, None while there is time."""
    left = days_left(authorised_at, now)
    if left <= 0:
        return 0
    return min((stage for stage in WARN_DAYS if left <= stage), default=None)
