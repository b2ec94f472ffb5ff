"""The truth itself is checked on plays that can be counted by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.simulator import (
    Listener,
    TruePlay,
    expected_marts,
    write_account_archive,
    write_extended_archive,
)
from myi_pipeline.simulator.truth import DayRow, HourRow, PeriodRow, SessionRow, StreakRow, TrackKey, is_counted

ZONE = "Europe/Berlin"


def play(
    played_at: str,
    ms_played: int | None = 180_000,
    *,
    uri: str | None = "spotify:track:a",
    title: str | None = "Attic",
    creator: str | None = "Velra",
    collection: str | None = "Ledger",
    kind: str = "track",
    reason_end: str | None = "trackdone",
    source: str = "extended_history",
    number: int | None = None,
) -> TruePlay:
    return TruePlay(
        played_at=datetime.fromisoformat(played_at).replace(tzinfo=UTC),
        ms_played=ms_played,
        kind=kind,
        uri=uri,
        title=title,
        creator=creator,
        collection=collection,
        platform="android",
        conn_country="DE",
        reason_start="trackdone",
        reason_end=reason_end,
        shuffle=False,
        skipped=False,
        offline=False,
        offline_at=None,
        incognito=False,
        source=source,
        identity=None if number is None else (number,),
    )


def unknown(played_at: str, ms_played: int | None = 180_000, **told: Any) -> TruePlay:
    return play(played_at, ms_played, kind="unknown", uri=None, title=None, creator=None, collection=None, **told)


def told(played_at: str, ms_played: int = 180_000, **told: Any) -> TruePlay:
    return play(played_at, ms_played, **{"uri": None, "collection": None, "source": "account_history", **told})


def test_a_day_an_hour_and_the_periods_are_those_of_the_listener() -> None:
    late = "2021-12-31T23:30:00"  # half past midnight of the new year in Berlin, a Saturday
    marts = expected_marts([[play(late), play("2022-01-01T11:00:00", 29_999)]], time_zone=ZONE)

    day, key = date(2022, 1, 1), TrackKey("spotify:track:a", "Attic", "Velra", "Ledger")
    first, last = datetime(2021, 12, 31, 23, 30, tzinfo=UTC), datetime(2022, 1, 1, 11, tzinfo=UTC)
    assert marts.days == [DayRow(day, 2, 1, 209_999, 0, 1, 1)]
    assert marts.hours == [HourRow(day, 0, 1, 1, 180_000), HourRow(day, 12, 1, 0, 29_999)]
    assert marts.tracks == [
        PeriodRow(period, start, key, 2, 1, 209_999, first, last)
        for period, start in (
            ("all", date(1970, 1, 1)),
            ("month", date(2022, 1, 1)),
            ("week", date(2021, 12, 27)),
            ("year", date(2022, 1, 1)),
        )
    ]
    assert {row.key for row in marts.artists} == {"Velra"}
    assert {row.key for row in marts.albums} == {("Velra", "Ledger")}
    assert [(row.entity, row.first_played_at) for row in marts.firsts] == [
        ("album", first),
        ("artist", first),
        ("track", first),
    ]


def test_an_hour_that_comes_twice_in_autumn_is_one_local_hour() -> None:
    twice = [play("2021-10-31T00:30:00"), play("2021-10-31T01:30:00")]

    assert expected_marts([twice], time_zone=ZONE).hours == [HourRow(date(2021, 10, 31), 2, 2, 2, 360_000)]


def test_a_play_counts_from_thirty_seconds_or_half_of_what_is_shorter() -> None:
    assert is_counted(30_000)
    assert not is_counted(29_999)
    assert is_counted(20_000, duration_ms=40_000)
    assert not is_counted(19_999, duration_ms=40_000)
    assert not is_counted(29_999, duration_ms=400_000)
    assert not is_counted(None)


def test_a_play_of_unknown_length_is_a_play_that_does_not_count() -> None:
    (day,) = expected_marts([[play("2021-05-01T10:00:00", None)]], time_zone=ZONE).days

    assert (day.plays, day.counted_plays, day.ms_played, day.unknown_plays) == (1, 0, 0, 1)


def test_episodes_and_unknown_content_are_in_the_totals_and_in_no_list() -> None:
    plays = [unknown("2021-05-01T10:00:00"), play("2021-05-01T11:00:00", kind="episode", uri="e", creator=None)]
    marts = expected_marts([plays], time_zone=ZONE)

    assert (marts.days[0].plays, marts.days[0].distinct_tracks) == (2, 0)
    assert marts.tracks == marts.artists == marts.albums == []


def test_a_session_ends_after_more_than_thirty_minutes_of_silence() -> None:
    start = datetime(2021, 5, 1, 10, tzinfo=UTC)

    def after(minutes: float, ms_played: int | None) -> TruePlay:
        return play((start + timedelta(minutes=minutes)).replace(tzinfo=None).isoformat(), ms_played)

    plays = [
        after(0, 60_000),
        after(33, 180_000),  # starts exactly 30 min after the end before: the same session
        after(66 + 1 / 60, 180_000),  # a second more: another one
        after(96 + 1 / 60, None),  # its start is unknown: its end, 30 min later, counts
        after(127, None),  # more than 30 min
    ]
    found = expected_marts([plays], time_zone=ZONE).sessions
    ends = [play.played_at for play in plays]

    assert found == [
        SessionRow(start - timedelta(minutes=1), ends[1], 2, 2, 240_000),
        SessionRow(ends[2] - timedelta(minutes=3), ends[3], 2, 1, 180_000),
        SessionRow(ends[4], ends[4], 1, 0, 0),
    ]


def test_a_streak_is_a_run_of_local_days() -> None:
    # 22:30 UTC in summer is past midnight in Berlin.
    times = ["2021-05-01T10:00:00", "2021-05-01T22:30:00", "2021-05-03T10:00:00", "2021-05-05T10:00:00"]

    assert expected_marts([[play(time) for time in times]], time_zone=ZONE).streaks == [
        StreakRow(date(2021, 5, 1), date(2021, 5, 3), 3),
        StreakRow(date(2021, 5, 5), date(2021, 5, 5), 1),
    ]


def test_rows_equal_in_everything_are_one_play_and_twins_are_two() -> None:
    one, twin = (
        play("2021-05-01T10:00:00", number=1), play("2021-05-01T10:00:00", reason_end="remote", number=2)
    )  # fmt: skip

    assert expected_marts([[one, one]], time_zone=ZONE).total_plays == 1
    assert expected_marts([[one, twin, one]], time_zone=ZONE).total_plays == 2
    assert expected_marts([[one, twin], [one, twin], [one]], time_zone=ZONE).total_plays == 2


def test_a_removed_track_is_the_play_that_another_archive_names() -> None:
    time = "2021-05-01T10:00:00"
    named, nameless = play(time, number=1), unknown(time, number=1)

    assert [each.content for each in expected_marts([[nameless]], time_zone=ZONE).plays] == [None]
    for archives in ([[named], [nameless]], [[nameless], [named]]):
        (only,) = expected_marts(archives, time_zone=ZONE).plays
        assert only.content is not None
    assert expected_marts([[named], [unknown(time, number=2)]], time_zone=ZONE).total_plays == 2


def test_a_renamed_track_is_one_track_with_its_latest_title() -> None:
    old, new = play("2021-05-01T10:00:00"), play("2021-06-01T10:00:00", title="Attic (Remastered)")

    for archives in ([[old], [new]], [[new], [old]]):
        keys = {row.key for row in expected_marts(archives, time_zone=ZONE).tracks}
        assert keys == {TrackKey("spotify:track:a", "Attic (Remastered)", "Velra", "Ledger")}


def test_account_data_confirm_the_play_that_they_tell_too() -> None:
    extended = [play("2021-05-01T10:00:59", number=1), play("2021-05-01T10:04:01", 7, number=2)]
    account = [told("2021-05-01T10:00:00", title="Attic (edited)", number=1), told("2021-05-01T10:04:00", 7, number=3)]
    marts = expected_marts([extended, account], time_zone=ZONE)

    assert [(each.source, each.confirmed) for each in marts.plays] == [
        ("extended_history", True),
        ("account_history", False),
        ("extended_history", False),
    ]
    nameless = [unknown("2021-05-01T10:00:59", number=1)]
    (lent,) = expected_marts([nameless, account[:1]], time_zone=ZONE).plays
    assert lent.content is not None
    assert (lent.played_at, lent.content.title) == (nameless[0].played_at, "Attic (edited)")


def test_an_episode_that_account_data_tell_as_a_track_is_an_episode() -> None:
    as_track = told("2021-05-01T10:00:00", title="One", creator="The Show", number=1)
    as_episode = as_track._replace(kind="episode", creator=None, collection="The Show")
    for archives in ([[as_track], [as_episode]], [[as_episode], [as_track]]):
        (only,) = expected_marts(archives, time_zone=ZONE).plays
        assert only.content is not None
        assert only.content.kind == "episode"
    assert expected_marts([[as_track, as_episode._replace(identity=(2,))]], time_zone=ZONE).total_plays == 2


def test_a_track_without_uri_is_the_only_one_that_has_its_names() -> None:
    named = told("2021-07-01T10:00:00", title="ATTIC")
    alone = expected_marts([[play("2021-05-01T10:00:00")], [named]], time_zone=ZONE)
    other = play("2021-05-02T10:00:00", uri="spotify:track:b", collection="Ledger (Deluxe)")
    between_two = expected_marts([[play("2021-05-01T10:00:00"), other], [named]], time_zone=ZONE)

    assert {row.key.uri for row in alone.tracks if isinstance(row.key, TrackKey)} == {"spotify:track:a"}
    assert {row.key.uri for row in between_two.tracks if isinstance(row.key, TrackKey)} == {
        "spotify:track:a",
        "spotify:track:b",
        None,
    }


def test_the_sums_of_all_marts_agree(listener: Listener) -> None:
    marts = expected_marts([list(listener.plays())], time_zone=ZONE)
    tracks = [each for each in marts.plays if each.content is not None and each.content.kind == "track"]

    assert marts.total_plays == listener.spec.plays
    for rows in (marts.days, marts.hours, marts.sessions):
        assert sum(row.plays for row in rows) == marts.total_plays
        assert sum(row.ms_played for row in rows) == marts.total_ms_played
    for period in ("week", "month", "year", "all"):
        assert sum(row.plays for row in marts.tracks if row.period == period) == len(tracks)
    assert sum(streak.days for streak in marts.streaks) == len(marts.days)
    assert Counter(first.entity for first in marts.firsts) == {
        "track": sum(row.period == "all" for row in marts.tracks),
        "artist": sum(row.period == "all" for row in marts.artists),
        "album": sum(row.period == "all" for row in marts.albums),
    }


@pytest.mark.slow
def test_overlapping_archives_of_all_kinds_add_up_to_what_was_played(tmp_path: Path, listener: Listener) -> None:
    old = write_extended_archive(tmp_path / "a.zip", listener, vintage="endsong", until=date(2022, 9, 30))
    new = write_extended_archive(tmp_path / "b.zip", listener, vintage="2026", since=date(2021, 11, 1))
    account = write_account_archive(tmp_path / "c.zip", listener, until=date(2023, 12, 31))
    truth = list(listener.plays())
    for archives in ([old, new], [new, old], [old, new, account], [account, new, old]):
        marts = expected_marts(archives, time_zone=ZONE)
        assert marts.total_plays == len(truth)
        assert marts.total_ms_played == sum(play.ms_played or 0 for play in truth)
    assert sum(each.confirmed for each in marts.plays) == account.distinct
    # The property can fail: to add the archives up counts the overlap twice.
    assert old.distinct + new.distinct > len(truth)


def by_id(uri: str) -> TruePlay:
    return play("2021-05-01T10:00:00", uri=f"spotify:track:{uri}", collection=f"Album {uri}", number=1)


def test_another_id_makes_another_play_only_where_one_archive_tells_both() -> None:
    one, other = map(by_id, "12")
    for archives, plays in (
        ([[one], [other]], 1),
        ([[one, other]], 2),
        ([[one], [one, other], [other]], 2),
        ([[one], [other._replace(identity=(2,))]], 2),
    ):
        marts = expected_marts(archives, time_zone=ZONE)
        assert marts.total_plays == plays, archives
        assert marts.plays == expected_marts(archives[::-1], time_zone=ZONE).plays
