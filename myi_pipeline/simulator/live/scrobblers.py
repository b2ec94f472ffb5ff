"""What scrobblers report of a live listener's plays: start times of those heard long enough, with varying spellings.

A play is scrobbled when its track is longer than 30 s and half of it or 4 minutes were heard
(https://www.last.fm/api/scrobbling). Equal specs and plays give equal scrobbles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple
from unicodedata import combining, normalize

from myi_pipeline.simulator.live.plays import LivePlay
from myi_pipeline.simulator.live.world import World


class Scrobble(NamedTuple):
    """`at_s`: when the play began, in unix seconds by the scrobbler's clock. `thing`: the track's number in the world.
    `ms_played` is None unless the scrobbler reports the time heard."""

    at_s: int
    thing: int
    ms_played: int | None


@dataclass(frozen=True, kw_only=True)
class ScrobblerSpec:
    """One scrobbler of one listener. `name` seeds its spelling and randomness.

    `clock_off_s`: constant error of its clock; `jitter_s`: maximum random addition; `cut_s`: precision of its times.
    `hears_private`: as an app on the phone does; the server of a service does not see private sessions. `device`: it
    only hears devices whose number modulo 2 is this (None: all). `losses`: share of plays that it misses.
    """

    name: str
    clock_off_s: int = 0
    jitter_s: int = 2
    cut_s: int = 1
    hears_private: bool = False
    device: int | None = None
    losses: float = 0.02
    tells_time_heard: bool = False


def scrobbles(
    spec: ScrobblerSpec, plays: Iterable[LivePlay], world: World, *, key: str
) -> Iterator[tuple[Scrobble, LivePlay]]:
    """The scrobbles of the listener `key`, each with its play. An offline play is reported late, but with the time at
    which it began."""
    rng = Random(f"scrobbler {spec.name} {key}")
    for play in plays:
        thing = world.thing(play.thing)
        lost, late_s = rng.random() < spec.losses, rng.randint(0, spec.jitter_s)
        if (
            lost
            or thing.kind != "track"
            or thing.duration_ms <= 30_000
            or play.ms_played < min(thing.duration_ms / 2, 240_000)
            or (play.is_private and not spec.hears_private)
            or (spec.device is not None and play.device % 2 != spec.device)
        ):
            continue
        at_s = play.start_ms // 1000 + late_s + spec.clock_off_s
        yield Scrobble(at_s - at_s % spec.cut_s, play.thing, play.ms_played if spec.tells_time_heard else None), play


def spelling(name: str, title: str, artist: str) -> tuple[str, str]:
    """How this scrobbler spells a song: two thirds are unchanged."""
    rng = Random(f"spelling {name} {title} {artist}")
    kind = rng.randrange(18)
    if kind == 0:
        title += " - Remastered 2011"
    elif kind == 1:
        title += " (Live)"
    elif kind == 2:
        title, artist = title.upper(), artist.lower()
    elif kind == 3:
        title = "".join(letter for letter in normalize("NFKD", title) if not combining(letter))
    elif kind == 4:
        artist += " feat. Somebody"
    elif kind == 5:
        title, artist = f"{title} (feat. Somebody)", f"{artist}, Somebody"
    return title, artist
