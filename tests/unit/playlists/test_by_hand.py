"""Making a list equal again without asking removes nothing that somebody else has added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myi_pipeline.playlists.migration.repeating import count_by_hand

Count = Callable[..., int]
_LISTS = st.lists(st.sampled_from("abcx"), max_size=6)


def _broken_count(before: Sequence[str], *, wanted: Sequence[str], ours: Sequence[str]) -> int:
    """The same entry is taken off twice."""
    return (Counter(before) - Counter(wanted) - Counter(ours)).total()


def _check(count: Count) -> None:
    @settings(max_examples=300, database=None, derandomize=True)
    @given(ours=_LISTS, by_hand=_LISTS, wanted=_LISTS)
    def holds(ours: list[str], by_hand: list[str], wanted: list[str]) -> None:
        told = count(ours + by_hand, wanted=wanted, ours=ours)
        lost = 0
        for entry in set(by_hand):
            held = (ours + by_hand).count(entry)
            # What goes beyond what one of the runs has brought was added by hand.
            lost += min(by_hand.count(entry), max(0, held - wanted.count(entry)))
        assert told == lost

    holds()


def test_every_entry_that_somebody_else_added_and_would_go_is_counted() -> None:
    _check(count_by_hand)
    assert count_by_hand(["a", "x", "b", "x"], wanted=["a", "x", "b"], ours=["a", "x", "b"]) == 1


def test_the_broken_count_loses_a_second_copy() -> None:
    with pytest.raises(AssertionError):
        _check(_broken_count)
