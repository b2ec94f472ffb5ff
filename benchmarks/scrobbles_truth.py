"""Simulated listeners as raw has them, who are archived, polled and scrobbled at once, and which event is which play.

Belongs here: making listener-years, and putting them into raw. Not here: any rule of matching. Every event is made from
one play of the simulator; all else follows from the seed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from benchmarks.resolution_truth import DAYS, DAYS_AFTER, FIRST_DAY, UTC, WORLD, _Archive, _losses, intern_world
from myi_pipeline.catalogue.plays import ContentKind, make_content
from myi_pipeline.simulator.live import ListenerSpec, LiveListener, World, world_of
from myi_pipeline.simulator.live.clock import from_ms, to_ms
from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.live.scrobblers import ScrobblerSpec, scrobbles, spelling

EXTENDED, ACCOUNT, POLLED = 1, 2, 3
# By the source that has its scrobbles: Spotify's server tells Last.fm, an app on the phone tells all that it sees, and
# a device that was never set keeps a log.
SCROBBLERS: dict[int, Callable[[int], ScrobblerSpec]] = {
    4: lambda _: ScrobblerSpec(name="lastfm", losses=0.03),
    12: lambda _: ScrobblerSpec(name="lastfm", losses=0.03, cut_s=60),
    5: lambda number: ScrobblerSpec(name="listenbrainz", clock_off_s=3 + number % 3),
    11: lambda number: ScrobblerSpec(
        name="phone", clock_off_s=number % 50 - 25, hears_private=True, tells_time_heard=number % 2 == 0
    ),
    8: lambda number: ScrobblerSpec(name="log", clock_off_s=3600 * (number % 9 - 4) + 17, device=0),
}
# What listeners have, in turn.
HOUSEHOLDS = (
    (EXTENDED, ACCOUNT, POLLED, 4, 11),
    (POLLED, 4, 11),
    (EXTENDED, 12, 11, 8),
    (4, 5, 8),
    (ACCOUNT, POLLED, 4, 5),
)


class Event(NamedTuple):
    """One row of raw. `start_s` is when a peer would say that it began, `song` the simulator's number of the track."""

    source: int
    at_ms: int
    song: int
    ms_played: int | None
    offline_stamp: int | None
    is_offline: bool
    is_private: bool
    platform: int
    is_nameless: bool
    start_s: float
    duration_s: float


@dataclass
class ListenerLife:
    """Everything that is reported of a listener, and `plays`: which play each event is."""

    key: str
    number: int
    events: list[Event] = field(default_factory=list)
    plays: list[int] = field(default_factory=list)

    def add(self, event: Event, play: LivePlay) -> None:
        self.events.append(event)
        self.plays.append(play.start_ms)


def listener_life(spec: ListenerSpec, number: int, *, days: int = DAYS) -> ListenerLife:
    """All sources of one listener over so many days."""
    world = world_of(WORLD)
    live = LiveListener(spec, world)
    until = datetime.combine(FIRST_DAY + timedelta(days=days), datetime.min.time(), UTC)
    end_ms = to_ms(until + timedelta(days=DAYS_AFTER))
    life = ListenerLife(spec.key, number)
    plays = list(live.live_plays(until_ms=end_ms))
    for source in HOUSEHOLDS[number % len(HOUSEHOLDS)]:
        if source in (EXTENDED, ACCOUNT):
            _add_archive(life, live, world, source, until=until)
        elif source == POLLED:
            losses = _losses(spec.key, days)
            for play in plays:
                if play.is_listed and play.surfaces_ms <= end_ms and not any(a <= play.end_ms < b for a, b in losses):
                    life.add(_event(source, play.reported_ms, play, world, start_s=play.reported_ms / 1000), play)
        else:
            for scrobble, play in scrobbles(SCROBBLERS[source](number), plays, world, key=spec.key):
                event = _event(source, scrobble.at_s * 1000, play, world, start_s=scrobble.at_s)
                life.add(event._replace(ms_played=scrobble.ms_played), play)
    return life


def _add_archive(life: ListenerLife, live: LiveListener, world: World, source: int, *, until: datetime) -> None:
    archive = _Archive(live, until=until)
    rows = list(archive.raw_plays())
    for play, row in zip(archive.plays, rows, strict=True):
        at_s = row.played_at - (row.played_at % 60 if source == ACCOUNT else 0)
        event = _event(source, at_s * 1000, play, world, start_s=at_s - play.ms_played / 1000)
        told = row.offline_stamp if play.is_offline or play.lot < 0.5 else None
        if source == ACCOUNT:
            life.add(event._replace(ms_played=play.ms_played), play)
        else:
            life.add(
                event._replace(
                    ms_played=play.ms_played, offline_stamp=told, is_offline=play.is_offline,
                    is_private=play.is_private, platform=row.place,
                    is_nameless=world.thing(play.thing).is_unknown("new"),
                ),
                play,
            )  # fmt: skip


