"""Whoever listens now is read every day, whoever was away less often, nobody after a week of silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.polling.top_items import is_due, refresh_due_at

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("seen_hours_ago", "hours"), [(0, 24), (48, 24), (49, 72), (168, 72), (169, None), (5_000, None)]
)
def test_the_tier_follows_from_the_last_time_seen(seen_hours_ago: int, hours: int | None) -> None:
    refreshed = NOW - 5 * HOUR
    due = refresh_due_at(seen_at=NOW - seen_hours_ago * HOUR, refreshed_at=refreshed, now=NOW)
    assert due == (None if hours is None else refreshed + hours * HOUR)


def test_whoever_was_never_read_is_due_at_once() -> None:
    assert is_due(seen_at=NOW, refreshed_at=None, retry_at=None, now=NOW)
    assert not is_due(seen_at=NOW - timedelta(days=8), refreshed_at=None, retry_at=None, now=NOW)


def test_a_failure_puts_it_off() -> None:
    assert not is_due(seen_at=NOW, refreshed_at=None, retry_at=NOW + HOUR, now=NOW)
    assert is_due(seen_at=NOW, refreshed_at=None, retry_at=NOW, now=NOW)


def test_runs_that_drift_by_minutes_skip_no_hour() -> None:
    start = NOW - 24 * HOUR
    assert is_due(seen_at=NOW, refreshed_at=start + timedelta(minutes=10), retry_at=None, now=NOW)
    assert not is_due(seen_at=NOW, refreshed_at=start + timedelta(minutes=40), retry_at=None, now=NOW)
