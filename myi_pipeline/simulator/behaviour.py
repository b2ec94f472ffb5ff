"""The stream of plays: days of sessions, sessions of plays, and the rare things that happen to a play.

All time and randomness of a listener come from here. A session is one long generator for speed: a 1 GB archive needs
1.5 million plays, and making one takes 2.5 microseconds. Two plays that end in the same second differ in content,
unless they are twins (equal time, content and ms_played, but another reason). A play of unknown content never shares
its second with another one, so that its time and ms_played identify it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from myi_pipeline.simulator.habits import (
    MEAN_SESSION,
    UNIX_DAY,
    clock_change,
    daily_quotas,
    day_start,
    hour_wheel,
)
from myi_pipeline.simulator.plays import PLATFORMS, RawPlay

if TYPE_CHECKING:
    from myi_pipeline.simulator.listener import Listener

# Close to the highest lot: an export repeats only rows with low lots, so it never repeats a twin.
_TWINS_LOT = 0.999_999


def raw_plays(listener: Listener) -> Iterator[RawPlay]:
    """Every play of the listener, in time order."""
    spec = listener.spec
    rng = Random(f"plays {spec.seed} {spec.listener}")
    hours = hour_wheel()
    clock = 0
    seconds = _Seconds(listener)
    for number, quota in enumerate(daily_quotas(spec)):
        if not quota:
            continue
        day = spec.first_day + timedelta(days=number)
        start = day_start(day, listener.zone)
        change = clock_change(day, listener.zone)
        sizes: list[int] = []
        while quota > 0:
            size = min(quota, 1 + int(rng.expovariate(1 / MEAN_SESSION)))
            if change is not None and not sizes:
                size = min(quota, 24)
            sizes.append(size)
            quota -= size
        begins = sorted(start + hours[int(rng.random() * len(hours))] * 3600 + int(rng.random() * 3600) for _ in sizes)
        if change is not None:
            # The first session of that night begins 15 minutes before the change.
            begins[0] = change - 900
        for begin, size in zip(begins, sizes, strict=True):
            clock = max(clock + 1, begin)
            for raw in _session(listener, rng, seconds, clock=clock, size=size):
                yield raw
                clock = raw.played_at


class _Seconds:
    """Which things already ended in the current second; ensures the rules for plays of one second (see the module)."""

    def __init__(self, listener: Listener) -> None:
        self.unsteady = listener.unsteady
        self.second = 0
        self.things: set[int] = set()
        self.closed = False

    def place(self, second: int, thing: int) -> int:
        """The first second from `second` on in which `thing` may end."""
        unsteady = thing in self.unsteady
        if second <= self.second:
            second = self.second
            if unsteady or self.closed or thing in self.things:
                second += 1
        if second > self.second:
            self.second = second
            self.things.clear()
            self.closed = unsteady
        self.things.add(thing)
        return second


def _kind(listener: Listener, rng: Random, *, books: bool) -> str:
    spec, draw = listener.spec, rng.random()
    for kind, share in (
        ("skipping", spec.skipping_sessions),
        ("loop", spec.looping_sessions),
        ("podcast", spec.podcast_sessions),
        ("audiobook", spec.audiobook_sessions if books else 0.0),
        ("video", spec.video_sessions),
    ):
        if draw < share:
            return kind
        draw -= share
    return "album" if rng.random() < 0.5 else "favourites"


def _queue(listener: Listener, rng: Random, *, size: int, books: bool) -> tuple[str, list[int]]:
    """What a session plays: its kind and the things in order. `books`: whether there are audiobooks yet."""
    shelf = listener.shelf
    albums, wheel = shelf.albums, listener.wheel
    kind = _kind(listener, rng, books=books)
    if kind == "podcast" or kind == "audiobook":
        groups = shelf.shows if kind == "podcast" else shelf.books
        group = groups[int(rng.random() * len(groups))]
        first = group.start + int(rng.random() * len(group))
        return kind, [group.start + (first - group.start + i) % len(group) for i in range(min(size, 3))]
    if kind == "loop":
        return kind, [shelf.short_tracks[int(rng.random() ** 3 * len(shelf.short_tracks))]] * size
    queue: list[int] = []
    if kind == "album":
        while len(queue) < size:
            queue.extend(albums[wheel[int(rng.random() * len(wheel))]])
        return kind, queue[:size]
    for _ in range(size):
        album = albums[wheel[int(rng.random() * len(wheel))]]
        queue.append(album.start + int(rng.random() ** 2 * len(album)))
    return kind, queue


def _session(listener: Listener, rng: Random, seconds: _Seconds, *, clock: int, size: int) -> Iterator[RawPlay]:
    spec, things, manner_of = listener.spec, listener.shelf.things, listener.manner
    random = rng.random
    chance = random()
    offline = chance < spec.offline_sessions
    incognito = 0 <= chance - spec.offline_sessions < spec.incognito_sessions
    device = int(random() ** 1.5 * len(PLATFORMS))
    abroad = random() < spec.abroad_sessions
    place = device + len(PLATFORMS) * (1 + int(random() * 4) if abroad else 0)
    in_ms = clock < day_start(spec.offline_seconds_from, listener.zone)
    knows_skips = clock >= day_start(spec.skipped_known_from, listener.zone)
    has_books = clock >= day_start(spec.audiobooks_from, listener.zone)
    stamps_online = clock >= day_start(spec.videos_from, listener.zone)
    # Cumulative shares of the rare events, so that a single draw decides between them.
    zero_below = spec.zero_ms
    skip_below = zero_below + spec.early_skips
    edge_from = 1 - spec.edge_of_counting
    rare_1 = spec.twin_plays
    rare_2 = rare_1 + spec.without_ms_played
    rare_3 = rare_2 + spec.null_reasons
    rare_4 = rare_3 + spec.empty_reasons
    rare_5 = rare_4 + spec.null_flags
    rare_6 = rare_5 + spec.offline_outliers
    sync_at = 0
    heard_from = clock
    left = size
    why: str | None = "clickrow"
    while left > 0:
        kind, queue = _queue(listener, rng, size=left, books=has_books)
        shuffle = kind == "favourites"
        watched = kind == "video" and stamps_online
        if kind == "skipping":
            zero_below, skip_below = 0.25, 0.9
        if offline:
            # Everything is reported once the device is back online, one play per second, up to two days late.
            longest = sum(things[thing].duration_ms for thing in queue) // 1000
            sync_at = clock + longest + 60 * len(queue) + int(random() ** 8 * 2 * UNIX_DAY)
        for thing in queue:
            duration = things[thing].duration_ms
            draw = random()
            ms: int | None
            if draw < zero_below:
                heard, end, skipped = 0, "fwdbtn", True
            elif draw < skip_below:
                heard, end, skipped = int(random() * min(duration, 30_000)), "fwdbtn", True
            elif draw > edge_from:
                heard, end, skipped = 30_000 - (draw > 1 - spec.edge_of_counting / 2), "endplay", False
            elif draw > 0.93 and kind != "loop":
                heard = 30_000 + int(random() * max(duration - 30_000, 1))
                end, skipped = ("backbtn", False) if draw > 0.98 else ("fwdbtn", True)
            else:
                heard, end, skipped = duration, "trackdone", False
            ms = heard
            heard_from = clock
            clock += (heard + 999) // 1000 + (0 if draw < 0.8 else int((draw - 0.8) * 40))
            reason_start: str | None = why
            reason_end: str | None = end
            flags: tuple[bool | None, bool | None, bool | None] = (
                shuffle, skipped and knows_skips, offline,
            )  # fmt: skip
            hidden: bool | None = incognito
            stamp: int | None = None
            if offline:
                stamp = heard_from * 1000 + heard_from % 997 if in_ms else heard_from
            elif stamps_online:
                stamp = heard_from
            elif in_ms:
                stamp = 0
            twin = False
            rare = random()
            if rare < rare_6:
                if rare < rare_1:
                    twin = thing not in listener.unsteady
                elif rare < rare_2:
                    ms = None
                elif rare < rare_3:
                    reason_start = reason_end = None
                elif rare < rare_4:
                    reason_start = ""
                elif rare < rare_5:
                    flags, hidden = (None, None, None), None
                elif stamp:
                    stamp -= int(random() * 365) * UNIX_DAY * (1000 if in_ms else 1)
            if sync_at:
                ended = seconds.place(sync_at, thing)
            else:
                clock = ended = seconds.place(clock, thing)
            yield RawPlay(
                ended,
                ms,
                thing,
                place,
                manner_of(reason_start, reason_end, *flags, hidden),
                stamp,
                random(),
                watched,
            )
            left -= 1
            if twin and left:
                other = "remote" if reason_end != "remote" else "logout"
                yield RawPlay(
                    ended,
                    ms,
                    thing,
                    place,
                    manner_of(reason_start, other, *flags, hidden),
                    stamp,
                    _TWINS_LOT,
                    watched,
                )
                left -= 1
            if left <= 0:
                return
            why = end if end != "endplay" else "clickrow"
        clock = max(clock, seconds.second)
