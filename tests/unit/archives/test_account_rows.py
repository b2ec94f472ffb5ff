"""Rows of the account data's history: music, podcasts, audiobooks, to the minute and without URI."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

MUSIC = {"endTime": "2020-05-17 08:09", "artistName": "Band", "trackName": "Song", "msPlayed": 1_000}
PODCAST = {"endTime": "2020-05-17 08:09", "podcastName": "Show", "episodeName": "Episode", "msPlayed": 2_000}
BOOK = {
    "endTime": "2020-05-17 08:09",
    "authorName": "Author",
    "audiobookName": "Book",
    "chapterName": "Chapter",
    "msPlayed": 3_000,
}


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("StreamingHistory0.json", MUSIC, (1, "Song", "Band", None)),
        # The old file holds podcasts, too, with the show as artist; nothing in the row tells.
        ("StreamingHistory_music_0.json", MUSIC, (1, "Song", "Band", None)),
        ("StreamingHistory_podcast_0.json", PODCAST, (2, "Episode", None, "Show")),
        ("StreamingHistory_audiobook_0.json", BOOK, (3, "Chapter", "Author", "Book")),
        ("StreamingHistory0.json", PODCAST | MUSIC, (1, "Song", "Band", None)),
        ("StreamingHistory0.json", PODCAST | {"artistName": "Band"}, (2, "Episode", None, "Show")),
        ("StreamingHistory0.json", MUSIC | {"trackName": ""}, (1, None, "Band", None)),
        ("StreamingHistory0.json", MUSIC | {"artistName": "Unknown Artist"}, (1, "Song", None, None)),
        ("StreamingHistory0.json", MUSIC | {"trackName": "Unknown Track"}, (1, "Unknown Track", "Band", None)),
    ],
)
def test_each_kind_of_row(name, row, expected, rows_of) -> None:
    outcome = rows_of(row, name=name)
    (play,) = outcome.plays
    assert outcome.kind == "account_history"
    assert (play.content.kind, play.content.title, play.content.creator, play.content.collection) == expected
    assert play.content.uri is None
    assert play.played_at == datetime(2020, 5, 17, 8, 9, tzinfo=UTC)
    assert play.ms_played == row["msPlayed"]
    assert play[4:] == (None,) * 6


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"artistName": "Unknown Artist", "trackName": "Unknown Track"},
        {"artistName": "unknown artist ", "trackName": "UNKNOWN TRACK"},
        {"artistName": "<Unknown Artist>", "trackName": "Unknown  Title"},
        {"artistName": "", "trackName": "Unknown Track"},
        {"podcastName": "Unknown Podcast", "episodeName": "Unknown Episode"},
        {"authorName": "Unknown Author", "audiobookName": "Unknown Audiobook", "chapterName": "Unknown Chapter"},
    ],
)
def test_a_row_that_only_says_that_its_names_are_unknown_is_a_play_of_unknown_content(names, rows_of) -> None:
    (play,) = rows_of({"endTime": "2020-05-17 08:09", "msPlayed": 5} | names, name="StreamingHistory0.json").plays
    assert play.content is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"endTime": None}, "missing_timestamp"),
        ({"endTime": "08:09"}, "bad_timestamp"),
        ({"endTime": "2005-05-17 08:09"}, "too_early"),
        ({"endTime": "2036-05-17 08:09"}, "in_the_future"),
        ({"msPlayed": -1}, "bad_ms_played"),
        ({"trackName": True}, "bad_type"),
        ({"episodeName": ["x"]}, "bad_type"),
        ({"artistName": "x" * 2_001}, "text_too_long"),
    ],
)
def test_a_row_that_cannot_be_a_play_is_refused(changes, reason, rows_of) -> None:
    outcome = rows_of(MUSIC, MUSIC | changes, "text", MUSIC, name="StreamingHistory_music_0.json")
    assert outcome.reasons == [reason, "not_an_object"]
    assert [play.row_index for play in outcome.plays] == [0, 3]


def test_unknown_keys_are_counted_and_user_names_hashed(rows_of) -> None:
    outcome = rows_of(MUSIC | {"new": 1, "username": "someone"}, name="StreamingHistory0.json")
    assert outcome.unknown_keys == {"new": 1}
    assert outcome.account_hashes == {b"hash of someone"}
