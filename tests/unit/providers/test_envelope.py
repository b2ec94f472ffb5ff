"""Sealed secrets: they open where they belong, with the right key, unchanged; and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from myi_pipeline.errors import BadInput
from myi_pipeline.providers.envelope import SMALLEST, Damaged, KeyRing, Place, UnknownKey, key_id, new_key

PLACE = Place("app.credentials", "refresh_token", 7, "client")
SECRET = "a refresh token"


@pytest.fixture
def keys() -> KeyRing:
    return KeyRing([new_key()])


def test_what_is_sealed_opens(keys: KeyRing) -> None:
    sealed = keys.seal(SECRET, place=PLACE)
    assert keys.open(sealed, place=PLACE) == SECRET
    assert SECRET.encode() not in sealed
    assert len(sealed) == SMALLEST + len(SECRET)
    assert (sealed[0], sealed[1:5]) == (1, keys.sealing_id)


def test_no_two_envelopes_are_alike(keys: KeyRing) -> None:
    assert len({keys.seal(SECRET, place=PLACE) for _ in range(100)}) == 100


@pytest.mark.parametrize("change", [{"user_id": 8}, {"client_id": "other"}, {"table": "x"}, {"column": "x"}])
def test_an_envelope_does_not_open_in_another_place(keys: KeyRing, change: dict[str, object]) -> None:
    sealed = keys.seal(SECRET, place=PLACE)
    with pytest.raises(Damaged):
        keys.open(sealed, place=replace(PLACE, **change))  # type: ignore[arg-type]


def test_no_two_places_spell_the_same_bytes() -> None:
    assert Place("a", "bc", 1, "d").associated_data() != Place("ab", "c", 1, "d").associated_data()


def test_every_changed_bit_is_noticed(keys: KeyRing) -> None:
    sealed = keys.seal("x", place=PLACE)
    for place in range(len(sealed)):
        for bit in range(8):
            changed = bytearray(sealed)
            changed[place] ^= 1 << bit
            with pytest.raises((Damaged, UnknownKey)):
                keys.open(bytes(changed), place=PLACE)


@pytest.mark.parametrize("length", [0, 1, 5, 17, 32])
def test_a_short_envelope_is_damaged(keys: KeyRing, length: int) -> None:
    with pytest.raises(Damaged):
        keys.open(keys.seal(SECRET, place=PLACE)[:length], place=PLACE)


def test_an_older_key_still_opens_and_the_first_seals() -> None:
    old, new = new_key(), new_key()
    sealed = KeyRing([old]).seal(SECRET, place=PLACE)
    both = KeyRing([new, old])
    assert both.open(sealed, place=PLACE) == SECRET
    assert both.sealing_id == key_id(new)
    with pytest.raises(UnknownKey, match=key_id(old).hex()):
        KeyRing([new]).open(sealed, place=PLACE)


def test_keys_are_checked_and_never_shown() -> None:
    key = new_key()
    assert key.hex() not in repr(KeyRing([key]))
    for wrong in ([], [b"short"], [key, key]):
        with pytest.raises(BadInput):
            KeyRing(wrong)
