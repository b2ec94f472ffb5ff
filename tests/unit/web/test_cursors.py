"""Cursors: opaque, signed, and good for one list of one user."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.web.reads.cursors import BadCursor, Cursors

# As `Order.keys_of` gives them: numbers, and dates and times in ISO 8601.
TIMES = st.datetimes(timezones=st.timezones()).map(lambda time: time.isoformat())
DATES = st.dates().map(lambda day: day.isoformat())
KEYS = st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), DATES, TIMES), max_size=4)
ours = Cursors([b"k" * 32])


@given(KEYS)
def test_what_was_sealed_is_opened(keys: list[int | str]) -> None:
    assert list(ours.open("list", ours.seal("list", keys))) == keys


def test_a_cursor_of_another_list_user_or_installation_is_refused() -> None:
    cursor = ours.seal("7 /v1/me/plays []", [1])
    for purpose, cursors in (
        ("8 /v1/me/plays []", ours),
        ("7 /v1/me/sessions []", ours),
        ("7 /v1/me/plays [('from', '2024-01-01')]", ours),
        ("7 /v1/me/plays []", Cursors([b"K" * 32])),
    ):
        with pytest.raises(BadCursor):
            cursors.open(purpose, cursor)


def test_each_changed_byte_is_noticed() -> None:
    cursor = ours.seal("list", ["2024-03-09T21:14:07+00:00", 17])
    whole = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        with pytest.raises(BadCursor):
            ours.open("list", base64.urlsafe_b64encode(changed).decode().rstrip("="))


@given(st.text(max_size=500))
def test_what_nobody_sealed_is_refused_whatever_it_is(text: str) -> None:
    with pytest.raises(BadCursor):
        ours.open("list", text)
