"""One live listener: what the API shows at a given time (the window of 50, stale spans, what is playing, top lists),
and the truth.

Everything is a function of the spec and the time; memory is bounded by the number of cached days.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from myi_pipeline.simulator.live.behaviour import DayMaker, listening_day
from myi_pipeline.simulator.live.clock import from_ms, to_ms
from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.live.spec import ListenerSpec
from myi_pipeline.simulator.live.world import World

WINDOW = 50
Term = Literal["short_term", "medium_term", "long_term"]
# The days of a term, and the step in which they are sampled: 28 days suffice for a list, 365 would take 60 ms.
TERMS: dict[Term, tuple[int, int]] = {"short_term": (28, 1), "medium_term": (180, 6), "long_term": (365, 13)}


class TrueLivePlay(NamedTuple):
    """A play with names. `reported_at` is played_at in the API; `surfaces_at`: when the API begins to list it, None if
    never (see `why_hidden`); `archived_at`: ts in an archive; `uri` is the URI in archives, `api_uri` the one in the
    API."""

    number: str
    started_at: datetime
    ended_at: datetime
    ms_played: int
    kind: str
    thing: int
    uri: str | None
    api_uri: str | None
    title: str | None
    artist: str | None
    album: str | None
    duration_ms: int
    device: int
    reported_at: datetime | None
    surfaces_at: datetime | None
    why_hidden: str
    archived_at: datetime
    is_offline: bool
    is_private: bool


class DayShelf:
    """A cache of the last days generated, for all listeners: at most `days` of them, about 12 kB each."""

    def __init__(self, days: int = 4096) -> None:
        self._most = days
        self._days: OrderedDict[tuple[str, int], tuple[LivePlay, ...]] = OrderedDict()

    def get(self, maker: DayMaker, day: int) -> tuple[LivePlay, ...]:
        key = (maker.spec.key, day)
        found = self._days.get(key)
        if found is None:
            found = self._days[key] = maker.plays(day)
            if len(self._days) > self._most:
                self._days.popitem(last=False)
        return found

    def forget(self, listener: str) -> None:
        for key in [key for key in self._days if key[0] == listener]:
            del self._days[key]


class LiveListener:
    """Made from a spec in microseconds; ten thousand of them take a few MB."""

    def __init__(self, spec: ListenerSpec, world: World, days: DayShelf | None = None) -> None:
        self.spec = spec
        self.world = world
        self.maker = DayMaker(spec, world)
        self._days = days or DayShelf(64)
        first_scripted = min(self.maker.scripted, default=self.maker.first_day)
        last_scripted = max(self.maker.scripted, default=0)
        self._first = min(self.maker.first_day, first_scripted) if spec.plays_per_day else first_scripted
        self._last = max(self.maker.last_day, last_scripted) if spec.plays_per_day else last_scripted

    def seen_ms(self, now_ms: int) -> int:
        """The time as of which the API answers: now, or the start of the current stale span."""
        if not self.spec.stale_days:
            return now_ms
        day = listening_day(now_ms, self.maker.zone)
        spans = [span for each in (day - 1, day) if (span := self.maker.stale_span(each))]
        return min([now_ms, *(start for start, end in spans if start <= now_ms <= end)])

    def window(self, now_ms: int) -> list[LivePlay]:
        """The plays that the API can show now, at most 50, newest first."""
        seen = self.seen_ms(now_ms)
        by_surfacing = self.spec.window_order == "surfaced"
        day = min(listening_day(seen, self.maker.zone), self._last)
        found: list[LivePlay] = []
        # Plays may surface days later: for that order, look further back than 50 plays.
        spare = int(self.spec.offline_until_h[1] // 24) + 2 if by_surfacing else 0
        while day >= self._first and (len(found) < WINDOW or spare > 0):
            spare -= len(found) >= WINDOW
            found.extend(
                play for play in self._days.get(self.maker, day) if play.is_listed and play.surfaces_ms <= seen
            )
            day -= 1
        found.sort(key=_surfacing if by_surfacing else _reporting, reverse=True)
        return found[:WINDOW]

    def is_relisted(self, play: LivePlay, now_ms: int) -> bool:
        """Whether the list now gives the play's track another id, and the play a time one millisecond later."""
        return play.lot < self.spec.relisted and now_ms // 3_600_000 % 2 == 1

    def window_at(self, moment: datetime) -> list[LivePlay]:
        return self.window(to_ms(moment))

    def playing(self, now_ms: int) -> LivePlay | None:
        """The play in progress; None in a private session or offline."""
        day = listening_day(now_ms, self.maker.zone)
        for play in self._days.get(self.maker, day):
            if play.start_ms <= now_ms < play.end_ms and not play.is_private and not play.is_offline:
                return play
        return None

    def top(self, term: Term, now_ms: int) -> Counter[int]:
        """The number of listed plays per thing over a term, from every nth day."""
        reach, step = TERMS[term]
        today = listening_day(now_ms, self.maker.zone)
        counts: Counter[int] = Counter()
        for day in range(today - 1, max(today - 1 - reach, self._first - 1), -1):
            if day % step == 0:
                counts.update(play.thing for play in self._days.get(self.maker, day) if play.is_listed)
        return counts

    def live_plays(self, *, until_ms: int, since_ms: int | None = None) -> Iterator[LivePlay]:
        """Every play that ended after `since_ms` and not after `until_ms`, in time order; not cached."""
        day = self._first
        if since_ms is not None:
            day = max(day, listening_day(since_ms, self.maker.zone) - 1)
        last = min(self._last, listening_day(until_ms, self.maker.zone))
        while day <= last:
            for play in self.maker.plays(day):
                if play.end_ms <= until_ms and (since_ms is None or play.end_ms > since_ms):
                    yield play
            day += 1

    def truth(self, *, until: datetime, since: datetime | None = None) -> Iterator[TrueLivePlay]:
        """The same plays with names."""
        since_ms = None if since is None else to_ms(since)
        for play in self.live_plays(until_ms=to_ms(until), since_ms=since_ms):
            yield self.in_words(play)

    def in_words(self, play: LivePlay) -> TrueLivePlay:
        thing = self.world.thing(play.thing)
        track = self.world.tracks.get(play.thing)
        hidden = self._why_hidden(play, thing.kind)
        return TrueLivePlay(
            number=f"{play.start_ms}-{play.thing}",
            started_at=from_ms(play.start_ms),
            ended_at=from_ms(play.end_ms),
            ms_played=play.ms_played,
            kind=thing.kind,
            thing=play.thing,
            uri=thing.uri,
            api_uri=f"spotify:track:{track.api_id}" if track and not track.is_local else None,
            title=thing.title_in("new"),
            artist=thing.artist,
            album=thing.collection,
            duration_ms=thing.duration_ms,
            device=play.device,
            reported_at=None if hidden else from_ms(play.reported_ms),
            surfaces_at=None if hidden else from_ms(play.surfaces_ms),
            why_hidden=hidden,
            archived_at=datetime.fromtimestamp(play.archived_s, UTC),
            is_offline=play.is_offline,
            is_private=play.is_private,
        )

    def _why_hidden(self, play: LivePlay, kind: str) -> str:
        if play.is_listed:
            return ""
        if play.is_private:
            return "private"
        if play.thing not in self.world.listable:
            return "local" if kind == "track" else kind
        return "short"


def _reporting(play: LivePlay) -> int:
    return play.reported_ms


def _surfacing(play: LivePlay) -> int:
    return play.surfaces_ms
