"""Bytes to rows: whatever the buffers, whatever the damage, good rows come out and the break has an exact place."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.archives.files.json_rows import JsonRows, TooDeep
from myi_pipeline.errors import BrokenFile


def parse(data: bytes, *, cuts: list[int] | None = None, size: int = 0, max_row_bytes: int = 2**20):
    """The rows, and the break if there is one."""
    if size:
        cuts = list(range(size, len(data), size))
    places = [0, *sorted(cuts or []), len(data)]
    rows: list[object] = []
    reader = JsonRows([data[a:b] for a, b in pairwise(places)], place="f.json", max_row_bytes=max_row_bytes)
    try:
        for batch in reader:
            rows += batch
    except BrokenFile as error:
        return rows, error
    assert reader.bytes_read == len(data)
    return rows, None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ROWS = st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=5) | VALUES, max_size=12)
FORMS = st.sampled_from(
    [{"ensure_ascii": True}, {"ensure_ascii": True, "indent": 2}, {"ensure_ascii": True, "separators": (" , ", " : ")}]
)


@given(rows=ROWS, form=FORMS, data=st.data())
def test_where_the_bytes_are_cut_does_not_matter(rows, form, data) -> None:
    encoded = b"\xef\xbb\xbf" * data.draw(st.booleans()) + json.dumps(rows, **form).encode() + b" \n"
    cuts = data.draw(st.lists(st.integers(0, len(encoded)), max_size=20))
    # As json reads it back: two escaped surrogates that stand together become one character.
    assert parse(encoded, cuts=cuts) == (json.loads(json.dumps(rows)), None)


@given(rows=st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), max_size=12), data=st.data())
def test_a_truncated_file_gives_its_first_rows_and_then_breaks(rows, data) -> None:
    encoded = json.dumps(rows).encode()
    length = data.draw(st.integers(0, len(encoded) - 1))
    found, error = parse(encoded[:length], size=data.draw(st.integers(1, 50)))
    whole = json.loads(encoded)
    assert found == whole[: len(found)]
    assert error is not None
    assert error.place == "f.json"
    assert error.offset <= length
    # No row that is whole is held back.
    ends = [len(json.dumps(rows[: count + 1])) - 1 for count in range(len(rows))]
    assert len(found) == sum(end <= length for end in ends)


@given(rows=st.lists(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), max_size=8), data=st.data())
def test_damaged_bytes_raise_nothing_but_a_break_with_an_offset_inside_the_file(rows, data) -> None:
    damaged = bytearray(json.dumps(rows, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    size = data.draw(st.integers(1, 100))
    found, error = parse(bytes(damaged), size=size)
    again, error_again = parse(bytes(damaged))
    assert str(found) == str(again)
    assert (error is None) == (error_again is None)
    if error is not None and error_again is not None:
        assert 0 <= error.offset <= len(damaged)
        assert error.offset == error_again.offset


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("data", "rows", "offset", "says"),
    [
        (b"", 0, 0, "ends in the middle"),
        (b"  \n", 0, 3, "ends in the middle"),
        (b"[", 0, 1, "ends in the middle"),
        (b'[{"a": 1}', 1, 9, "ends in the middle"),
        (b'[{"a": 1},', 1, 10, "ends in the middle"),
        (b'[{"a": 1}, {"b": "tex', 1, 21, "ends in the middle"),
        (b'[{"a": 1},]', 1, 10, "not valid JSON"),
        (b'[{"a": 1} {"a": 2}]' + b" " * 20, 1, 10, "comma"),
        (b'[{"a": 1}] x', 1, 11, "continues after"),
        (b'[{"a": 1}][]', 1, 10, "continues after"),
        (b'{"a": [1]}', 0, 0, "does not contain a list"),
        (b'"text"', 0, 0, "does not contain a list"),
        (b'\xef\xbb\xbf\xef\xbb\xbf[{"a": 1}]', 0, 3, "does not contain a list"),
        (b'[{"a": 1}, {"a": "\xe4"}]', 1, 18, "not UTF-8"),
        (b'[{"a": 1}, {"a": "\xed\xa0\x80"}]', 1, 18, "not UTF-8"),
        (b'[{"a": 1}, {"a": "\xc3', 1, 18, "not UTF-8"),
        (b'[{"a": 1}, {"a": "\t"}]' + b" " * 20, 1, 18, "control character"),
        (b'[{"a": 1}, {"a": nil}]' + b" " * 20, 1, 17, "not valid JSON"),
        (b'[{"a": 1}, {a: 2}]' + b" " * 20, 1, 12, "not valid JSON"),
        ('[{"a": 1}]'.encode("utf-16"), 0, 0, "UTF-16"),
    ],
)
def test_a_broken_file_names_the_byte_and_the_rule(data, rows, offset, says, size) -> None:
    found, error = parse(data, size=size)
    assert len(found) == rows
    assert error is not None
    assert says in str(error)
    assert error.offset == offset
    assert error.rule == "one JSON list of rows in UTF-8"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_encodings_without_a_mark_are_told_apart_from_garbage(encoding: str) -> None:
    found, error = parse('[{"a": 1}]'.encode(encoding))
    assert found == []
    assert error is not None
    assert error.offset == 0
    assert "UTF-16" in str(error)


def test_offsets_count_bytes_and_not_characters() -> None:
    data = '[{"a": "äöü€😀"}, {"a": oops}]'.encode() + b" " * 20
    assert parse(data, size=5)[1].offset == data.index(b"oops")


def test_numbers_are_exact_and_impossible_ones_stay_in_their_row() -> None:
    """ijson's C backend ended the process with a segmentation fault at the second row."""
    data = b'[{"n": 0.1}, {"n": %s}, {"n": 1e99999999999999999999}, {"n": NaN}, {"n": 12345678901234567890123}, %s, 7]'
    rows, error = parse(data % (b"9" * 5_000, b"-" + b"8" * 9_000), size=1_000)
    assert error is None
    assert rows[0] == {"n": Decimal("0.1")}
    assert rows[1] == rows[2] == {"n": float("inf")}
    assert str(rows[3]) == "{'n': nan}"
    assert rows[4] == {"n": 12345678901234567890123}
    assert rows[5:] == [float("inf"), 7]


