"""The marts of one user, read as the generator of the archives writes the truth: every mart that the truth knows, in
every column that the truth has. Identity numbers never matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from myi_pipeline.simulator import MartTruth
from myi_pipeline.simulator.resolve import ContentId, ResolvedPlay
from myi_pipeline.simulator.truth import (
    AlbumKey,
    DayRow,
    FirstRow,
    HourRow,
    PeriodRow,
    SessionRow,
    StreakRow,
    TrackKey,
)

Row = tuple[Any, ...]
# Runs a query with its parameters, as someone who sees every row of the marts.
Read = Callable[..., list[Row]]

PLAYS = """
select p.played_at, p.ms_played, p.content_id is null, c.kind, c.uri, c.title, c.creator, c.collection, p.source,
    p.confirmed_by is not null, p.kind
from marts.fct_plays as p
left join marts.dim_contents as c on c.content_id = p.content_id
where p.user_id = %s
"""
DAYS = """
select local_date, plays, counted_plays, ms_played, unknown_plays, distinct_tracks, distinct_artists
from marts.agg_day_user
where user_id = %s
"""
HOURS = """
select local_date, local_hour, plays, counted_plays, ms_played from marts.agg_hour_user where user_id = %s
"""
# What the dimensions call each entity: an artist by name, an album by artist and name, a track by all it has.
NAMES = {
    "track": ("d.uri, d.name, d.artist_name, d.album_name", "marts.dim_tracks as d on d.track_id = {id}"),
    "artist": ("d.name", "marts.dim_artists as d on d.artist_id = {id}"),
    "album": (
        "a.name, d.name",
        "marts.dim_albums as d on d.album_id = {id} left join marts.dim_artists as a on a.artist_id = d.artist_id",
    ),
}
PERIODS = """
select p.period, p.period_start, p.plays, p.counted_plays, p.ms_played, p.first_played_at, p.last_played_at, {names}
from marts.agg_period_{entity}s as p
left join {dimension}
where p.user_id = %s
"""
SESSIONS = "select started_at, ended_at, plays, counted_plays, ms_played from marts.fct_sessions where user_id = %s"
STREAKS = "select streak_start, streak_end, days from marts.agg_streaks where user_id = %s"
FIRSTS = """
select p.first_played_at, {names}
from marts.fct_first_plays as p
left join {dimension}
where p.user_id = %s and p.entity_kind = '{entity}'
"""


def differences(read: Read, user_id: int, truth: MartTruth) -> dict[str, tuple[list[Row], list[Row]]]:
    """By mart: rows that only the marts have, and rows that only the truth has, three of each; empty when all agree."""
    pairs: dict[str, tuple[Sequence[Row], Sequence[Row]]] = {
        "plays": ([_play(row) for row in read(PLAYS, user_id)], truth.plays),
        "days": ([DayRow(*row) for row in read(DAYS, user_id)], truth.days),
        "hours": ([HourRow(*row) for row in read(HOURS, user_id)], truth.hours),
        "tracks": (_periods(read, user_id, "track"), truth.tracks),
        "artists": (_periods(read, user_id, "artist"), truth.artists),
        "albums": (_periods(read, user_id, "album"), truth.albums),
        "sessions": ([SessionRow(*map(_utc, row)) for row in read(SESSIONS, user_id)], truth.sessions),
        "streaks": ([StreakRow(*row) for row in read(STREAKS, user_id)], truth.streaks),
        "firsts": (_firsts(read, user_id), truth.firsts),
    }
    found = {}
    for mart, (rows, true_rows) in pairs.items():
        have, want = Counter(map(tuple, rows)), Counter(map(tuple, true_rows))
        if have != want:
            found[mart] = (list((have - want).elements())[:3], list((want - have).elements())[:3])
    return found


def _utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _play(row: Row) -> ResolvedPlay:
    played_at, ms_played, is_unknown, kind, uri, title, creator, collection, source, is_confirmed, play_kind = row
    content = None
    if not is_unknown or play_kind != "unknown":
        content = ContentId(kind, uri, *((None,) * 3 if uri else (title, creator, collection)))
    return ResolvedPlay(_utc(played_at), ms_played, content, source, is_confirmed)


def _key(entity: str, names: Row) -> Any:
    return TrackKey(*names) if entity == "track" else AlbumKey(*names) if entity == "album" else names[0]


def _entity(read: Read, query: str, user_id: int, entity: str) -> list[Row]:
    names, dimension = NAMES[entity]
    column = "p.entity_id" if query is FIRSTS else f"p.{entity}_id"
    return read(query.format(names=names, entity=entity, dimension=dimension.format(id=column)), user_id)


def _periods(read: Read, user_id: int, entity: str) -> list[Row]:
    return [
        PeriodRow(row[0], row[1], _key(entity, row[7:]), row[2], row[3], row[4], _utc(row[5]), _utc(row[6]))
        for row in _entity(read, PERIODS, user_id, entity)
    ]


def _firsts(read: Read, user_id: int) -> list[Row]:
    return [
        FirstRow(entity, _key(entity, row[1:]), _utc(row[0]))
        for entity in NAMES
        for row in _entity(read, FIRSTS, user_id, entity)
    ]
