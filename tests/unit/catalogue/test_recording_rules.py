"""Which recording a track is: what is taken, what is not, and that the order of hits changes nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from uuid import UUID

import pytest

from myi_pipeline.catalogue.recording_rules import Wanted, choose_by_code, choose_by_names, fold_title, search_title
from myi_pipeline.providers.musicbrainz.answers import Credit, Recording, Release

WANTED = Wanted(title="Amber Tide", artist="Lumen Harbour", album="Salt", length_ms=200_000)


def recording(number: int = 1, *, by: str = "Lumen Harbour", title: str = "Amber Tide", **changes: object) -> Recording:
    made = Recording(
        recording_mbid=UUID(int=number),
        title=title,
        length_ms=200_000,
        first_release_date="1999",
        credits=(Credit(artist_mbid=UUID(int=9), name=by, credited_as=by, join_phrase="", votes=None),),
        releases=(Release(UUID(int=8), "Salt", "1999"),),
        votes=(),
        score=100,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Amber Tide (feat. Zoë)", "Amber Tide"),
        ("Amber Tide - Remastered 2011", "Amber Tide"),
        ("Amber Tide - 2011 Remaster", "Amber Tide"),
        ("Amber Tide [Digitally Remastered]", "Amber Tide"),
        ("Ámber  TIDE!", "amber tide"),
        ("Salt & Tide", "Salt and Tide"),
        ("Amber Tide - Live", "Amber Tide (live)"),
    ],
)
def test_two_spellings_are_one_title(one: str, other: str) -> None:
    assert fold_title(one) == fold_title(other)


@pytest.mark.parametrize("other", ["Amber Tide (Live)", "Amber Tide - Karaoke", "Amber Tide II", "Amber", "!!!"])
def test_other_versions_are_other_titles(other: str) -> None:
    assert fold_title(other) != fold_title("Amber Tide")


def test_what_is_nothing_but_signs_or_words_that_are_left_out_stays_a_title() -> None:
    assert fold_title("!!!") == "!!!"
    assert fold_title("Feat.") == "feat"
    assert fold_title("Remastered") == "remastered"
    assert search_title("Amber Tide (feat. Zoë) - Remastered 2011") == "Amber Tide"
    assert search_title("Amber Tide (Live)") == "Amber Tide (Live)"


@pytest.mark.parametrize(
    "unsafe",
    [
        recording(score=89),
        recording(title="Amber Tide (live)"),
        recording(by="Lumen Harbor Band"),
        recording(length_ms=205_001),
        recording(length_ms=None),
        recording(score=None),
    ],
)
def test_a_hit_that_does_not_agree_in_everything_is_not_taken(unsafe: Recording) -> None:
    assert choose_by_names(WANTED, [unsafe]) is None
    assert choose_by_names(WANTED, [unsafe, recording(2)]) == recording(2)


def test_without_a_length_the_album_must_be_a_release_of_it() -> None:
    unknown = replace(WANTED, length_ms=None)
    assert choose_by_names(unknown, [recording()]) is not None
    assert choose_by_names(replace(unknown, album="Thaw"), [recording()]) is None
    assert choose_by_names(replace(unknown, album=None), [recording()]) is None


def test_the_artist_may_be_the_first_of_a_credit_or_all_of_it() -> None:
    guest = Credit(artist_mbid=UUID(int=7), name="Zoë", credited_as="Zoe", join_phrase="", votes=None)
    host = replace(recording().credits[0], join_phrase=" & ")
    both = recording(credits=(host, guest))
    assert choose_by_names(WANTED, [both]) is not None
    assert choose_by_names(replace(WANTED, artist="Lumen Harbour and Zoe"), [both]) is not None
    assert choose_by_names(replace(WANTED, artist="Zoë"), [both]) is None


def test_a_code_needs_no_names_but_a_near_length_and_the_same_version() -> None:
    other_names = recording(title="Bernstein", by="Somebody")
    assert choose_by_code(WANTED, [other_names]) == other_names
    assert choose_by_code(WANTED, [recording(length_ms=205_001)]) is None
    assert choose_by_code(WANTED, [recording(title="Amber Tide (live)")]) is None
    live = replace(WANTED, title="Amber Tide - Live")
    assert choose_by_code(live, [recording(), recording(2, title="Amber Tide (live)")]) is not None
    assert choose_by_code(replace(WANTED, title=None, length_ms=None), [recording(length_ms=None)]) is not None


def test_the_best_of_several_is_the_same_in_whatever_order_they_come() -> None:
    nearest = recording(4, length_ms=200_100)
    found = [recording(1, title="Tide"), recording(2, length_ms=203_000), recording(3, by="Zoë"), nearest]
    assert {choose_by_code(WANTED, order) for order in permutations(found)} == {nearest}
    older = recording(6, first_release_date="1987-02")
    assert {choose_by_code(WANTED, order) for order in permutations([recording(5), older])} == {older}