def test_a_row_that_is_nested_too_deeply_is_one_bad_row() -> None:
    """ijson's C backend took 8.9 GB for 60 kB of opening brackets."""
    deep = b'{"a": "]}\\"", "b": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"
    tracemalloc.start()
    rows, error = parse(b'[{"a": 1}, ' + deep + b', {"a": 2}]', size=65_536)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error is None
    assert rows[0] == {"a": 1}
    assert isinstance(rows[1], TooDeep)
    assert rows[2] == {"a": 2}
    assert peak < 5_000_000


@pytest.mark.parametrize("size", [100, 100_000])
def test_a_long_number_does_not_hide_other_damage(size: int) -> None:
    """The second look at a row with such a number must not let the errors of that look out."""
    nines = b"9" * 5_000
    rows, error = parse(b'[1, {"n": %s, oops}, 2]' % nines, size=size)
    assert (rows, error.offset) == ([1], 4 + 7 + 5_000 + 1)
    rows, error = parse(b'[1, {"n": %s, "m": oops}, 2]' % nines, size=size)
    assert (rows, error.offset) == ([1], 4 + 6 + 5_000 + 7)
    rows, error = parse(b"[1, %soops, 2]" % nines, size=size)
    assert (rows, error.offset) == ([1], 4 + 5_000)
    rows, error = parse(b'[1, {"n": %s, "m": %s%s}, 2]' % (nines, b"[" * 20_000, b"]" * 20_000), size=size)
    assert error is None
    assert [type(row) for row in rows] == [int, TooDeep, int]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_that_never_ends_is_a_row_too_large(opening: bytes) -> None:
    rows, error = parse(b'[{"a": 1}, ' + opening * 400_000, size=65_536, max_row_bytes=300_000)
    assert rows == [{"a": 1}]
    assert error is not None
    assert "larger than 300,000" in str(error)
    assert error.offset == 11


def endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    yield start
    for _ in range(10_000):
        yield piece
    raise AssertionError("the reader must have stopped long before")


@pytest.mark.parametrize("piece", [b"x", b"\\n", b'", "a": "', b" " * 10])
def test_a_huge_string_is_never_held(piece: bytes) -> None:
    reader = JsonRows(endless(b'[{"a": "', piece * 7_000), place="f.json", max_row_bytes=2**20)
    tracemalloc.start()
    with pytest.raises(BrokenFile, match="row larger than 1,048,576 bytes"):
        list(reader)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reader.bytes_read < 2_000_000
    assert peak < 8_000_000


def test_memory_does_not_grow_with_the_file() -> None:
    def peak_of(megabytes: int) -> int:
        row = json.dumps({"ts": "2020-05-17T08:09:10Z", "text": "x" * 900}).encode()
        chunk = b"".join(b"," + row for _ in range(130))

        def chunks() -> Iterator[bytes]:
            yield b"[" + row
            for _ in range(megabytes * 8):
                yield chunk
            yield b"]"

        tracemalloc.start()
        count = sum(len(batch) for batch in JsonRows(chunks(), place="f.json", max_row_bytes=2**20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 1 + megabytes * 8 * 130
        return peak

    assert peak_of(16) < peak_of(2) * 1.1


def test_many_tiny_buffers_cost_no_more_than_a_few_times_one() -> None:
    """Parsing an unfinished row again for each buffer would make this take minutes."""
    data = b'[{"a": "' + b"x" * 200_000 + b'"}]'
    assert parse(data, size=20)[0] == [{"a": "x" * 200_000}]


def test_an_error_of_the_source_comes_after_the_rows_before_it() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'[{"a": 1}, {"a"'
        raise BrokenFile("cut", place="f.json", offset=15)

    reader = iter(JsonRows(chunks(), place="f.json", max_row_bytes=100))
    assert next(reader) == [{"a": 1}]
    with pytest.raises(BrokenFile, match="cut"):
        next(reader)
