"""Pairs from anybody's file: what is read, and how a row is refused."""

from __future__ import annotations

import json

import pytest

from myi_pipeline.catalogue.matching.pair_rows import BadRow, PairRow, read_pairs
from myi_pipeline.errors import BadInput


def only(text: str) -> PairRow:
    (found,) = read_pairs(text)
    assert isinstance(found, PairRow), found
    return found


SIDE = {"title": "Song", "artist": "A"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"left": SIDE, "right": SIDE}),
        json.dumps([{"left": SIDE, "right": SIDE}]),
        json.dumps({"pairs": [{"a": SIDE, "b": SIDE}]}, indent=2),
        "\ufeff" + json.dumps({"source": SIDE, "target": SIDE}) + "\r\n\r\n",
        json.dumps({"left_title": "Song", "left_artist": "A", "right_title": "Song", "right_artist": "A"}),
        "left_title,left_artist,right_title,right_artist\nSong,A,Song,A\n",
        "Title A;Artist A;Title B;Artist B\r\nSong;A;Song;A\r\n",
    ],
)
def test_every_usual_form_of_a_pair_is_read(text: str) -> None:
    found = only(text)
    assert (found.left.title, found.left.artists) == ("Song", ("A",))
    assert [(each.title, each.artists) for each in found.right] == [("Song", ("A",))]


@pytest.mark.parametrize(
    ("field", "ms"),
    [
        ({"duration_ms": 200_500}, 200_500), ({"duration": 200}, 200_000), ({"duration": 200_500}, 200_500),
        ({"duration_s": "200.5"}, 200_500), ({"length": "3:20"}, 200_000), ({"duration": "PT3M20S"}, 200_000),
        ({"duration_ms": 0}, None), ({"duration": ""}, None), ({}, None),
    ],
)  # fmt: skip
def test_lengths_are_in_the_unit_that_their_field_names(field: dict[str, object], ms: int | None) -> None:
    assert only(json.dumps({"left": {**SIDE, **field}, "right": SIDE})).left.duration_ms == ms


def test_artists_albums_codes_and_versions_are_read_as_services_give_them() -> None:
    told = {
        "name": "Song", "artists": [{"name": "A"}, {"name": "B"}], "album": {"name": "C"},
        "external_ids": {"isrc": "X1"}, "explicit": True, "version": "Live", "id": "t:1",
    }  # fmt: skip
    left = only(json.dumps({"left": told, "right": [SIDE, SIDE]})).left
    assert (left.title, left.artists, left.album, left.isrc) == ("Song (Live)", ("A", "B"), "C", "X1")
    assert (left.is_explicit, left.uri) == (True, "t:1")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("{", "one JSON object"), ("[1]", "a JSON object"), ('{"left": 1}', "left and right"),
        ('{"left": 1, "right": 2}', "left must be an object"), ('{"left": {}, "right": {}}', "left must have a title"),
        ('{"left": {"title": "a", "duration_ms": -1}, "right": {"title": "a"}}', "left.duration_ms"),
        ('{"left": {"title": "a", "duration_ms": NaN}, "right": {"title": "a"}}', "left.duration_ms"),
        ('{"left": {"title": "a", "duration_ms": true}, "right": {"title": "a"}}', "left.duration_ms"),
        ('{"left": {"title": {"x": 1}}, "right": {"title": "a"}}', "left must have a title"),
        ('{"left": {"title": "' + "x" * 3_000 + '"}, "right": {"title": "a"}}', "2,000 characters"),
        ("[" * 100_000, "one JSON object"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_its_line_and_the_rule_and_the_rest_is_read(row: str, rule: str) -> None:
    good = json.dumps({"left": SIDE, "right": SIDE})
    first, bad, last = read_pairs(f"{good}\n{row}\n{good}\n")
    assert isinstance(first, PairRow)
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert rule in bad.rule
    assert isinstance(last, PairRow)
    assert last.line == 3


@pytest.mark.parametrize("text", ["", "  \n", "[1", "title,artist\nSong,A\n", '{"pairs": 3}', "[" * 100_000])
def test_what_holds_no_pairs_at_all_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        list(read_pairs(text))
