"""Answers whose fields changed type without notice: only a time and an id or names can cost a play."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from myi_pipeline.catalogue.plays import PlayRecord
from myi_pipeline.catalogue.spotify_answers import named_album, named_artist, play_records, polled_track
from myi_pipeline.errors import UnexpectedAnswer
from myi_pipeline.providers.spotify.models import Album, Artist, Me, Track, read_one, recently_played_page
from tests.unit.catalogue.test_plays import item

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NAN, INFINITY = float("nan"), float("inf")

# (what changed, where it is counted; nothing where it could still be read or was simply not told)
CHANGES: list[tuple[dict[str, Any], set[str]]] = [
    ({"external_ids": {"isrc": None}}, set()),
    ({"external_ids": {"isrc": 12, "ean": {"x": 1}}}, {"track.external_ids"}),
    ({"external_ids": [1]}, {"track.external_ids"}),
    ({"duration_ms": "200000.5"}, set()),
    ({"duration_ms": 200_000.5}, set()),
    ({"duration_ms": "n/a"}, {"track.duration_ms"}),
    ({"duration_ms": {"totalMilliseconds": 1}}, {"track.duration_ms"}),
    ({"duration_ms": NAN}, {"track.duration_ms"}),
    ({"duration_ms": INFINITY}, {"track.duration_ms"}),
    ({"duration_ms": 10**400}, {"track.duration_ms"}),
    ({"duration_ms": True}, {"track.duration_ms"}),
    ({"explicit": "yes, very"}, {"track.explicit"}),
    ({"explicit": 1}, set()),
    ({"is_local": "?"}, {"track.is_local"}),
    ({"disc_number": "A"}, {"track.disc_number"}),
    ({"track_number": [1]}, {"track.track_number"}),
    ({"type": 7}, set()),
    ({"linked_from": "spotify:track:x"}, {"track.linked_from"}),
    ({"artists": [None, {"name": "First"}]}, set()),
    ({"artists": [7, {"name": "First"}]}, {"track.artists"}),
    ({"artists": {"name": "First"}}, set()),
    (
        {"artists": [{"name": "First", "images": [None, {"url": None}, {"url": 3}], "genres": "rock"}]},
        {"artist.genres", "artist.images"},
    ),
    ({"album": {"name": 1989, "total_tracks": "twelve", "release_date": 1989}}, {"album.total_tracks"}),
    ({"album": {"name": "Album", "release_date": [1989], "release_date_precision": 1}}, {"album.release_date"}),
    (
        {"album": {"name": "Album", "images": [{"url": "https://x", "width": "640.0", "height": "tall"}]}},
        {"image.height"},
    ),
    ({"album": {"name": "Album", "images": "https://x", "artists": None}}, {"album.images"}),
    ({"album": {"name": "Album", "album_type": ["x"], "external_ids": {"upc": None}}}, {"album.album_type"}),
]


@pytest.mark.parametrize("changed, counted", CHANGES, ids=[str(changed)[:70] for changed, _ in CHANGES])
def test_a_field_of_another_type_costs_no_play_and_is_counted(changed: dict[str, Any], counted: set[str]) -> None:
    page = recently_played_page({"items": [item(), item("2026-03-01T12:03:00Z", **changed)]}, what="test")
    plays = play_records(page, now=NOW)
    assert [type(play) for play in plays] == [PlayRecord, PlayRecord]
    assert {name for name, _ in page.unread} == counted
    assert all(number == 1 for _, number in page.unread)
    for entry in page.entries:
        made = polled_track(entry.play.track, NOW)
        assert made is not None
        assert made.content.creator == "First"


@pytest.mark.parametrize(
    "released, year",
    [
        ("1989", 1989),
        ("1989-03", 1989),
        ("1989-03-21", 1989),
        ("0000", None),
        ("19890321", None),
        ("", None),
        (None, None),
    ],
)
def test_an_album_says_how_many_tracks_it_has_and_when_it_was_released(released: str | None, year: int | None) -> None:
    document = {
        "name": "Album", "id": "a", "artists": [{"name": "First", "id": "b"}], "total_tracks": 12,
        "release_date": released,
    }  # fmt: skip
    album = named_album(read_one(Album, document, what="test"))
    assert album is not None
    assert (album.total_tracks, album.release_year) == (12, year)


@pytest.mark.parametrize(
    "places, expected", [((1, 3), (1, 3)), ((0, -1), (None, None)), ((40_000, None), (None, None))]
)
def test_a_place_on_an_album_is_kept_if_it_can_be_one(places: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    disc, number = places
    page = recently_played_page({"items": [item(disc_number=disc, track_number=number)]}, what="test")
    track = polled_track(page.entries[0].play.track, NOW)
    assert track is not None
    assert (track.disc_number, track.track_number) == expected


@pytest.mark.parametrize("context", ["spotify:playlist:x", 7, [], {"type": 3, "uri": None}, NAN])
def test_no_form_of_the_context_costs_a_play(context: object) -> None:
    page = recently_played_page({"items": [{**item(), "context": context}]}, what="test")
    assert [type(play) for play in play_records(page, now=NOW)] == [PlayRecord]


def test_names_keep_a_play_whose_id_cannot_be_read_and_an_id_one_whose_names_cannot() -> None:
    named = item(id=["x"], uri={"y": 1})
    identified = item(name={"en": "Song"}, artists="First", album=[])
    endless = item(name="x" * 2_001, album={"name": "y" * 2_001})
    page = recently_played_page({"items": [named, identified, endless]}, what="test")
    first, second, third = play_records(page, now=NOW)
    assert isinstance(first, PlayRecord)
    assert isinstance(second, PlayRecord)
    assert isinstance(third, PlayRecord)
    assert first.content is not None
    assert (first.content.uri, first.content.title, first.content.creator) == (None, "Song", "First")
    assert second.content is not None
    assert (second.content.title, second.content.uri) == (None, "spotify:track:4uLU6hMCjMI75M1A2tKUQC")
    assert third.content is not None
    assert (third.content.title, third.content.collection) == (None, None)
    assert dict(page.unread)["track.name"] == 2


def test_numbers_that_are_none_cost_neither_the_page_nor_what_is_kept_of_a_refused_item() -> None:
    refused = {"track": {"uri": "spotify:track:x", "duration_ms": NAN, "popularity": -INFINITY}, "played_at": NAN}
    page = recently_played_page({"items": [item(), refused]}, what="test")
    good, bad = play_records(page, now=NOW)
    assert isinstance(good, PlayRecord)
    json.dumps(bad.row, allow_nan=False)


@pytest.mark.parametrize("items", [[None], ["x", 7], [{"track": None}], [{"played_at": "2026-03-01T12:00:00Z"}]])
def test_a_list_of_which_nothing_can_be_understood_is_a_failure(items: list[object]) -> None:
    with pytest.raises(UnexpectedAnswer, match=f"none of its {len(items)}"):
        recently_played_page({"items": items}, what="test")


def test_an_empty_list_is_an_answer() -> None:
    assert recently_played_page({"items": []}, what="test").count == 0


def test_the_catalogue_reads_what_it_can() -> None:
    album = read_one(
        Album, {"id": "a", "name": "A", "total_tracks": "?", "artists": [{"id": "b", "name": "B"}]}, what="x"
    )
    assert named_album(album) is not None
    artist = read_one(Artist, {"id": "b", "name": "B", "images": {"url": 1}, "genres": 7}, what="x")
    assert named_artist(artist) is not None


@pytest.mark.parametrize("model", [Track, Album, Artist, Me])
@pytest.mark.parametrize("document", [{}, {"id": {"x": 1}, "name": None}, [], None, "x"])
def test_an_answer_that_tells_nothing_is_refused(model: Any, document: object) -> None:
    with pytest.raises(UnexpectedAnswer):
        read_one(model, document, what="test")
