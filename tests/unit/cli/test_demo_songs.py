"""Whatever seed the demo is given, TIDAL's catalogue leaves one song in doubt and no other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from myi_pipeline.catalogue.matching.choices import Choice, choose
from myi_pipeline.cli.demo.songs import MOVED, ids_at_tidal, offered_by_tidal, songs
from myi_pipeline.providers.playlists import ListedTrack
from myi_pipeline.simulator.live import SimulatorSpec, World, world_of
from myi_pipeline.simulator.tidal import TidalTrack

SEEDS = range(1, 21)


def judged(world: World, offered: list[TidalTrack]) -> list[Choice]:
    """What becomes of each song: by its code, and by all that TIDAL has where the code does not decide."""
    listed = [
        ListedTrack(
            uri=each.track_id, title=each.title, artists=each.artists, album=each.album, isrc=each.isrc,
            duration_ms=each.seconds * 1000, is_explicit=each.is_explicit,
        )
        for each in offered
    ]  # fmt: skip
    found = []
    for track in songs(world):
        thing = world.thing(track)
        wanted = ListedTrack(
            title=thing.title_in("new") or "", artists=(thing.artist or "",), album=thing.collection,
            isrc=world.tracks[track].isrc, duration_ms=thing.duration_ms,
        )  # fmt: skip
        by_code = choose(wanted, [each for each in listed if each.isrc == wanted.isrc])
        found.append(by_code if by_code.outcome == "matched" else choose(wanted, listed))
    return found


def world(seed: int) -> World:
    return world_of(SimulatorSpec(seed=seed, artists=20, relinked_tracks=0.0))


@pytest.mark.parametrize("seed", SEEDS)
def test_one_song_is_in_doubt_and_its_best_candidate_is_the_one_that_is_meant(seed: int) -> None:
    made = world(seed)
    found = judged(made, offered_by_tidal(made, songs(made)))
    assert [each.outcome for each in found] == ["ambiguous", *["matched"] * (len(found) - 1)]
    ids = ids_at_tidal(MOVED, songs(made))
    assert ids[: len(found)] == [each.candidates[0].uri for each in found]
    assert len(ids) == len(found) + 1, "one of them is on the list twice"


def test_without_the_word_that_makes_it_an_edit_nothing_is_in_doubt() -> None:
    made = world(1)
    first, *others = offered_by_tidal(made, songs(made))
    found = judged(made, [replace(first, title=first.title.removesuffix(" (Radio Edit)")), *others])
    assert {each.outcome for each in found} == {"matched"}


@pytest.mark.parametrize("seed", SEEDS)
def test_an_archive_names_the_songs_as_spotify_does(seed: int) -> None:
    made = world(seed)
    things = [made.thing(track) for track in songs(made)]
    assert [(each.title, each.creator) for each in things] == [(each.title_in("new"), each.artist) for each in things]
    assert any(each.creator != each.artist for each in made.shelf.things), "not all are named so"
