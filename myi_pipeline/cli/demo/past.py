"""The demo's listener who was at Last.fm and is at Spotify: two archives that overlap by nine months.

A play that both report counts once; what Last.fm alone knows is added, and how long it was heard stays unknown.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from myi_pipeline.cli.demo.archives import LAST_DAY, TIME_ZONE, Made
from myi_pipeline.cli.output import number, table

if TYPE_CHECKING:
    from myi_pipeline.postgres.connections import Warehouse

USER = "demo-lastfm"
DISPLAY_NAME = "Made-up listener of myi demo, once at Last.fm"
_SPOTIFY_SINCE, _LASTFM_UNTIL = date(2020, 1, 1), date(2020, 9, 30)
# Plays at the turn of the year are left out: one that Spotify reports may have begun before.
_APART = timedelta(hours=2)
# What both report but cannot be found to be one: an archive's odd times of plays without a connection. Two, or so many.
_MOST_APART, _SHARE_APART = 2, 0.005


@dataclass(frozen=True)
class Past:
    """How many plays Spotify's archive has, how many scrobbles Last.fm alone knows, and how many `of_both`."""

    made: tuple[Made, ...]
    archived_plays: int
    scrobbles: int
    of_both: int


@dataclass(frozen=True)
class PastShown:
    """What the marts make of it. `confirmed` plays are Spotify's, and Last.fm reports them too."""

    plays: int
    scrobbles_alone: int
    confirmed: int
    true_plays: int
    true_of_both: int

    @property
    def is_good(self) -> bool:
        """Nothing is lost, and what both report is one play, but for the few that nobody could tell."""
        apart = self.true_of_both - self.confirmed
        most = max(_MOST_APART, _SHARE_APART * self.true_of_both)
        return self.plays - apart == self.true_plays and 0 <= apart <= most


def make_past(folder: Path, *, plays: int, seed: int) -> Past:
    """A Last.fm export and an extended archive of one listener; equal arguments give equal bytes."""
    from myi_pipeline.simulator import ArchiveSpec, build_listener, expected_marts, write_extended_archive
    from myi_pipeline.simulator.scrobbles import scrobbled, write_scrobbles

    spec = ArchiveSpec(seed=seed, listener=USER, plays=plays, last_day=LAST_DAY, time_zone=TIME_ZONE)
    listener = build_listener(spec)
    archive = write_extended_archive(folder / "spotify.zip", listener, since=_SPOTIFY_SINCE)
    turn = datetime.combine(_SPOTIFY_SINCE, time(), UTC)
    end = datetime.combine(_LASTFM_UNTIL, time(), UTC)
    told = [each for each in scrobbled(listener) if each.started_at < end and abs(each.started_at - turn) > _APART]
    export = write_scrobbles(folder / "lastfm.json", told, form="lastfm_stats")
    return Past(
        made=tuple(
            Made(path, name, hashlib.sha256(path.read_bytes()).hexdigest())
            for path, name in (
                (archive.path, "extended_streaming_history/my_spotify_data.zip"),
                (export.path, "lastfm/lastfmstats-demo.json"),
            )
        ),
        archived_plays=expected_marts([archive], time_zone=TIME_ZONE).total_plays,
        scrobbles=sum(each.started_at < turn for each in export.scrobbles),
        of_both=sum(each.started_at >= turn for each in export.scrobbles),
    )


def look(opened: Warehouse, past: Past) -> PastShown:
    """Count in the marts."""
    from myi_pipeline.postgres.connections import Role
    from myi_pipeline.postgres.sql_files import load_sql

    with opened.connect(Role.ANALYST, autocommit=True) as connection:
        row = connection.execute(load_sql("marts/listing/joined_sources"), {"user_key": USER}).fetchone()
    assert row is not None
    plays, scrobbles_alone, confirmed = row
    return PastShown(
        plays=plays,
        scrobbles_alone=scrobbles_alone,
        confirmed=confirmed,
        true_plays=past.archived_plays + past.scrobbles,
        true_of_both=past.of_both,
    )


def render_past(console: Console, shown: PastShown) -> None:
    columns = (">plays", ">truth", ">known from Last.fm alone", ">reported by both", ">truth of both")
    row = (
        number(shown.plays),
        number(shown.true_plays),
        number(shown.scrobbles_alone),
        number(shown.confirmed),
        number(shown.true_of_both),
    )
    console.print(table("A past at Last.fm joins a present at Spotify", columns, [row]))
