"""What a synthetic listener is made of: the seed, the span, the size, and one knob per known quirk of real exports.

Equal specs give equal listeners, and equal listeners give equal bytes. The defaults follow what was seen in real
exports; where a quirk is too rare to appear in a small archive, its default is higher.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

Vintage = Literal["endsong", "2023", "2024", "2026"]
Catalogue = Literal["old", "new"]

# Measured: a play lasts 231 s on average. At 300 a day, each takes 287 s including silences and late syncs, slightly
# less than the 288 s available, so that the last play ends on about the last day.
MOST_PLAYS_PER_DAY = 300


@dataclass(frozen=True, kw_only=True)
class ArchiveSpec:
    """One listener. The first session begins on `first_day`, the last on `last_day`."""

    seed: int = 1
    listener: str = "ana"
    first_day: date = date(2015, 1, 1)
    last_day: date = date(2024, 12, 31)
    plays: int = 20_000
    time_zone: str = "Europe/Berlin"
    home_country: str = "DE"
    artists: int | None = None  # None: grows with the square root of plays, 12 to 800
    awkward_artists_from: int = 0  # popularity rank at which awkward names begin

    # Shares of plays
    identical_rows: float = 0.001  # one play written twice by the export, equal in every field
    twin_plays: float = 0.0005  # two plays of equal time, content and ms_played that differ in platform or reason
    without_ms_played: float = 0.0002
    zero_ms: float = 0.012
    early_skips: float = 0.085  # under 30 s, in ordinary sessions
    edge_of_counting: float = 0.001  # 29,999 ms or 30,000 ms exactly
    null_reasons: float = 0.002
    empty_reasons: float = 0.002
    null_flags: float = 0.003
    offline_outliers: float = 0.0003  # offline_timestamp off by up to a year
    under_both_uris: float = 0.0  # plays of relinked tracks with a row for each URI in new exports: two plays

    # Shares of sessions
    skipping_sessions: float = 0.04
    looping_sessions: float = 0.03
    podcast_sessions: float = 0.04
    audiobook_sessions: float = 0.02
    video_sessions: float = 0.015
    offline_sessions: float = 0.04
    incognito_sessions: float = 0.02
    abroad_sessions: float = 0.03  # half of them in the unknown country ZZ

    # Shares of tracks
    unknown_tracks: float = 0.004  # removed before any export: content is null in all catalogues
    removed_tracks: float = 0.004  # present in the old catalogue, null in the new one
    renamed_tracks: float = 0.006  # same URI, another title in the new catalogue
    unnamed_tracks: float = 0.001  # a URI and no names
    uriless_tracks: float = 0.001  # names and no URI
    local_tracks: float = 0.004
    relinked_tracks: float = 0.0  # same names, another URI in the new catalogue

    # Shares of albums
    compilations: float = 0.05  # the album's artist is not the track's
    reissues: float = 0.04  # same titles as another album, different URIs

    # Days
    silent_days: float = 0.12
    holidays_per_year: int = 1  # a week or two without a play

    # What changed when
    skipped_known_from: date = date(2018, 6, 1)  # before it, skipped is always false
    offline_seconds_from: date = date(2019, 3, 1)  # before it, offline_timestamp is in milliseconds
    audiobooks_from: date = date(2022, 11, 1)
    videos_from: date = date(2021, 1, 1)

    def __post_init__(self) -> None:
        days = (self.last_day - self.first_day).days + 1
        if days < 1:
            raise ValueError("last_day is before first_day")
        if self.plays < 0 or self.plays > days * MOST_PLAYS_PER_DAY:
            raise ValueError(f"plays must be between 0 and {days * MOST_PLAYS_PER_DAY} for {days} days")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not 0 <= value <= 1:
                raise ValueError(f"{field.name} is a share: between 0 and 1")
        ZoneInfo(self.time_zone)
