"""Monthly partitions of raw.listening_events, created before a load needs them.

Invariant: partitions are created in short transactions of their own, never inside a load's transaction: two loads that
did so would deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Any

import psycopg

from myi_pipeline.postgres.connections import retry_conflicts

# Each new partition takes a handful of locks; Postgres' shared lock table holds a few thousand.
_MONTHS_A_TRANSACTION = 24


def _runs_of_months(months: Iterable[date]) -> list[tuple[date, date]]:
    runs: list[tuple[date, date]] = []
    length = 0
    for month in sorted({m.replace(day=1) for m in months}):
        if runs and length < _MONTHS_A_TRANSACTION:
            first, last = runs[-1]
            if (month.year * 12 + month.month) - (last.year * 12 + last.month) == 1:
                runs[-1] = (first, month)
                length += 1
                continue
        runs.append((month, month))
        length = 1
    return runs


def ensure_partitions(connection: psycopg.Connection[Any], months: Iterable[date]) -> int:
    """Create missing partitions for the given months; returns how many were created.

    The connection is in autocommit mode and has the ingest role.
    """
    made = 0
    for first, last in _runs_of_months(months):
        made += retry_conflicts(partial(_make, connection, first, last))
    return made


def _make(connection: psycopg.Connection[Any], first: date, last: date) -> int:
    row = connection.execute("select ops.ensure_event_partitions(%s, %s)", (first, last)).fetchone()
    return row[0] if row else 0
