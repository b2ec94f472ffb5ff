"""What a person plays on one listening day, as a function of that day only.

A listening day runs from 4 am to 4 am, local time, and no play crosses its end. So any day can be generated without the
previous ones, and 10,000 listeners take memory only for the days in use. Plays of a day are in time order, do not
overlap, and end in different seconds, at least a minute before the next listening day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from functools import lru_cache
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

from myi_pipeline.simulator.habits import MEAN_SESSION, hour_wheel
from myi_pipeline.simulator.live.clock import to_ms
from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.live.spec import ListenerSpec, ScriptedPlay
from myi_pipeline.simulator.live.world import World

DAY_BEGINS_AT = time(4)
_HOURS = tuple((hour - DAY_BEGINS_AT.hour) % 24 for hour in hour_wheel())
_HOUR_MS = 3_600_000
_MARGIN_MS = 60_000
_SHORTEST_LISTED_MS = 2_000
# The API lists a finished play within half a minute.
_MOST_LAG_MS = 30_000


@lru_cache(maxsize=65_536)
def day_begin_ms(day: int, zone: ZoneInfo) -> int:
    """When a listening day (an ordinal) begins."""
    return to_ms(datetime.combine(date.fromordinal(day), DAY_BEGINS_AT, zone))


def listening_day(at_ms: int, zone: ZoneInfo) -> int:
    """The ordinal of the listening day that contains a moment."""
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    day = local.date().toordinal() - (local.time() < DAY_BEGINS_AT)
    # The float above may round near a boundary; the boundaries themselves are exact.
    while at_ms < day_begin_ms(day, zone):
        day -= 1
    while at_ms >= day_begin_ms(day + 1, zone):
        day += 1
    return day


class _Session(NamedTuple):
    things: Sequence[int]
    kind: str
    device: int
    offline: bool
    private: bool
    at_sync: bool


class DayMaker:
    """Generates the days of one person."""

    def __init__(self, spec: ListenerSpec, world: World) -> None:
        self.spec = spec
        self.world = world
        self.zone = ZoneInfo(spec.time_zone)
        self.seed = f"{world.seed} {spec.key}"
        # Each person's favourites begin at a different position in the same catalogue.
        self.taste = Random(f"taste {self.seed}").randrange(len(world.shelf.albums))
        self.scripted: dict[int, list[ScriptedPlay]] = {}
        for play in spec.scripted:
            self.scripted.setdefault(listening_day(to_ms(play.started_at), self.zone), []).append(play)
        self.first_day = spec.first_day.toordinal()
        self.last_day = spec.last_day.toordinal() if spec.last_day else date.max.toordinal() - 2

    def stale_span(self, day: int) -> tuple[int, int] | None:
        """The span of this day in which the API shows nothing new, if any: first and last millisecond."""
        if not self.spec.stale_days or not self.first_day <= day <= self.last_day:
            return None
        rng = Random(f"stale {self.seed} {day}")
        if rng.random() >= self.spec.stale_days:
            return None
        start = day_begin_ms(day, self.zone) + int(rng.random() * 18 * _HOUR_MS)
        return start, start + int((1 + rng.random() * 5) * _HOUR_MS)

    def plays(self, day: int) -> tuple[LivePlay, ...]:
        """The plays that began on a listening day, in time order."""
        made = self._made_up(day) if self.first_day <= day <= self.last_day and self.spec.plays_per_day else []
        if day in self.scripted:
            made.extend(self._as_scripted(play) for play in self.scripted[day])
            made.sort(key=lambda each: each.start_ms)
        return tuple(made)

    def _made_up(self, day: int) -> list[LivePlay]:
        spec = self.spec
        rng = Random(f"{self.seed} {day}")
        random = rng.random
        begin, limit = day_begin_ms(day, self.zone), day_begin_ms(day + 1, self.zone) - _MARGIN_MS
        if random() < spec.silent_days:
            return []
        made: list[LivePlay] = []
        if random() < spec.loop_days:
            short = self.world.short_tracks[int(random() * len(self.world.short_tracks))]
            session = _Session((short,) * 10_000, "looping", 0, False, False, False)
            self._play(rng, session, clock=begin + 1000, limit=limit, into=made)
            return made
        weekend = 1.25 if date.fromordinal(day).weekday() >= 5 else 1.0
        quota = round(spec.plays_per_day * weekend * (0.35 + random() * 1.3))
        sizes: list[int] = []
        while quota > 0:
            sizes.append(min(quota, 1 + int(rng.expovariate(1 / MEAN_SESSION))))
            quota -= sizes[-1]
        hours = _HOURS
        begins = sorted(begin + int((hours[int(random() * len(hours))] + random()) * _HOUR_MS) for _ in sizes)
        clock = begin
        for start, size in zip(begins, sizes, strict=True):
            session = self._session(rng, size)
            clock = self._play(rng, session, clock=max(clock + 1000, start), limit=limit, into=made)
            if clock >= limit:
                break
        return made

    def _session(self, rng: Random, size: int) -> _Session:
        spec, world, random = self.spec, self.world, rng.random
        draw, kind = random(), ""
        for name, share in (("skipping", spec.skipping), ("looping", spec.looping), ("podcasts", spec.podcasts)):
            if draw < share:
                kind = name
                break
            draw -= share
        kind = kind or ("albums" if random() < spec.albums else "favourites")
        fate = random()
        offline = fate < spec.offline
        private = not offline and fate < spec.offline + spec.private
        device = int(random() * len(spec.devices))
        albums, wheel, things = world.shelf.albums, world.wheel, []
        if kind == "podcasts":
            show = world.shelf.shows[int(random() * len(world.shelf.shows))]
            first = int(random() * len(show))
            things = [show[(first + number) % len(show)] for number in range(min(size, 2))]
        elif kind == "looping":
            things = [world.short_tracks[int(random() ** 2 * len(world.short_tracks))]] * size
        elif kind == "albums":
            while len(things) < size:
                things.extend(albums[(wheel[int(random() * len(wheel))] + self.taste) % len(albums)])
            del things[size:]
        else:
            for _ in range(size):
                album = albums[(wheel[int(random() * len(wheel))] + self.taste) % len(albums)]
                things.append(album.start + int(random() ** 2 * len(album)))
        return _Session(things, kind, device, offline, private, offline and random() < spec.archived_at_sync)

    def _play(self, rng: Random, session: _Session, *, clock: int, limit: int, into: list[LivePlay]) -> int:
        """Plays a session from `clock` on; returns when it ended, or `limit` if the day ended first."""
        spec, random = self.spec, rng.random
        shelf_things, listable = self.world.shelf.things, self.world.listable
        device = spec.devices[session.device]
        by_start = device.clock == "start"
        early = 0.25 if session.kind == "skipping" else spec.early_skips
        late = early + (0.65 if session.kind == "skipping" else spec.late_skips)
        if session.kind == "looping" or session.kind == "podcasts":
            early = late = 0.0
        shuffle = session.kind in ("favourites", "skipping")
        context = {"albums": "album", "looping": None}.get(session.kind, "playlist")
        at_first = len(into)
        why = "clickrow"
        for thing in session.things:
            duration = shelf_things[thing].duration_ms
            draw = random()
            if draw < early:
                heard, end_why = min(1000 + int(random() * 28_900), duration), "fwdbtn"
            elif draw < late and duration > 45_000:
                # In skipping sessions, tracks are skipped early; otherwise at any point.
                span = 12_000 if session.kind == "skipping" else duration - 32_000
                heard, end_why = 30_000 + int(random() * span), "fwdbtn"
            else:
                heard, end_why = duration, "trackdone"
            paused = int(5_000 * 480 ** random()) if random() < spec.pauses else 0
            end = clock + heard + paused
            if end >= limit:
                clock = limit
                break
            latency = device.latency_ms + int(random() * device.jitter_ms)
            lag, lot = int(random() * _MOST_LAG_MS), random()
            into.append(
                LivePlay(
                    clock,
                    end,
                    heard,
                    thing,
                    session.device,
                    (clock if by_start else end) + latency,
                    end + latency + lag,
                    end // 1000,
                    not session.private and thing in listable and self._is_long_enough(heard, lot),
                    session.offline,
                    session.private,
                    context,
                    why,
                    end_why,
                    shuffle,
                    end_why == "fwdbtn",
                    lot,
                )
            )
            why = end_why
            clock = end + 1000 + int(random() * 1200)
        if session.offline:
            self._surface_late(rng, session, into, at_first)
        return clock

    def _is_long_enough(self, heard_ms: int, lot: float) -> bool:
        """Whether a play of this length is in the list of recent plays."""
        return heard_ms >= self.spec.api_from_ms or (heard_ms >= _SHORTEST_LISTED_MS and lot < self.spec.short_listed)

    def _surface_late(self, rng: Random, session: _Session, plays: list[LivePlay], at_first: int) -> None:
        """Plays of an offline session surface hours later, in random order."""
        if at_first == len(plays):
            return
        least, most = self.spec.offline_until_h
        sync = plays[-1].end_ms + int((least + rng.random() ** 3 * (most - least)) * _HOUR_MS)
        for number in range(at_first, len(plays)):
            surfaces = sync + int(rng.random() * 600_000)
            archived = (sync // 1000 + number - at_first) if session.at_sync else plays[number].archived_s
            plays[number] = plays[number]._replace(surfaces_ms=surfaces, archived_s=archived)

    def _as_scripted(self, play: ScriptedPlay) -> LivePlay:
        device = self.spec.devices[play.device]
        start = to_ms(play.started_at)
        end = start + play.ms_played + play.paused_ms
        reported = (start if device.clock == "start" else end) + device.latency_ms
        is_whole = play.ms_played >= self.world.thing(play.track).duration_ms
        return LivePlay(
            start_ms=start,
            end_ms=end,
            ms_played=play.ms_played,
            thing=play.track,
            device=play.device,
            reported_ms=to_ms(play.reported_at) if play.reported_at else reported,
            surfaces_ms=to_ms(play.surfaces_at) if play.surfaces_at else end + device.latency_ms,
            archived_s=(to_ms(play.archived_at) if play.archived_at else end) // 1000,
            is_listed=not play.private
            and play.track in self.world.listable
            and self._is_long_enough(play.ms_played, 0.5),
            is_offline=play.offline,
            is_private=play.private,
            context="album",
            reason_start="clickrow",
            reason_end="trackdone" if is_whole else "fwdbtn",
            shuffle=False,
            skipped=not is_whole,
            lot=0.5,
        )
