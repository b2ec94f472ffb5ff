"""A page of the API as records: what is a play, what is quarantined, and that Postgres can hold all of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from myi_pipeline.catalogue.plays import ContentKind, PlayRecord, QuarantinedRow, make_content
from myi_pipeline.catalogue.spotify_answers import parse_played_at, play_records
from myi_pipeline.errors import UnexpectedAnswer
from myi_pipeline.providers.spotify.models import Entry, Me, PlayItem, RecentlyPlayedPage, read_list, read_one

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TRACK: dict[str, Any] = {
    "id": "4uLU6hMCjMI75M1A2tKUQC",
    "uri": "spotify:track:4uLU6hMCjMI75M1A2tKUQC",
    "name": "Song",
    "type": "track",
    "duration_ms": 200_000,
    "artists": [{"name": "First"}, {"name": "Second"}],
    "album": {"name": "Album", "artists": [{"name": "Various"}]},
    "a_field_of_tomorrow": {"x": [1]},
}


def item(played_at: object = "2026-03-01T12:00:00.123Z", **track: object) -> dict[str, Any]:
    return {"track": {**TRACK, **track}, "played_at": played_at, "context": None}


def page(*items: object) -> RecentlyPlayedPage:
    good, bad, _ = read_list(PlayItem, {"items": list(items)}, what="test")
    return RecentlyPlayedPage(tuple(Entry(index, play) for index, play in good), bad)


def one(entry: object) -> PlayRecord | QuarantinedRow:
    (record,) = play_records(page(entry), now=NOW)
    return record


def test_a_play_is_credited_to_the_tracks_first_artist_and_says_nothing_it_does_not_know() -> None:
    record = one(item())
    assert isinstance(record, PlayRecord)
    assert record.played_at == datetime(2026, 3, 1, 12, 0, 0, 123_000, tzinfo=UTC)
    assert record.content == make_content(
        kind=ContentKind.TRACK, uri=TRACK["uri"], title="Song", creator="First", collection="Album"
    )
    assert record[3:] == (None,) * 7


def test_a_content_has_the_key_that_archives_give_it() -> None:
    record = one(item())
    assert isinstance(record, PlayRecord)
    assert record.content is not None
    archived = make_content(
        kind=ContentKind.TRACK, uri=TRACK["uri"], title="Another spelling", creator="X", collection="Y"
    )
    assert record.content.key == archived.key


def test_one_bad_item_does_not_cost_the_others_and_keeps_its_place() -> None:
    records = play_records(page(item(), {"track": None, "played_at": "x"}, "nonsense", item()), now=NOW)
    assert [type(record) for record in records] == [PlayRecord, QuarantinedRow, QuarantinedRow, PlayRecord]
    assert [record.row_index for record in records] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("played_at", "reason"),
    [
        ("yesterday", "bad_timestamp"),
        ("2026-02-30T12:00:00Z", "bad_timestamp"),
        ("2005-12-31T23:59:59Z", "too_early"),
        ("2026-03-03T09:00:00Z", "in_the_future"),
        (12, "bad_timestamp"),
        ("17723664005001234", "bad_timestamp"),
        ({}, "bad_item"),
        (None, "bad_item"),
    ],
)
def test_a_time_that_cannot_be_is_quarantined(played_at: object, reason: str) -> None:
    record = one(item(played_at))
    assert isinstance(record, QuarantinedRow)
    assert record.reason == reason
    json.dumps(record.row)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-03-01T12:00:00Z", 0),
        ("2026-03-01T13:00:00.5+01:00", 500_000),
        ("2026-03-01T12:00:00", 0),
        ("2026-03-01 12:00:00.5", 500_000),
        ("1772366400", 0),
        ("1772366400500", 500_000),
        ("1772366400.5", 500_000),
    ],
)
def test_times_are_utc_to_the_millisecond(text: str, microsecond: int) -> None:
    assert parse_played_at(text) == datetime(2026, 3, 1, 12, 0, 0, microsecond, tzinfo=UTC)
    assert isinstance(one(item(text)), PlayRecord)


def test_a_time_that_comes_as_a_number_is_one() -> None:
    record = one(item(1_772_366_400_500))
    assert isinstance(record, PlayRecord)
    assert record.played_at == datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("bad", ["a\x00b", "a\ud800b"])
def test_what_postgres_cannot_hold_is_replaced(bad: str) -> None:
    record = one(item(name=bad, artists=[{"name": bad}], album={"name": bad}))
    assert isinstance(record, PlayRecord)
    assert record.content is not None
    assert {record.content.title, record.content.creator, record.content.collection} == {"a\ufffdb"}
    refused = one(item("x", name=bad))
    assert isinstance(refused, QuarantinedRow)
    assert "\x00" not in json.loads(json.dumps(refused.row))["track"]["name"]
    json.dumps(refused.row, ensure_ascii=False).encode()


def test_a_removed_track_is_a_play_of_unknown_content() -> None:
    record = one(item(uri=None, id=None, name="", artists=[], album=None))
    assert isinstance(record, PlayRecord)
    assert record.content is None


@pytest.mark.parametrize(
    ("track", "kind", "uri"),
    [
        ({"uri": None}, ContentKind.TRACK, TRACK["uri"]),
        ({"uri": "spotify:local:a:b:c:1", "id": None, "is_local": True}, ContentKind.TRACK, "spotify:local:a:b:c:1"),
        ({"uri": "spotify:episode:1", "type": "episode"}, ContentKind.EPISODE, "spotify:episode:1"),
        ({"uri": None, "id": None}, ContentKind.TRACK, None),
    ],
)
def test_kinds_follow_the_uri(track: dict[str, object], kind: ContentKind, uri: str | None) -> None:
    record = one(item(**track))
    assert isinstance(record, PlayRecord)
    assert record.content is not None
    assert (record.content.kind, record.content.uri) == (kind, uri)


def test_very_long_names_and_items_are_not_kept_whole() -> None:
    record = one(item(name="x" * 2_001))
    assert isinstance(record, PlayRecord)
    assert record.content is not None
    assert (record.content.uri, record.content.title) == (TRACK["uri"], None)
    huge = one({"track": "y" * 9_000})
    assert isinstance(huge, QuarantinedRow)
    assert huge.row == {"track": "y" * 300 + "…"}


def test_a_page_of_fifty_is_full_also_with_bad_items() -> None:
    assert page(*[item()] * 49, None).is_full
    assert not page(*[item()] * 49).is_full


def test_another_shape_is_refused_without_repeating_its_values() -> None:
    with pytest.raises(UnexpectedAnswer, match="no list of items"):
        read_list(PlayItem, {"items": "secret"}, what="test")
    with pytest.raises(UnexpectedAnswer) as caught:
        read_one(Me, {"account_id": {"secret": 1}}, what="test")
    assert "secret" not in str(caught.value)
