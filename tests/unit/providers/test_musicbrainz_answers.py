"""What MusicBrainz answers, read field by field: what is missing or odd costs no more than itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from myi_pipeline.errors import UnexpectedAnswer
from myi_pipeline.providers.musicbrainz.answers import Vote, read_artist, read_recording, read_recordings
from myi_pipeline.providers.musicbrainz.client import escape

MBID = "0383dadf-2a4e-4d10-a46a-e9e041da8eb3"


def document(**fields: Any) -> dict[str, Any]:
    return {"id": MBID, "title": "Amber Tide", **fields}


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("1999", "1999"),
        ("1999-05", "1999-05"),
        ("1999-05-21", "1999-05-21"),
        ("1999-??-21", "1999"),
        ("1999-13", "1999"),
        ("", None),
        (None, None),
        ("????", None),
        ("0000", None),
        (1999, None),
    ],
)
def test_a_date_is_read_as_far_as_it_is_known(said: object, read: str | None) -> None:
    assert read_recording(document(**{"first-release-date": said}), what="x").first_release_date == read


def test_a_recording_without_a_date_is_as_old_as_its_earliest_release() -> None:
    releases = [{"id": MBID, "title": "Salt", "date": date} for date in ("2004", "1999-05", "")]
    found = read_recording(document(releases=releases), what="x")
    assert found.first_release_date == "1999-05"
    assert found.first_release is not None
    assert found.first_release.date == "1999-05"


def test_a_credit_is_put_together_by_its_phrases() -> None:
    artist = {"id": MBID, "name": "Zoë"}
    credits = [
        {"name": "Zoe", "joinphrase": " feat. ", "artist": artist},
        {"name": "", "joinphrase": "", "artist": artist | {"genres": [{"name": "folk", "count": 2}]}},
        {"name": "no artist"},
        "no credit",
    ]
    found = read_recording(document(**{"artist-credit": credits}), what="x")
    assert found.credit == "Zoe feat. Zoë"
    assert [each.votes for each in found.credits] == [None, (Vote("folk", 2, is_genre=True),)]


def test_a_genre_that_is_also_a_tag_counts_once_and_what_has_no_votes_is_left_out() -> None:
    genres = [{"name": "folk", "count": 2}, {"name": "jazz", "count": 0}, {"name": "x" * 256, "count": 1}, None]
    tags = [
        {"name": "folk", "count": 2},
        {"name": "seen live", "count": 7},
        {"name": "nul\0", "count": 1},
        {"count": 1},
    ]
    found = read_artist({"id": MBID, "name": "Zoë", "genres": genres, "tags": tags}, what="x")
    assert found.votes == (Vote("seen live", 7, is_genre=False), Vote("folk", 2, is_genre=True))


@pytest.mark.parametrize("length", [None, 0, -1, "abc", True, 10**12, [1]])
def test_a_length_that_is_none_is_unknown(length: object) -> None:
    assert read_recording(document(length=length), what="x").length_ms is None


def test_what_is_no_recording_is_left_out_unless_nothing_remains() -> None:
    broken: list[object] = [{}, {"id": "x", "title": "y"}, {"id": MBID, "title": "lone \ud800"}, 7]
    found = read_recordings({"recordings": [*broken, document()]}, what="x")
    assert [each.recording_mbid for each in found] == [UUID(MBID)]
    assert read_recordings({"recordings": []}, what="x") == ()
    for document_ in ({"recordings": broken}, {"recordings": None}, {}):
        with pytest.raises(UnexpectedAnswer):
            read_recordings(document_, what="x")
    with pytest.raises(UnexpectedAnswer):
        read_artist({"id": MBID}, what="x")


def test_nothing_in_a_name_is_an_operator_of_the_search() -> None:
    assert escape('a "b" AND (c OR d)\n\\ e/f && g') == r"a \"b\" AND \(c OR d\) \\ e\/f \&\& g"
