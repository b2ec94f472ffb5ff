"""Single writes to a playlist, their effect on it, and whether a write without an answer was done.

A list is the URIs of its entries, in order. Every write is planned from a list that was read, so the list alone shows
afterwards whether the write was done: nothing is ever repeated blindly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

Uris = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Add:
    """Insert `uris` so that the first of them is at `at`, from 0. `wanted`: the place of each among those wanted."""

    at: int
    uris: Uris
    wanted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """Move the block of `length` entries at `start` to before the entry that is now at `before`."""

    start: int
    length: int
    before: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the entries at `positions`, ascending, which have these `uris`."""

    positions: tuple[int, ...]
    uris: Uris


@dataclass(frozen=True, slots=True)
class Replace:
    """Replace the whole list by `uris`."""

    uris: Uris


Step = Add | Move | Remove | Replace


class Outcome(StrEnum):
    """The result of a write, judged by the list as read afterwards. `CHANGED`: somebody else changed the list."""

    CONFIRMED = "confirmed"
    NOT_DONE = "not_done"
    PARTLY_DONE = "partly_done"
    CHANGED = "changed"


def apply(step: Step, uris: Sequence[str]) -> Uris:
    """The list after the step. Raises ValueError if the step does not fit the list."""
    now = tuple(uris)
    match step:
        case Add(at=at, uris=added):
            _check(0 <= at <= len(now))
            return now[:at] + added + now[at:]
        case Move(start=start, length=length, before=before):
            _check(start >= 0 and length > 0 and start + length <= len(now) and 0 <= before <= len(now))
            _check(before <= start or before >= start + length)
            block, rest = now[start : start + length], now[:start] + now[start + length :]
            place = before if before <= start else before - length
            return rest[:place] + block + rest[place:]
        case Remove(positions=positions, uris=removed):
            _check(all(0 <= each < len(now) for each in positions))
            _check(tuple(now[each] for each in positions) == removed)
            gone = set(positions)
            return tuple(uri for place, uri in enumerate(now) if place not in gone)
        case Replace(uris=replaced):
            return replaced


def _check(fits: bool) -> None:
    if not fits:
        raise ValueError("the step does not fit the list")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Identifies a list."""

    length: int
    digest: str


def fingerprint(uris: Sequence[str]) -> Fingerprint:
    digest = blake2b(digest_size=16)
    for uri in uris:
        digest.update(uri.encode() + b"\n")
    return Fingerprint(len(uris), digest.hexdigest())


def settle(step: Step, before: Fingerprint, after: Fingerprint, now: Sequence[str]) -> Outcome:
    """The result of a step that was to turn `before` into `after`, given the list as it is `now`."""
    found = fingerprint(now)
    if found == after:
        return Outcome.CONFIRMED
    if found == before:
        return Outcome.NOT_DONE
    match step:
        case Add(at=at, uris=added):
            behind = len(now) - (before.length - at)
            middle = tuple(now[at:behind])
            is_around = fingerprint((*now[:at], *now[behind:])) == before
            is_part = is_around and _is_subsequence(middle, added)
        case Remove():
            is_part = after.length < found.length < before.length
        case Replace(uris=replaced):
            # Cleared, and not filled yet.
            is_part = _is_subsequence(now, replaced)
        case Move():
            # A service may move several entries one by one.
            is_part = found.length == before.length
    return Outcome.PARTLY_DONE if is_part else Outcome.CHANGED


def _is_subsequence(part: Sequence[str], whole: Sequence[str]) -> bool:
    rest = iter(whole)
    return all(any(each == other for other in rest) for each in part)
