"""What stands on the demo's playlists, and how TIDAL has the same songs.

TIDAL has each of them under the code that Spotify names, and calls one an edit, with the same code and length: nobody
but a person can say whether that is the same recording.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from myi_pipeline.cli.demo.live import BEGIN, OTHER_ACCOUNT, LiveDemo

if TYPE_CHECKING:
    from myi_pipeline.simulator.live import World
    from myi_pipeline.simulator.tidal import TidalTrack

MOVED = "Songs for the night train"
# The name of each list, and its id at Spotify.
LISTS = {MOVED: "demoNightTrain", "Walking": "demoWalking", "Liked songs": "liked"}
# The same of the list of the other account.
OF_OTHER_ACCOUNT = ("Kitchen", "demoKitchen")
# Which of the songs stand on it; one of them twice.
_PLACES = {MOVED: (*range(12), 3), "Walking": (5, 1, 0), "Liked songs": (2, 4, 6, 8), "Kitchen": (7, 2, 3)}
_SONGS = 12
# What strange names do is for tests: here one song is to be in doubt, and no other.
_PLAIN = re.compile(r"[A-Za-z]+(?: [A-Za-z]+)*")


def songs(world: World) -> list[int]:
    """Tracks of the catalogue with plain names, each by another artist, whose album is that artist's too.

    Archives name the album's artist alone: after an earlier demo a track of a sampler is known by the sampler's.
    """
    chosen: dict[str, int] = {}
    for track in sorted(world.listable):
        thing = world.thing(track)
        title, artist = thing.title_in("new") or "", thing.artist or ""
        is_own = thing.creator == artist and thing.title == title and not world.tracks[track].is_gone
        if is_own and _PLAIN.fullmatch(title) and _PLAIN.fullmatch(artist):
            chosen.setdefault(artist, track)
    return list(chosen.values())[:_SONGS]


def offered_by_tidal(world: World, chosen: Sequence[int]) -> list[TidalTrack]:
    """The songs in their order, the first of them called an edit; and behind them another recording of the first."""
    from myi_pipeline.simulator.tidal import TidalTrack

    tracks = []
    for place, track in enumerate(chosen):
        thing = world.thing(track)
        tracks.append(
            TidalTrack(
                track_id=_id_at_tidal(place),
                title=thing.title_in("new") or "",
                artists=(thing.artist or "",),
                album=thing.collection,
                isrc=world.tracks[track].isrc,
                seconds=round(thing.duration_ms / 1000),
            )
        )
    first, *others = tracks
    concert = replace(first, track_id="70000", title=f"{first.title} (Live)", isrc="QMZZZ0000001", seconds=400)
    return [replace(first, title=f"{first.title} (Radio Edit)"), *others, concert]


def put_lists(live: LiveDemo, chosen: Sequence[int]) -> None:
    """The lists of the first listener's two accounts, as somebody made them before the first poll."""
    from myi_pipeline.simulator.live import ScriptedEntry, ScriptedPlaylist

    owned = [(name, playlist, live.first) for name, playlist in LISTS.items()]
    for name, playlist, owner in (*owned, (*OF_OTHER_ACCOUNT, OTHER_ACCOUNT)):
        entries = tuple(
            ScriptedEntry(track=chosen[place], added_at=BEGIN - timedelta(days=30 - number), added_by=owner)
            for number, place in enumerate(_on_list(name, chosen))
        )
        live.simulator.control.put_playlist(ScriptedPlaylist(id=playlist, owner=owner, name=name, entries=entries))


def _on_list(name: str, chosen: Sequence[int]) -> list[int]:
    """Places among the chosen songs. A catalogue of another seed may have fewer with plain names."""
    return [place for place in _PLACES[name] if place < len(chosen)]


def ids_at_tidal(name: str, chosen: Sequence[int]) -> list[str]:
    """What TIDAL's list must hold after the list of this name was moved."""
    return [_id_at_tidal(place) for place in _on_list(name, chosen)]


def _id_at_tidal(place: int) -> str:
    return str(70_001 + place)
