"""What one person's decisions make of recordings; a recording has the number of its first track with a URI."""

from __future__ import annotations

from myi_pipeline.catalogue.recording_choices import Decision, Ruled, decided_recordings

# Two recordings by the rules: 1, 2, 3 and 7, 8; the last is known by name only.
RULED = {id: Ruled(id, number, id == 7) for id, number in {1: 1, 2: 1, 3: 1, 7: 8, 8: 8}.items()}


def test_a_track_that_stands_apart_leaves_the_others_together() -> None:
    assert decided_recordings([Decision(1, "apart", 3)], RULED) == {3: 3}
    assert decided_recordings([Decision(1, "apart", 1)], RULED) == {2: 2, 3: 2}


def test_two_tracks_that_are_the_same_bring_all_of_theirs_along() -> None:
    assert decided_recordings([Decision(1, "same", 7, 2)], RULED) == {7: 1, 8: 1}


def test_a_later_word_wins_over_an_earlier_one() -> None:
    same, apart = Decision(1, "same", 7, 2), Decision(2, "apart", 7)
    assert decided_recordings([same, apart], RULED) == {7: 7}
    assert decided_recordings([apart, Decision(3, "same", 7, 2)], RULED) == {7: 1}


def test_what_is_taken_back_leaves_what_would_be_without_it() -> None:
    said = [Decision(1, "apart", 2), Decision(2, "same", 2, 8), Decision(3, "apart", 1)]
    for gone in said:
        left = [each for each in said if each is not gone]
        assert decided_recordings(left, RULED) == decided_recordings(list(reversed(left)), RULED)
    assert decided_recordings([], RULED) == {}


def test_what_is_unknown_by_now_does_nothing() -> None:
    assert decided_recordings([Decision(1, "same", 99, 2), Decision(2, "apart", 98)], RULED) == {}
