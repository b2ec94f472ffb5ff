"""Dagster's jobs that have failed and not succeeded since, with their users.

Read from Dagster's storage, as in active_runs: no process needs Dagster for it, and what was missed is found by the
next look. A success for a range of users makes good every failure within that range.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from myi_pipeline.postgres.connections import CONNECT_TIMEOUT_S, Warehouse, compose_url, parse_url
from myi_pipeline.postgres.sql_files import load_sql

# A retry follows within a minute or two; if it fails as well, that failure is the last one.
RETRIES_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True)
class EndedRun:
    """The last end of a job for a range of users, by their keys; None: it is not about users."""

    job: str
    first: str | None
    last: str | None
    ended_at: datetime
    will_retry: bool = False


def still_failing(
    failures: Sequence[EndedRun],
    successes: Sequence[EndedRun],
    *,
    places: Mapping[str, int],
    now: datetime,
    is_told: Callable[[EndedRun], bool] = lambda _: False,
) -> tuple[EndedRun, ...]:
    """Failures without a later success.

    `places`: the order of users; those of users who are gone do not count. `is_told`: it failed before as well, and a
    retry under way makes nothing good.
    """
    return tuple(
        failure
        for failure in failures
        if (failure.first is None or {failure.first, failure.last} <= places.keys())
        and not (failure.will_retry and now - failure.ended_at < RETRIES_WITHIN and not is_told(failure))
        and not any(_makes_good(success, failure, places) for success in successes)
    )


def made_good(
    failures: Sequence[EndedRun], successes: Sequence[EndedRun], *, places: Mapping[str, int]
) -> tuple[EndedRun, ...]:
    """Failures followed by a success: not those that were pruned, or whose users no longer exist."""
    return tuple(
        failure
        for failure in failures
        if (failure.first is None or {failure.first, failure.last} <= places.keys())
        and any(_makes_good(success, failure, places) for success in successes)
    )


def _makes_good(success: EndedRun, failure: EndedRun, places: Mapping[str, int]) -> bool:
    if success.job != failure.job or success.ended_at < failure.ended_at:
        return False
    if failure.first is None or failure.last is None or success.first is None or success.last is None:
        return success.first == failure.first
    first, last = places.get(success.first), places.get(success.last)
    if first is None or last is None:
        return False
    return first <= places[failure.first] and places[failure.last] <= last


def find_failing(
    warehouse: Warehouse,
    *,
    places: Mapping[str, int],
    kept_days: int,
    now: datetime,
    is_told: Callable[[EndedRun], bool] = lambda _: False,
) -> tuple[tuple[EndedRun, ...], tuple[EndedRun, ...]]:
    """What fails, and what has succeeded since: two small statements in Dagster's storage. Raises psycopg.Error."""
    since = (now - timedelta(days=kept_days)).astimezone(UTC).replace(tzinfo=None)
    url = compose_url(parse_url(warehouse.dagster_url()))
    with closing(
        psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="myi runs")
    ) as connection:
        there = connection.execute("select to_regclass('runs') is not null").fetchone()
        if not (there and there[0]):
            return (), ()
        rows = connection.execute(load_sql("operations/dagster/failed_runs"), {"since": since}).fetchall()
        failures = [EndedRun(*row) for row in rows]
        if not failures:
            return (), ()
        values = {
            "jobs": list({each.job for each in failures}),
            "since": min(each.ended_at for each in failures).astimezone(UTC).replace(tzinfo=None),
        }
        succeeded = connection.execute(load_sql("operations/dagster/succeeded_runs"), values).fetchall()
    successes = [EndedRun(*row) for row in succeeded]
    failing = still_failing(failures, successes, places=places, now=now, is_told=is_told)
    return failing, made_good(failures, successes, places=places)
