"""YouTube's days, what a migration takes of them, and whose song a video is."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from myi_pipeline.providers.youtube_music.day_quota import Kind, cost, next_reset, pacific_day, plan_migration
from myi_pipeline.providers.youtube_music.models import read_duration, split_title
from myi_pipeline.providers.youtube_music.sign_in import terms

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
A_DAY = {"units_a_day": 10_000, "searches_a_day": 100}


@pytest.mark.parametrize(
    ("now", "day", "reset"),
    [
        (datetime(2026, 11, 29, 7, 59, tzinfo=UTC), date(2026, 11, 28), datetime(2026, 11, 29, 8, tzinfo=UTC)),
        (datetime(2026, 11, 29, 8, 0, tzinfo=UTC), date(2026, 11, 29), datetime(2026, 11, 30, 8, tzinfo=UTC)),
        (datetime(2026, 7, 1, 6, 59, tzinfo=UTC), date(2026, 6, 30), datetime(2026, 7, 1, 7, tzinfo=UTC)),
        # The days on which California changes its clocks have 23 and 25 hours.
        (datetime(2026, 3, 8, 9, 0, tzinfo=UTC), date(2026, 3, 8), datetime(2026, 3, 9, 7, tzinfo=UTC)),
        (datetime(2026, 11, 1, 8, 0, tzinfo=UTC), date(2026, 11, 1), datetime(2026, 11, 2, 8, tzinfo=UTC)),
    ],
)
def test_a_day_ends_at_midnight_in_california(now: datetime, day: date, reset: datetime) -> None:
    assert (pacific_day(now), next_reset(now)) == (day, reset)


def test_reading_costs_one_unit_writing_fifty_and_searching_a_search() -> None:
    assert cost("GET", "/playlistItems") == (Kind.UNITS, 1)
    assert {cost(method, "/playlistItems") for method in ("POST", "PUT", "DELETE")} == {(Kind.UNITS, 50)}
    assert cost("GET", "/search") == (Kind.SEARCHES, 1)


def test_five_hundred_tracks_take_a_week_to_find_and_add() -> None:
    plan = plan_migration(searches=500, writes=501, now=NOW, **A_DAY)
    assert [(each.searches, each.writes) for each in plan.days] == [
        (100, 0), (100, 0), (100, 0), (100, 0), (100, 190), (0, 190), (0, 121),
    ]  # fmt: skip
    assert plan.ends_by == datetime(2026, 12, 6, 8, tzinfo=UTC)
    assert plan.sentence() == "takes 7 days, until 2026-12-06 08:00 UTC at the latest"
    assert "sign in again" in plan.sentence(login_ends_at=datetime(2026, 12, 5, tzinfo=UTC))
    assert "sign in again" not in plan.sentence(login_ends_at=datetime(2026, 12, 7, tzinfo=UTC))


def test_what_today_has_used_is_missing_from_today_alone() -> None:
    plan = plan_migration(searches=10, writes=11, now=NOW, units_used=9_900, searches_used=100, **A_DAY)
    assert [(each.searches, each.writes) for each in plan.days] == [(0, 0), (10, 11)]
    assert plan_migration(searches=0, writes=0, now=NOW, **A_DAY).sentence().startswith("done today")


@pytest.mark.parametrize("changes", [{"units_a_day": 500}, {"searches_a_day": 0}])
def test_a_day_that_holds_nothing_makes_no_plan(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is too small"):
        plan_migration(searches=1, writes=1, now=NOW, **(A_DAY | changes))


@pytest.mark.parametrize(
    ("title", "channel", "artist", "name"),
    [
        ("Amber Tide", "The Quay - Topic", "The Quay", "Amber Tide"),
        ("A - B", "The Quay - Topic", "The Quay", "A - B"),
        ("The Quay - Amber Tide", "Some Label", "The Quay", "Amber Tide"),
        ("The Quay – Amber Tide (Official Music Video)", "x", "The Quay", "Amber Tide"),
        ("The Quay - Amber Tide [Lyric Video]", "x", "The Quay", "Amber Tide"),
        ("The Quay - Amber Tide (Live at Home)", "x", "The Quay", "Amber Tide (Live at Home)"),
        ("The Quay - Amber Tide (Official Audio HD)", "x", "The Quay", "Amber Tide"),
        ("Amber Tide", "TheQuayVEVO", "TheQuay", "Amber Tide"),
        ("Jay-Z Mix", "Somebody", "Somebody", "Jay-Z Mix"),
        (" - ", "Somebody", "Somebody", "-"),
        ("Amber Tide", None, None, "Amber Tide"),
        ('The Quay - "Amber Tide"', None, "The Quay", "Amber Tide"),
    ],
)
def test_a_video_names_its_artist_in_its_title_or_its_channel(
    title: str, channel: str | None, artist: str | None, name: str
) -> None:
    assert split_title(title, channel) == (artist, name)


@pytest.mark.parametrize(
    ("value", "ms"), [("PT3M20S", 200_000), ("PT1H", 3_600_000), ("P0D", None), ("P1DT1S", 86_401_000), ("x", None)]
)
def test_a_length_is_read_and_a_stream_has_none(value: object, ms: int | None) -> None:
    assert read_duration(value) == ms


def test_a_published_app_has_logins_without_an_end() -> None:
    assert terms(is_published=True).lasts is None
    assert "7 days" not in terms(is_published=True).note
