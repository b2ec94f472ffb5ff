"""Simulated listeners as raw has them, polled and archived, and which polled event truly is which archive row.

Belongs here: making listener-years, what is lost of them, and putting them into raw. Not here: any rule of matching.
Invariant: a play's two views are made from one record of the simulator; all else follows from the seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import psycopg

from myi_pipeline.catalogue.plays import Content, ContentKind, make_content
from myi_pipeline.simulator.live import PERSONAS, ListenerSpec, LiveListener, SimulatorSpec, World, persona, world_of
from myi_pipeline.simulator.live.archive import LiveArchive
from myi_pipeline.simulator.live.clock import from_ms, to_ms
from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.plays import PLATFORMS, RawPlay

FIRST_DAY = date(2025, 1, 1)
DAYS = 365
# Polling goes on after the archive was asked for: those plays are nobody's.
DAYS_AFTER = 3
WORLD = SimulatorSpec(seed=11, artists=400)
# Days with a spell of 1 to 8 hours in which polling loses everything.
LOSSES = 0.06


class Polled(NamedTuple):
    """A polled event; `song` is the simulator's number of the track."""

    at_ms: int
    song: int


class Archived(NamedTuple):
    """An archive row; `at_s` is its ts. `duration_ms` is known to the simulator and to Spotify's catalogue."""

    at_s: int
    song: int
    ms_played: int
    duration_ms: int
    offline_stamp: int | None
    is_offline: bool
    is_private: bool
    platform: int
    is_removed: bool


@dataclass(frozen=True)
class ListenerYear:
    """What both sources say, and `truth`: the archive row of each polled event that has one."""

    key: str
    polled: tuple[Polled, ...]
    archived: tuple[Archived, ...]
    truth: dict[Polled, Archived]


class _Archive(LiveArchive):
    """Remembers which play became which row."""

    def __init__(self, live: LiveListener, *, until: datetime) -> None:
        super().__init__(live, until=until)
        self.plays: list[LivePlay] = []

    def _raw(self, waiting: list[tuple[int, int, LivePlay]], last: dict[int, int]) -> RawPlay:
        self.plays.append(waiting[0][2])
        return super()._raw(waiting, last)


def listener_specs(count: int, *, plays_per_day: int, first: int = 0) -> list[ListenerSpec]:
    """Every persona in turn, at its own kind of sessions but with so many plays a day."""
    specs = []
    for number in range(first, first + count):
        kind = PERSONAS[number % len(PERSONAS)]
        changes: dict[str, Any] = {"first_day": FIRST_DAY, "plays_per_day": plays_per_day}
        if kind == "looper":
            changes["loop_days"] = 0.005
        specs.append(persona(kind, f"listener-{number + 1}", **changes))
    return specs


def listener_year(spec: ListenerSpec, *, starts_told: float, days: int = DAYS) -> ListenerYear:
    """`starts_told`: share of rows played online with an offline_timestamp; the rest have none, as in old exports."""
    world = world_of(WORLD)
    live = LiveListener(spec, world)
    until = datetime.combine(FIRST_DAY + timedelta(days=days), datetime.min.time(), UTC)
    archive = _Archive(live, until=until)
    rows = list(archive.raw_plays())
    archived = {play: _archived(world, play, row, starts_told) for play, row in zip(archive.plays, rows, strict=True)}
    end_ms = to_ms(until + timedelta(days=DAYS_AFTER))
    losses = _losses(spec.key, days)
    polled: list[Polled] = []
    truth: dict[Polled, Archived] = {}
    for play in live.live_plays(until_ms=end_ms):
        if not play.is_listed or play.surfaces_ms > end_ms or any(a <= play.end_ms < b for a, b in losses):
            continue
        event = Polled(play.reported_ms, play.thing)
        polled.append(event)
        if play in archived:
            truth[event] = archived[play]
    return ListenerYear(spec.key, tuple(sorted(polled)), tuple(archived.values()), truth)


def _archived(world: World, play: LivePlay, row: RawPlay, starts_told: float) -> Archived:
    thing = world.thing(play.thing)
    told = row.offline_stamp if play.is_offline or play.lot < starts_told else None
    removed = thing.is_unknown("new")
    return Archived(
        row.played_at, play.thing, play.ms_played, thing.duration_ms, told, play.is_offline, play.is_private,
        row.place, removed,
    )  # fmt: skip


def _losses(key: str, days: int) -> list[tuple[int, int]]:
    rng = Random(f"losses {key}")
    spells = []
    for day in range(days + DAYS_AFTER):
        if rng.random() < LOSSES:
            begin = to_ms(datetime.combine(FIRST_DAY + timedelta(days=day), datetime.min.time(), UTC))
            begin += int(rng.random() * 86_400_000)
            spells.append((begin, begin + int((1 + 7 * rng.random()) * 3_600_000)))
    return spells


