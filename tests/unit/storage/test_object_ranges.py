"""An object that is read by its ranges: the right bytes, few requests, little memory."""

from __future__ import annotations

import random

import pytest

from myi_pipeline.errors import Transient
from myi_pipeline.storage.object_ranges import ObjectRanges

MIB = 1024 * 1024
SIZE = 64 * MIB + 123


class Store:
    """An object whose bytes are made when they are asked for."""

    def __init__(self, size: int = SIZE) -> None:
        self.asked: list[tuple[int, int]] = []
        self.ranges = ObjectRanges(self._fetch, size=size)

    def _fetch(self, start: int, end: int) -> bytes:
        self.asked.append((start, end))
        return content(start, end)


def content(start: int, end: int) -> bytes:
    """Four bytes of each number."""
    first = start // 4
    numbers = b"".join(number.to_bytes(4, "big") for number in range(first, -(-end // 4)))
    return numbers[start - 4 * first :][: end - start]


def test_every_place_has_its_bytes_and_the_end_is_the_end() -> None:
    store, chance = Store(), random.Random(1)
    for _ in range(30):
        position, count = chance.randrange(SIZE), chance.choice([0, 1, 30, 70_000, 300_000])
        assert store.ranges.read_at(position, count) == content(position, min(SIZE, position + count))
    assert store.ranges.read_at(SIZE - 3, 100) == content(SIZE - 3, SIZE)
    assert (store.ranges.read_at(SIZE, 1), store.ranges.read_at(SIZE + 9, 1)) == (b"", b"")


def test_who_reads_on_needs_few_requests_and_fetches_each_byte_once() -> None:
    store = Store()
    for position in range(0, SIZE, 32 * 1024):
        store.ranges.read_at(position, 32 * 1024)
    assert len(store.asked) < 25
    assert sum(end - start for start, end in store.asked) == SIZE


def test_who_jumps_fetches_little() -> None:
    """Ten thousand entries may be listed in any order, in an object of a GiB: not 4 MiB each."""
    store = Store()
    for number in range(100):
        store.ranges.read_at((number * 37) % 100 * 640 * 1024, 30)
    assert sum(end - start for start, end in store.asked) <= 100 * 256 * 1024


def test_a_small_object_is_fetched_once_and_a_large_one_is_never_whole_in_memory() -> None:
    small, large = Store(3 * MIB), Store()
    for position in (2 * MIB, 0, 3 * MIB - 22, 5):
        small.ranges.read_at(position, 4)
    assert small.asked == [(0, 3 * MIB)]
    for position in range(0, SIZE, MIB):
        large.ranges.read_at(position, 100)
        assert sum(len(window) for _, window in large.ranges._kept) <= 16 * MIB


def test_a_store_that_gives_less_than_it_was_asked_for_is_not_believed() -> None:
    ranges = ObjectRanges(lambda start, end: bytes(end - start - 1), size=10 * MIB)
    with pytest.raises(Transient, match="gave"):
        ranges.read_at(0, 100)
