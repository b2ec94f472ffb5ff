"""Entries of Spotify's list of recent plays that are one play, and those that are two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.catalogue.plays import Content, ContentKind, make_content
from myi_pipeline.polling.windows import PolledPlay, is_among, is_one_play, names_of

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def track(title: str | None, creator: str | None = "Singer", uri: str | None = "spotify:track:1") -> Content:
    return make_content(kind=ContentKind.TRACK, uri=uri, title=title, creator=creator, collection="Album")


def entry(content: Content | None, ms: int = 0, *, isrc: str | None = None) -> PolledPlay:
    return PolledPlay(NOON + timedelta(milliseconds=ms), names_of(content, isrc=isrc))


SONG = track("Song")


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(entry(SONG, 1), id="a millisecond later"),
        pytest.param(entry(SONG, -1), id="a millisecond earlier, in the second before"),
        pytest.param(entry(SONG, 999), id="within the second"),
        pytest.param(entry(track("Song", uri="spotify:track:2")), id="another id"),
        pytest.param(entry(track("SONG ", "singer", uri="spotify:track:2"), 1), id="another spelling, id and time"),
        pytest.param(entry(track("Song", uri=None)), id="no id"),
        pytest.param(entry(track("Song (2011)", uri="spotify:track:2"), 1, isrc="qm0000000001"), id="its recording"),
        pytest.param(entry(None, 1), id="a track that was removed meanwhile"),
    ],
)
def test_a_play_that_is_told_otherwise_is_the_same_play(other: PolledPlay) -> None:
    one = entry(SONG, isrc="QM0000000001")
    assert is_one_play(one, other)
    assert is_one_play(other, one)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(entry(SONG, 1_000), id="a second later"),
        pytest.param(entry(track("Another", uri="spotify:track:2")), id="another song"),
        pytest.param(entry(track("Song", "Other singer", uri="spotify:track:2")), id="somebody else's song"),
        pytest.param(entry(track(None, None, uri="spotify:track:2")), id="a track without a name"),
    ],
)
def test_two_plays_stay_two(other: PolledPlay) -> None:
    assert not is_one_play(entry(SONG), other)
    assert not is_among(entry(SONG), [other])


def test_nameless_tracks_are_known_by_their_ids_alone() -> None:
    one, other = track(None, None, uri="spotify:track:1"), track(None, None, uri="spotify:track:2")
    assert is_one_play(entry(one), entry(one, 1))
    assert not is_one_play(entry(one), entry(other))