def _event(source: int, at_ms: int, play: LivePlay, world: World, *, start_s: float) -> Event:
    duration_s = world.thing(play.thing).duration_ms / 1000
    return Event(source, at_ms, play.thing, None, None, False, False, 0, False, start_s, duration_s)


COLUMNS = (
    "user_id, played_at, source_id, content_id, ms_played, batch_id, context_id, offline_timestamp, offline, incognito"
)


class Loader:
    """Puts events into raw; knows the contents that scrobblers name."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.archive_ids, self.api_ids, self.contexts = intern_world(connection)
        # The API tells how long its tracks are.
        for song, content in self.api_ids.items():
            connection.execute(
                "update raw.contents set duration_ms = %s where content_id = %s",
                (world_of(WORLD).thing(song).duration_ms, content),
            )
        self.spelt: dict[tuple[str, int], int] = {}
        self.phone = self._context(connection, "Pano Scrobbler")
        self.log = self._context(connection, "Rockbox")

    def _context(self, connection: psycopg.Connection[Any], platform: str) -> int:
        found = connection.execute(
            "insert into raw.contexts (context_key, platform) values (md5(%s)::uuid, %s)"
            " on conflict (context_key) do update set platform = excluded.platform returning context_id",
            (platform, platform),
        ).fetchone()
        assert found is not None
        return int(found[0])

    def content(self, connection: psycopg.Connection[Any], event: Event) -> int | None:
        if event.is_nameless:
            return None
        if event.source == POLLED:
            return self.api_ids[event.song]
        if event.source in (EXTENDED, ACCOUNT):
            return self.archive_ids[event.song]
        name = {4: "lastfm", 12: "lastfm", 5: "listenbrainz", 11: "phone", 8: "log"}[event.source]
        if (name, event.song) not in self.spelt:
            thing = world_of(WORLD).thing(event.song)
            title, artist = spelling(name, thing.title_in("old") or "Untitled", thing.artist or "Nobody")
            content = make_content(kind=ContentKind.TRACK, uri=None, title=title, creator=artist, collection=None)
            found = connection.execute(
                "insert into raw.contents (content_key, kind_id, uri, title, creator, collection, match_title,"
                " match_key, names_played_at, names_batch_id) values (%s, %s, %s, %s, %s, %s, %s, %s, '2025-01-01Z', 1)"
                " on conflict (content_key) do update set kind_id = excluded.kind_id returning content_id",
                content[:8],
            ).fetchone()
            assert found is not None
            self.spelt[name, event.song] = int(found[0])
        return self.spelt[name, event.song]

    def load(
        self, connection: psycopg.Connection[Any], lives: Iterable[ListenerLife], users: dict[str, int],
        *, sources: Callable[[ListenerLife], Iterable[int]] | None = None,
    ) -> None:  # fmt: skip
        """The events into raw; with `sources` those of each listener's sources alone."""
        connection.execute(
            f"create temporary table incoming as select {COLUMNS} from raw.listening_events limit 0".encode()
        )
        rows = []
        for life in lives:
            wanted = None if sources is None else set(sources(life))
            rows += [(users[life.key], event) for event in life.events if wanted is None or event.source in wanted]
        ids = [self.content(connection, event) for _, event in rows]
        with connection.cursor().copy(f"copy incoming ({COLUMNS}) from stdin".encode()) as copy:
            for (user, event), content in zip(rows, ids, strict=True):
                copy.write_row((user, *self._row(event, content)))
        connection.execute(
            f"insert into raw.listening_events ({COLUMNS}, occurrence) select {COLUMNS}, row_number() over ("
            "partition by user_id, source_id, played_at, content_id, ms_played order by offline_timestamp) - 1"
            " from incoming order by user_id, played_at".encode()
        )
        connection.execute("drop table incoming")

    def _row(self, event: Event, content: int | None) -> tuple[Any, ...]:
        context = {EXTENDED: self.contexts[event.platform], 11: self.phone, 8: self.log}.get(event.source)
        told = None if event.offline_stamp is None else datetime.fromtimestamp(event.offline_stamp, UTC)
        is_extended = event.source == EXTENDED
        return (
            from_ms(event.at_ms), event.source, content, event.ms_played, event.source, context, told,
            event.is_offline if is_extended else None, event.is_private if is_extended else None,
        )  # fmt: skip


RawKey = tuple[int, int, int | None, int | None]


def truth(loader: Loader, connection: psycopg.Connection[Any], life: ListenerLife) -> dict[RawKey, list[int]]:
    """The plays that the events of each raw key are; those of one key cannot be told apart."""
    found: dict[RawKey, list[int]] = defaultdict(list)
    for event, play in zip(life.events, life.plays, strict=True):
        found[event.source, event.at_ms, loader.content(connection, event), event.ms_played].append(play)
    return found
