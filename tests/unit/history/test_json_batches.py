"""Whole rows at a time give what the careful parser gives: the same rows, the same break at the same byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from myi_pipeline.core.errors import BrokenFile
from myi_pipeline.history import json_batches
from myi_pipeline.history.json_batches import JsonBatches
from myi_pipeline.history.json_rows import JsonRows
from tests.unit.history.test_json_rows import FORMS, VALUES

ROWS = st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), max_size=12)


def outcome(reader: JsonBatches | JsonRows) -> tuple[str, str, int | None, int]:
    rows: list[object] = []
    broken, offset = "", None
    try:
        for batch in reader:
            rows += batch if isinstance(batch, list) else batch.exact()
    except BrokenFile as error:
        broken, offset = str(error), error.offset
    return re.sub(" object at 0x[0-9a-f]+", "", repr(rows)), broken, offset, 0 if broken else reader.bytes_read


def both(data: bytes, cuts: list[int], *, max_row_bytes: int = 2**20):
    places = [0, *sorted(cuts), len(data)]
    chunks = [data[a:b] for a, b in pairwise(places)]
    limits = {"place": "f.json", "max_row_bytes": max_row_bytes}
    return outcome(JsonBatches(chunks, **limits)), outcome(JsonRows(chunks, **limits))


@settings(deadline=None)
@example(rows=[{"a": "},{"}, {"b": "}, {"}, {"c": {"d": {}}}], form={}, data=None)
@given(rows=ROWS, form=FORMS, data=st.data())
def test_rows_are_the_same_wherever_the_bytes_are_cut(rows, form, data) -> None:
    encoded = json.dumps(rows, **form).encode() + b" \n"
    cuts = [] if data is None else data.draw(st.lists(st.integers(0, len(encoded)), max_size=6))
    fast, careful = both(encoded, cuts)
    assert fast == careful
    assert fast[0] == repr(json.loads(json.dumps(rows)))


@settings(deadline=None)
@given(rows=ROWS.filter(len), form=FORMS, data=st.data())
def test_damage_is_found_at_the_same_byte(rows, form, data) -> None:
    encoded = bytearray(json.dumps(rows, **form).encode())
    if data.draw(st.booleans()):
        del encoded[data.draw(st.integers(0, len(encoded))) :]
    else:
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    fast, careful = both(bytes(encoded), data.draw(st.lists(st.integers(0, len(encoded)), max_size=6)))
    assert fast == careful


@pytest.mark.parametrize(
    "value",
    ["1.50", "1e400", "99999999999999999999999", "-0.0", "9" * 5_000, "NaN", '"\\ud800"', "[" * 2_000 + "]" * 2_000],
)
def test_what_orjson_would_round_or_refuse_is_as_exact_as_ever(value: str) -> None:
    fast, careful = both(b'[{"a": 1}, {"a": %b}, {"a": 2}]' % value.encode(), [])
    assert fast == careful


@pytest.mark.parametrize("cuts", [[], [2], [1, 3]])
def test_a_zero_among_the_first_bytes_tells_a_wide_encoding(cuts: list[int]) -> None:
    fast, careful = both(b'[{\0"a": 1}, {"a": 2}]', cuts)
    assert fast == careful
    assert "UTF-16" in fast[1]


def test_an_exact_number_comes_back_from_a_batch_that_rounded_it() -> None:
    (first, *_) = JsonBatches([b'[{"ms_played": 1234567890123456789012, "b": 0.1}, {}]'], place="f", max_row_bytes=99)
    assert first.rows == [{"ms_played": 1.2345678901234568e21, "b": 0.1}]
    assert first.exact() == [{"ms_played": 1234567890123456789012, "b": Decimal("0.1")}]


def test_rows_of_a_usual_file_do_not_need_the_careful_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else this module would only cost: all but the file's last rows go the short way."""
    data = json.dumps([{"ts": f"row {number}", "title": "a}, {b"} for number in range(5_000)]).encode()
    batches = list(
        JsonBatches([data[a : a + 10_000] for a in range(0, len(data), 10_000)], place="f", max_row_bytes=999)
    )
    careful = sum(len(batch.rows) for batch in batches if batch.text is None)
    assert sum(len(batch.rows) for batch in batches) == 5_000
    assert careful < 500


def test_an_error_of_the_source_comes_after_the_whole_rows_before_it() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'[{"a": 1}, {"a": 2}'
        raise BrokenFile("gone", place="f", rule="r", offset=7)

    rows: list[object] = []
    reader = JsonBatches(chunks(), place="f", max_row_bytes=100)
    with pytest.raises(BrokenFile, match="gone"):
        rows.extend(row for batch in reader for row in batch.rows)
    assert rows == [{"a": 1}, {"a": 2}]


def test_a_file_without_an_end_of_a_row_is_handed_over_before_it_fills_the_memory() -> None:
    held = 0

    def chunks() -> Iterator[bytes]:
        nonlocal held
        yield b'[{"a": "'
        for _ in range(64):
            held += 100_000
            yield b"x" * 100_000

    reader = JsonBatches(chunks(), place="f", max_row_bytes=500_000)
    with pytest.raises(BrokenFile, match="larger than 500,000 bytes"):
        list(reader)
    assert held < json_batches._LONGEST_WITHOUT_END + 600_000
