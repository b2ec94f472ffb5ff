"""The clock of a person who moved."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from myi_pipeline.web.reads.spans import Zones, moment, zone_of, zones_of

# Over the date line to the east, and a year later home by way of the west.
TO_HONOLULU = datetime(2024, 5, 10, 6, tzinfo=UTC)
TO_BERLIN = datetime(2025, 5, 10, 6, tzinfo=UTC)
MOVED = (("Asia/Tokyo", TO_HONOLULU), ("Pacific/Honolulu", TO_BERLIN))


@pytest.mark.parametrize(
    ("at", "local"),
    [
        ("2024-05-10T05:59:59Z", "2024-05-10T14:59:59"),
        ("2024-05-10T06:00:00Z", "2024-05-09T20:00:00"),
        ("2025-05-10T05:59:59Z", "2025-05-09T19:59:59"),
        ("2025-05-10T06:00:00Z", "2025-05-10T08:00:00"),
        # An hour that comes twice in Berlin.
        ("2025-10-26T00:30:00Z", "2025-10-26T02:30:00"),
        ("2025-10-26T01:30:00Z", "2025-10-26T02:30:00"),
    ],
)
def test_a_moment_has_the_zone_of_its_time_and_leads_back(at: str, local: str) -> None:
    instant = datetime.fromisoformat(at)
    there = instant.astimezone(zones_of("Europe/Berlin", MOVED))
    assert there.replace(tzinfo=None, fold=0).isoformat() == local
    # Which of two hours in one zone it was is not told.
    assert abs(there.astimezone(UTC) - instant) in (timedelta(), timedelta(hours=1))
    if "T02:30" not in local:
        assert there.astimezone(UTC) == instant


def test_the_window_of_a_day_holds_all_of_its_moments() -> None:
    clock = zones_of("Europe/Berlin", MOVED)
    at = datetime(2024, 5, 7, tzinfo=UTC)
    while at < datetime(2024, 5, 14, tzinfo=UTC):
        day = at.astimezone(clock).date()
        assert moment(day, clock) <= at < moment(day, clock, is_end=True), at
        at += timedelta(minutes=30)
    # The ninth began in Tokyo and ended in Honolulu.
    assert moment(date(2024, 5, 9), clock) == datetime(2024, 5, 8, 15, tzinfo=UTC)
    assert moment(date(2024, 5, 9), clock, is_end=True) == datetime(2024, 5, 10, 10, tzinfo=UTC)


def test_a_window_around_a_time_that_was_left_out_loses_nothing() -> None:
    """From Honolulu to Kiritimati the clock goes on by 24 hours."""
    move = datetime(2024, 5, 13, 10, tzinfo=UTC)
    clock = zones_of("Pacific/Kiritimati", (("Pacific/Honolulu", move),))
    before, after = move - timedelta(minutes=1), move + timedelta(minutes=1)
    assert (before.astimezone(clock).day, after.astimezone(clock).day) == (12, 14)
    for at, day in ((before, date(2024, 5, 12)), (after, date(2024, 5, 14))):
        assert moment(day, clock) <= at < moment(day, clock, is_end=True)
    assert moment(date(2024, 5, 13), clock) <= move <= moment(date(2024, 5, 13), clock, is_end=True)


def test_whoever_never_moved_has_the_clock_of_one_zone() -> None:
    assert zones_of("Europe/Berlin", ()) is zone_of("Europe/Berlin")
    assert Zones("Europe/Berlin", MOVED) == Zones("Europe/Berlin", MOVED) != Zones("UTC", MOVED)
