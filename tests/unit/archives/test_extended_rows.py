"""What the keys of an extended history mean, and which rows are refused with which reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from myi_pipeline.archives.files import rows as rows_module
from myi_pipeline.archives.files.fields import OTHER, Tally
from myi_pipeline.archives.files.json_rows import TooDeep
from myi_pipeline.archives.files.spotify_rows import EXTENDED_KEYS, FLAG_KEYS, AccountRows, ExtendedRows
from myi_pipeline.catalogue.plays import Content, ContentKind, PlayRecord, QuarantinedRow, make_content, make_context
from myi_pipeline.catalogue.row_rules import MAX_KEPT_BYTES, PERSONAL_KEYS

NO_TRACK: dict[str, Any] = {
    "master_metadata_track_name": None,
    "master_metadata_album_artist_name": None,
    "master_metadata_album_album_name": None,
    "spotify_track_uri": None,
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_row_becomes_a_play_with_every_field(rows_of, row) -> None:
    (play,) = rows_of(
        row(shuffle=True, skipped=False, offline=True, incognito_mode=True, offline_timestamp=1_589_702_000)
    ).plays
    assert play == PlayRecord(
        row_index=0,
        played_at=at("2020-05-17 08:09:10"),
        content=make_content(
            kind=ContentKind.TRACK,
            uri="spotify:track:0000000000000000000001",
            title="Song",
            creator="Band",
            collection="Record",
        ),
        ms_played=180_000,
        context=make_context(platform="ios", conn_country="SE", reason_start="clickrow", reason_end="trackdone"),
        offline_at=at("2020-05-17 07:53:20"),
        shuffle=True,
        skipped=False,
        offline=True,
        incognito=True,
    )
    assert type(play) is PlayRecord
    assert play.played_at.tzinfo is UTC


def test_missing_keys_are_the_same_as_null(rows_of) -> None:
    (play,) = rows_of({"ts": "2020-05-17T08:09:10Z"}).plays
    assert play == PlayRecord(0, at("2020-05-17 08:09:10"), None, None, None, None, None, None, None, None)


def test_empty_text_is_the_same_as_null(rows_of, row) -> None:
    played, same = rows_of(
        row(reason_start="", reason_end=None, master_metadata_album_album_name=""),
        row(reason_start=..., reason_end="", master_metadata_album_album_name=None),
    ).plays
    assert played.context == same.context
    assert played.context.reason_start is None
    assert played.content == same.content
    assert played.content.collection is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-05-17T08:09:10Z", "2020-05-17 08:09:10"),
        ("2020-05-17T08:09:10.25Z", "2020-05-17 08:09:10.250000"),
        ("2020-05-17T08:09:10.123456789Z", "2020-05-17 08:09:10.123456"),
        ("2020-05-17T10:09:10+02:00", "2020-05-17 08:09:10"),
        ("2020-05-16T23:39:10-0830", "2020-05-17 08:09:10"),
        ("2020-05-17 08:09:10", "2020-05-17 08:09:10"),
        ("2020-05-17 08:09:10 UTC", "2020-05-17 08:09:10"),
        ("2020-05-17T08:09", "2020-05-17 08:09:00"),
        ("2006-01-01T00:00:00Z", "2006-01-01 00:00:00"),
        ("2024-02-29T23:59:59Z", "2024-02-29 23:59:59"),
        ("2026-11-22T11:59:59Z", "2026-11-22 11:59:59"),
    ],
)
def test_times_are_read_to_utc(text: str, moment: str, rows_of, row) -> None:
    (play,) = rows_of(row(ts=text)).plays
    assert play.played_at == at(moment)
    assert play.played_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (..., "missing_timestamp"),
        (None, "missing_timestamp"),
        ("", "bad_timestamp"),
        ("yesterday", "bad_timestamp"),
        ("2020-13-01T00:00:00Z", "bad_timestamp"),
        ("2021-02-29T00:00:00Z", "bad_timestamp"),
        ("2020-05-17T24:00:00Z", "bad_timestamp"),
        ("2020-05-17T08:09:60Z", "bad_timestamp"),
        ("2020-05-17", "bad_timestamp"),
        ("2020-W20-7T08:09:10Z", "bad_timestamp"),
        ("20200517T080910.000Z", "bad_timestamp"),
        ("\uff12\uff10\uff12\uff10-05-17T08:09:10Z", "bad_timestamp"),
        ("2020-05-17T08:09:10+99:99", "bad_timestamp"),
        ("9999-12-31T23:59:59-12:00", "bad_timestamp"),
        ("0001-01-01T00:00:00+12:00", "bad_timestamp"),
        (1_589_702_950, "bad_timestamp"),
        (True, "bad_timestamp"),
        (["2020-05-17T08:09:10Z"], "bad_timestamp"),
        (list("2020-05-17T08:09:10Z"), "bad_timestamp"),
        ({str(number): 1 for number in range(20)}, "bad_timestamp"),
        ("2005-12-31T23:59:59Z", "too_early"),
        ("1970-01-01T00:00:00Z", "too_early"),
        ("2026-11-22T12:00:00Z", "in_the_future"),
        ("2099-01-01T00:00:00Z", "in_the_future"),
    ],
)
def test_a_row_whose_time_cannot_be_is_refused(value: object, reason: str, rows_of, row) -> None:
    outcome = rows_of(row(ts=value), row())
    assert outcome.reasons == [reason]
    assert [play.row_index for play in outcome.plays] == [1]
    assert outcome.refused[0].row_index == 0
    assert outcome.refused[0].detail.endswith(".")


@pytest.mark.parametrize(
    ("json_value", "expected"),
    [("0", 0), ("1234", 1234), ("1234.0", 1234), ("1.234e3", 1234), ("2147483647", 2_147_483_647), ("null", None)],
)
def test_whole_milliseconds_are_taken_however_they_are_written(json_value, expected, tmp_path, read) -> None:
    path = tmp_path / "endsong_0.json"
    path.write_text(f'[{{"ts": "2020-05-17T08:09:10Z", "ms_played": {json_value}}}]')
    (play,) = read(path).plays
    assert play.ms_played == expected
    assert type(play.ms_played) is type(expected)


@pytest.mark.parametrize(
    "json_value",
    [
        "-1",
        "2147483648",
        "2147483647.5",
        "1e999999",
        "1e99999999999999999999",
        "9" * 5000,
        "NaN",
        '"3 minutes"',
        '""',
        "true",
        "[]",
        "{}",
    ],
)
def test_other_milliseconds_are_refused(json_value: str, tmp_path, read) -> None:
    path = tmp_path / "endsong_0.json"
    path.write_text(f'[{{"ts": "2020-05-17T08:09:10Z", "ms_played": {json_value}}}]')
    outcome = read(path)
    assert outcome.reasons == ["bad_ms_played"]
    json.dumps(outcome.refused[0].row, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_589_702_000, "2020-05-17 07:53:20"),
        (1_589_702_000_123, "2020-05-17 07:53:20.123"),
        (0, None),
        (None, None),
        (1_000_000_000, None),  # 2001
        (1_589_900_000, None),  # two days after the play
        (1_589_702_950 + 86_400, "2020-05-18 08:09:10"),
        (-5, None),
        (10**30, None),
    ],
)
def test_offline_times_come_in_seconds_and_milliseconds(value, expected, rows_of, row) -> None:
    (play,) = rows_of(row(offline_timestamp=value)).plays
    assert play.offline_at == (at(expected) if expected else None)


EPISODE = {
    "spotify_episode_uri": "spotify:episode:1",
    "episode_name": "Episode",
    "episode_show_name": "Show",
}
CHAPTER = {
    "audiobook_title": "Book",
    "audiobook_uri": "spotify:show:b",
    "audiobook_chapter_uri": "spotify:chapter:c",
    "audiobook_chapter_title": "Chapter",
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (NO_TRACK, None),
        ({**NO_TRACK, "spotify_track_uri": "", "master_metadata_track_name": ""}, None),
        ({**NO_TRACK, "spotify_track_uri": "spotify:track:1"}, (1, "spotify:track:1", None, None, None)),
        ({"spotify_track_uri": None}, (1, None, "Song", "Band", "Record")),
        ({"spotify_track_uri": None, "master_metadata_track_name": None}, (1, None, None, "Band", "Record")),
        ({**NO_TRACK, **EPISODE}, (2, "spotify:episode:1", "Episode", None, "Show")),
        ({**NO_TRACK, "episode_show_name": "Show"}, (2, None, None, None, "Show")),
        ({**NO_TRACK, **CHAPTER}, (3, "spotify:chapter:c", "Chapter", None, "Book")),
        ({**NO_TRACK, **CHAPTER, "audiobook_chapter_uri": None}, (3, None, "Chapter", None, "Book")),
        (
            {**NO_TRACK, "audiobook_uri": "spotify:show:b", "audiobook_title": "Book"},
            (3, "spotify:show:b", None, None, "Book"),
        ),
        (EPISODE | CHAPTER, (1, "spotify:track:0000000000000000000001", "Song", "Band", "Record")),
        ({**NO_TRACK, **EPISODE, **CHAPTER}, (2, "spotify:episode:1", "Episode", None, "Show")),
        (
            {"spotify_track_uri": "spotify:episode:9"},
            (2, "spotify:episode:9", "Song", None, "Record"),
        ),
        (
            {**NO_TRACK, "spotify_track_uri": "spotify:local:The+Band:Some%20Record:My+Song%3A+1:215"},
            (1, "spotify:local:The+Band:Some%20Record:My+Song%3A+1:215", "My Song: 1", "The Band", "Some Record"),
        ),
        (
            {**NO_TRACK, "spotify_track_uri": "spotify:local:::%00:1"},
            (1, "spotify:local:::%00:1", "\ufffd", None, None),
        ),
        ({**NO_TRACK, "spotify_track_uri": "spotify:local:x"}, (1, "spotify:local:x", None, None, None)),
        (
            {"master_metadata_album_artist_name": "Unknown Artist", "master_metadata_track_name": "Unknown Track"},
            (1, "spotify:track:0000000000000000000001", None, None, "Record"),
        ),
        (
            {
                "spotify_track_uri": None,
                "master_metadata_album_artist_name": "Unknown Artist",
                "master_metadata_track_name": "Unknown Track",
                "master_metadata_album_album_name": "Unknown Album",
            },
            None,
        ),
        (
            {"master_metadata_album_album_name": "unknown album"},
            (1, "spotify:track:0000000000000000000001", "Song", "Band", None),
        ),
        (
            {"master_metadata_track_name": "a\0b\ud800c"},
            (1, "spotify:track:0000000000000000000001", "a\ufffdb\ufffdc", "Band", "Record"),
        ),
    ],
)
def test_what_a_row_was_about(changes, expected, rows_of, row) -> None:
    (play,) = rows_of(row(**changes)).plays
    content = play.content
    found = content and (content.kind, content.uri, content.title, content.creator, content.collection)
    assert found == expected
    if content:
        assert type(content) is Content
        assert content == make_content(
            kind=ContentKind(content.kind),
            uri=content.uri,
            title=content.title,
            creator=content.creator,
            collection=content.collection,
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"spotify_track_uri": {}},
        {"spotify_track_uri": None, "master_metadata_track_name": ["Song"]},
        {"spotify_track_uri": None, "master_metadata_album_artist_name": True},
        {"spotify_track_uri": {}, "master_metadata_track_name": {"a": 1}},
        {**NO_TRACK, "episode_name": 1.5},
        {**NO_TRACK, "audiobook_chapter_title": ["x"]},
    ],
)
def test_a_row_whose_content_cannot_be_told_for_a_field_of_the_wrong_type_is_refused(changes, rows_of, row) -> None:
    outcome = rows_of(row(), row(**changes), row())
    assert outcome.reasons == ["bad_type"]
    assert [play.row_index for play in outcome.plays] == [0, 2]


@pytest.mark.parametrize("value", [1.5, True, ["trackdone"], {}, "x" * 2_001])
@pytest.mark.parametrize(
    "key",
    [
        "master_metadata_track_name", "master_metadata_album_album_name",
        "platform", "conn_country", "reason_end", "shuffle", "skipped", "offline", "incognito_mode",
        "offline_timestamp",
    ],
)  # fmt: skip
def test_a_field_that_the_play_can_do_without_is_left_out_and_counted(key: str, value, rows_of, row) -> None:
    if (isinstance(value, bool) and key in FLAG_KEYS) or (value == 1.5 and key == "offline_timestamp"):
        value = "perhaps"
    outcome = rows_of(row(), row(**{key: value}), row(**{key: value}), row())
    assert outcome.reasons == []
    assert outcome.unknown_keys == {f"{key} (unreadable)": 2}
    whole, odd, again, _ = outcome.plays
    assert (odd.played_at, odd.ms_played, odd.content.uri) == (whole.played_at, whole.ms_played, whole.content.uri)
    assert odd == again._replace(row_index=1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shuffle": "true", "skipped": 1, "offline": "False", "incognito_mode": 0}, (True, True, False, False)),
        ({"shuffle": None, "skipped": "0", "offline": " TRUE ", "incognito_mode": "1"}, (None, False, True, True)),
    ],
)
def test_flags_are_read_in_other_spellings(changes, expected, rows_of, row) -> None:
    (play,) = rows_of(row(**changes)).plays
    assert (play.shuffle, play.skipped, play.offline, play.incognito) == expected


@pytest.mark.parametrize(("value", "expected"), [("180000", 180_000), (" 180000.4", 180_000), (0.5, 0), (1.5, 2)])
def test_milliseconds_are_read_in_other_spellings(value, expected: int, rows_of, row) -> None:
    (play,) = rows_of(row(ms_played=value)).plays
    assert play.ms_played == expected


def test_a_title_that_is_a_number_is_its_digits(rows_of, row) -> None:
    number, text = rows_of(row(master_metadata_track_name=1989), row(master_metadata_track_name="1989")).plays
    assert number.content == text.content


@pytest.mark.parametrize("key", ["master_metadata_track_name", "spotify_track_uri"])
def test_a_row_whose_content_cannot_be_told_for_text_that_is_too_long_is_refused(key: str, rows_of, row) -> None:
    without_uri = {"spotify_track_uri": None}
    outcome = rows_of(row(**without_uri | {key: "x" * 2_000}), row(**without_uri | {key: "x" * 2_001}))
    assert outcome.reasons == ["text_too_long"]
    assert len(json.dumps(outcome.refused[0].row)) < MAX_KEPT_BYTES
    assert rows_of(row(**without_uri | {key: "x" * 50}), max_text_chars=49).reasons == ["text_too_long"]


@pytest.mark.parametrize("value", [None, 1, "text", [], [{"ts": "2020-05-17T08:09:10Z"}], True, 1.5])
def test_a_row_that_is_no_object_is_refused(value: object, rows_of) -> None:
    assert rows_of(value).reasons == ["not_an_object"]


def test_a_row_that_is_nested_too_deeply_is_refused_alone(tmp_path, read, row) -> None:
    path = tmp_path / "endsong_0.json"
    good = json.dumps(row())
    path.write_text(f'[{good}, {{"username": "me", "a": {"[" * 20_000}{"]" * 20_000}}}, {good}]')
    outcome = read(path)
    assert outcome.refused == [QuarantinedRow(1, "nested", "The row is nested too deeply.", None)]
    assert [play.row_index for play in outcome.plays] == [0, 2]


def test_unknown_keys_are_counted_and_personal_ones_are_not_unknown(rows_of, row) -> None:
    outcome = rows_of(row(), row(new_key=1, ip_addr="192.0.2.1"), row(new_key={"deep": [1]}, other_key=None))
    assert outcome.unknown_keys == {"new_key": 2, "other_key": 1}
    assert len(outcome.plays) == 3


def test_unknown_keys_are_bounded_in_number_and_length(rows_of, row) -> None:
    outcome = rows_of(*(row(**{f"key {number}\0\ud800" + "x" * 500: 1}) for number in range(20)), max_unknown_keys=5)
    assert len(outcome.unknown_keys) == 6
    assert outcome.unknown_keys[OTHER] == 15
    assert max(map(len, outcome.unknown_keys)) == 100
    "".join(outcome.unknown_keys).encode()
    assert not any("\0" in key for key in outcome.unknown_keys)


def test_user_names_leave_only_as_hashes(rows_of, row) -> None:
    outcome = rows_of(
        row(), row(username="other"), row(username=None), row(username=""), row(username=["x"]), row(username=5)
    )
    assert outcome.account_hashes == {b"hash of someone", b"hash of other"}


def test_user_names_are_bounded(rows_of, row) -> None:
    assert len(rows_of(*(row(username=f"user {number}") for number in range(300))).account_hashes) == 100


def test_no_personal_value_reaches_a_record_or_the_quarantine(rows_of, row) -> None:
    personal = {key: f"PERSONAL-{key}" for key in PERSONAL_KEYS}
    personal |= {
        "IP_ADDR": "PERSONAL-upper",
        "extra": {"Username": "PERSONAL-nested", "list": [{"ip_addr": "PERSONAL"}]},
    }
    outcome = rows_of(
        row(**personal), row(**personal, ts="never"), row(**personal, ms_played=-1), row(**personal, shuffle=3)
    )
    assert len(outcome.plays) == len(outcome.refused) == 2
    assert "PERSONAL" not in repr(outcome.plays) + repr(outcome.refused)
    assert "PERSONAL" not in "".join(outcome.unknown_keys)


def test_contents_and_contexts_are_shared_between_rows(rows_of, row) -> None:
    """A load interns each once; equal ones that are one object also take a tenth of the memory."""
    first, second, third = rows_of(row(), row(ms_played=1), row(**EPISODE)).plays
    assert first.content is second.content is third.content
    assert first.context is second.context


def test_a_full_cache_changes_nothing(rows_of, row, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(master_metadata_track_name=f"Song {number % 7}", platform=f"p{number % 5}") for number in range(60)]
    whole = rows_of(*rows).plays
    monkeypatch.setattr(rows_module, "MAX_CACHED", 3)
    assert rows_of(*rows).plays == whole


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(0, 2**31)
    | st.decimals()
    | st.just(float("inf"))
    | st.just(float("nan"))
    | st.text(st.characters(exclude_categories=[]), max_size=30)
    | st.sampled_from(
        ["2020-05-17T08:09:10Z", "2020-05-17 08:09", "spotify:local:a:b:c:d", "spotify:episode:x", "x" * 99]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    sorted(EXTENDED_KEYS | {"endTime", "msPlayed", "trackName", "artistName", "podcastName", "chapterName"})
)
WILD_ROW = st.dictionaries(KEYS | st.text(max_size=9), ANYTHING, max_size=12)
NEARLY = WILD_ROW.map(lambda row: {"ts": "2020-05-17T08:09:10Z", "endTime": "2020-05-17 08:09"} | row)


def assert_storable(value: object) -> None:
    if isinstance(value, str):
        assert "\0" not in value
        value.encode()
    elif isinstance(value, list | tuple):
        for entry in value:
            assert_storable(entry)
    elif isinstance(value, dict):
        for key, entry in value.items():
            assert_storable(key)
            assert_storable(entry)
    else:
        assert not isinstance(value, Decimal)


@example(rows=[{"ts": "2020-05-17T08:09:10Z", "ms_played": Decimal("NaN")}], extended=True)
@example(rows=[{"ts": "2020-05-17T08:09:10Z", "offline_timestamp": Decimal("sNaN")}], extended=True)
@given(rows=st.lists(WILD_ROW | NEARLY | ANYTHING | st.builds(TooDeep), max_size=6), extended=st.booleans())
def test_any_row_becomes_one_storable_record_or_one_quarantined_row(rows, extended) -> None:
    tally = Tally(hash_account=lambda name: name.encode(), max_keys=5)
    reader = (ExtendedRows if extended else AccountRows)(now=at("2030-01-01"), max_chars=50, tally=tally)
    results = reader.convert(rows, first=7)
    assert [result.row_index for result in results] == list(range(7, 7 + len(rows)))
    for result in results:
        assert_storable(result)
        if isinstance(result, QuarantinedRow):
            assert len(json.dumps(result.row, allow_nan=False)) <= MAX_KEPT_BYTES
            assert len(result.detail) < 200
        else:
            assert result.played_at.tzinfo is UTC
            assert result.ms_played is None or 0 <= result.ms_played < 2**31
            assert {type(flag) for flag in result[6:]} <= {bool, type(None)}
            assert result.offline_at is None or result.offline_at <= result.played_at + timedelta(days=1)
    assert len(tally.unknown_keys) <= 6


@given(rows=st.lists(NEARLY, max_size=6))
def test_a_row_means_the_same_whatever_was_read_before_it(rows) -> None:
    """The caches know a row by its raw values; 1, 1.0 and True are one key to a dict and must not be to a reader."""

    def convert(batch):
        tally = Tally(hash_account=lambda name: name.encode(), max_keys=5)
        return ExtendedRows(now=at("2030-01-01"), max_chars=50, tally=tally).convert(batch, first=0)

    together = convert(rows)
    alone = [convert([row])[0]._replace(row_index=index) for index, row in enumerate(rows)]
    assert repr(together) == repr(alone)


def test_a_quarantined_row_keeps_what_helps_within_its_bound() -> None:
    tally = Tally(hash_account=lambda name: b"", max_keys=5)
    wide = {f"key {number}": "y" * 5_000 for number in range(3_000)} | {"n": 10**30, "d": Decimal("1.50")}
    (refused,) = ExtendedRows(now=at("2030-01-01"), max_chars=50, tally=tally).convert([wide], first=0)
    assert refused.reason == "missing_timestamp"
    assert len(json.dumps(refused.row)) <= MAX_KEPT_BYTES
    assert refused.row["key 0"].startswith("yyyyyyyyyy")
    (small,) = ExtendedRows(now=at("2030-01-01"), max_chars=50, tally=tally).convert(
        [{"n": 10**30, "d": Decimal("1.50"), "deep": {"a": {"b": {"c": 1}}}}], first=0
    )
    assert small.row == {"n": str(10**30), "d": "1.50", "deep": {"a": {"b": "…"}}}