def contents() -> list[tuple[int, bool, Content]]:
    """Every thing of the world as archives name it, and (True) as the API does where that is another id."""
    world = world_of(WORLD)
    named = []
    for number, thing in enumerate(world.shelf.things):
        kind = ContentKind[thing.kind.upper()]
        title, creator, collection = thing.title_in("new"), thing.creator, thing.collection
        content = make_content(kind=kind, uri=thing.uri, title=title, creator=creator, collection=collection)
        named.append((number, False, content))
        track = world.tracks.get(number)
        if track and not track.is_local and f"spotify:track:{track.api_id}" != thing.uri:
            uri = f"spotify:track:{track.api_id}"
            polled = make_content(kind=kind, uri=uri, title=title, creator=creator, collection=collection)
            named.append((number, True, polled))
    return named


def intern_world(connection: psycopg.Connection[Any]) -> tuple[dict[int, int], dict[int, int], list[int]]:
    """The world's contents and devices into raw: content ids for archives, for the API, and context ids by platform."""
    query = (
        "insert into raw.contents (content_key, kind_id, uri, title, creator, collection, match_title, match_key,"
        " names_played_at, names_batch_id) values (%s, %s, %s, %s, %s, %s, %s, %s, '2025-01-01Z', 1)"
        " on conflict (content_key) do update set kind_id = excluded.kind_id returning content_id"
    )
    archive_ids: dict[int, int] = {}
    api_ids: dict[int, int] = {}
    for number, is_of_api, content in contents():
        found = connection.execute(query, content[:8]).fetchone()
        assert found is not None
        (api_ids if is_of_api else archive_ids)[number] = int(found[0])
    contexts = []
    for _, platform in PLATFORMS:
        found = connection.execute(
            "insert into raw.contexts (context_key, platform) values (md5(%s)::uuid, %s)"
            " on conflict (context_key) do update set platform = excluded.platform returning context_id",
            (platform, platform),
        ).fetchone()
        assert found is not None
        contexts.append(int(found[0]))
    return archive_ids, {**archive_ids, **api_ids}, contexts


COLUMNS = (
    "user_id, played_at, source_id, content_id, ms_played, batch_id, context_id, offline_timestamp, offline, incognito"
)


def load(
    connection: psycopg.Connection[Any], years: Iterable[ListenerYear], users: dict[str, int], *, account: bool = False
) -> None:
    """Both views into raw; with `account` the archive is account data: minutes, no more than names."""
    archive_ids, api_ids, contexts = intern_world(connection)
    connection.execute(
        f"create temporary table incoming as select {COLUMNS} from raw.listening_events limit 0".encode()
    )
    with connection.cursor().copy(f"copy incoming ({COLUMNS}) from stdin".encode()) as copy:
        for year in years:
            user = users[year.key]
            for event in year.polled:
                copy.write_row((user, from_ms(event.at_ms), 3, api_ids[event.song], None, 2, None, None, None, None))
            for row in year.archived:
                copy.write_row((user, *_row(row, archive_ids, contexts, account=account)))
    connection.execute(
        f"insert into raw.listening_events ({COLUMNS}, occurrence) select {COLUMNS}, row_number() over (partition by"
        " user_id, source_id, played_at, content_id, ms_played order by offline_timestamp) - 1"
        " from incoming order by user_id, played_at".encode()
    )
    connection.execute("drop table incoming")


def _row(row: Archived, ids: dict[int, int], contexts: Sequence[int], *, account: bool) -> tuple[Any, ...]:
    if account:
        minute = datetime.fromtimestamp(row.at_s - row.at_s % 60, UTC)
        return minute, 2, ids[row.song], row.ms_played, 1, None, None, None, None
    told = None if row.offline_stamp is None else datetime.fromtimestamp(row.offline_stamp, UTC)
    content = None if row.is_removed else ids[row.song]
    at = datetime.fromtimestamp(row.at_s, UTC)
    return at, 1, content, row.ms_played, 1, contexts[row.platform], told, row.is_offline, row.is_private


def merge_pairs(connection: psycopg.Connection[Any], users: dict[str, int]) -> dict[str, dict[Polled, tuple[Any, ...]]]:
    """What the resolution has decided, per listener: polled event -> (second, ms_played) of its archive row."""
    _, api_ids, _ = intern_world(connection)
    songs = {content: number for number, content in api_ids.items()}
    keys = {user: key for key, user in users.items()}
    found: dict[str, dict[Polled, tuple[Any, ...]]] = {key: {} for key in users}
    query = (
        "select api.user_id, (extract(epoch from api.played_at) * 1000)::bigint, api.content_id,"
        " extract(epoch from archive.played_at)::bigint, archive.ms_played"
        " from intermediate.int_plays__resolved as api"
        " inner join intermediate.int_plays__paired as pair using (user_id, played_at, event_id)"
        " inner join intermediate.int_plays__resolved as archive on archive.user_id = api.user_id"
        " and archive.played_at = pair.play_played_at and archive.event_id = api.play_id"
        " where api.source_id = 3"
    )
    for user, at_ms, content, at_s, ms_played in connection.execute(query.encode()):
        found[keys[user]][Polled(at_ms, songs[content])] = (at_s, ms_played)
    return found
