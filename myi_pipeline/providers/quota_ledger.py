"""The quota's state that all processes share: calls, and blocked buckets.

Belongs here: reading that state under a lock, and recording what core.quota decided. Not here: the decision, sleeping.
Invariant: whoever takes from a client's quota holds its row until the call is recorded, so two processes never take the
same last request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

from myi_pipeline.core.quota import DAY, LONGEST_WINDOW, Block, Bucket, DayUsage, Decision, QuotaLimits, Slot, decide
from myi_pipeline.core.quota import next_block as block_after
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]

# Older calls count nowhere; one more day is kept for whoever looks.
KEPT = timedelta(days=2)


@dataclass(frozen=True)
class Taken:
    """`was_blocked`: the bucket has an expired block, which a success takes away."""

    decision: Decision
    was_blocked: bool


@dataclass(frozen=True, kw_only=True)
class ClientQuota:
    """What one client id used: calls by bucket, in the last minute and the last 24 hours, and its blocks."""

    client_id: str
    minute: Mapping[Bucket, int] = field(default_factory=dict)
    day: Mapping[Bucket, int] = field(default_factory=dict)
    blocks: Mapping[Bucket, Block] = field(default_factory=dict)


def take(connection: Connection, client_id: str, bucket: Bucket, *, limits: QuotaLimits, now: datetime) -> Taken:
    """Take one request, if there is one. One short transaction."""
    with connection.transaction():
        _hold(connection, client_id)
        block = _blocks(connection, client_id).get(bucket)
        rows = connection.execute(
            load_sql("quota/recent_calls"), {"client_id": client_id, "since": now - LONGEST_WINDOW}
        )
        recent = [Slot(called_at, calls) for called_at, calls in rows]
        day = _day(connection, client_id, now) if bucket is Bucket.CATALOGUE else None
        decision = decide(bucket=bucket, limits=limits, recent=recent, block=block, day=day, now=now)
        if decision.retry_at is None:
            values = {"client_id": client_id, "bucket": bucket.value, "now": now}
            connection.execute(load_sql("quota/record_call"), values)
    return Taken(decision, block is not None)


def block(
    connection: Connection,
    client_id: str,
    bucket: Bucket,
    *,
    retry_after: timedelta | None,
    quota_exceeded: bool,
    now: datetime,
) -> Block:
    """Record Spotify's answer to wait. Only this bucket of this client is silent from now on."""
    with connection.transaction():
        _hold(connection, client_id)
        previous = _blocks(connection, client_id).get(bucket)
        made = block_after(previous, retry_after=retry_after, quota_exceeded=quota_exceeded, now=now)
        values = {
            "client_id": client_id,
            "bucket": bucket.value,
            "blocked_at": made.blocked_at,
            "blocked_until": made.blocked_until,
            "in_a_row": made.in_a_row,
        }
        connection.execute(load_sql("quota/record_block"), values)
    return made


def unblock(connection: Connection, client_id: str, bucket: Bucket, *, now: datetime) -> None:
    """A request went through after a block ended: the next block counts from one again. A new block stays."""
    connection.execute(
        "delete from ops.quota_blocks where client_id = %s and bucket = %s and blocked_until <= %s",
        (client_id, bucket.value, now),
    )


def clear_blocks(connection: Connection, client_id: str) -> int:
    """Forget every block of a client id, at a person's word."""
    return connection.execute("delete from ops.quota_blocks where client_id = %s", (client_id,)).rowcount


def blocked_until(connection: Connection, client_id: str, bucket: Bucket) -> datetime | None:
    """Until when a bucket is silent, if it ever was; takes nothing."""
    found = _blocks(connection, client_id).get(bucket)
    return found.blocked_until if found is not None else None


def read_quotas(connection: Connection, *, now: datetime) -> tuple[ClientQuota, ...]:
    """Every client id that ever asked, by name."""
    values = {"minute": now - timedelta(minutes=1), "day": now - DAY, "now": now}
    usage: dict[str, tuple[dict[Bucket, int], dict[Bucket, int]]] = {}
    clients = connection.execute("select client_id from ops.quota_clients order by 1").fetchall()
    for client_id, bucket, minute, day in connection.execute(load_sql("quota/usage"), values):
        in_minute, in_day = usage.setdefault(client_id, ({}, {}))
        in_minute[Bucket(bucket)], in_day[Bucket(bucket)] = int(minute), int(day)
    return tuple(
        ClientQuota(
            client_id=client_id,
            minute=usage.get(client_id, ({}, {}))[0],
            day=usage.get(client_id, ({}, {}))[1],
            blocks=_blocks(connection, client_id),
        )
        for (client_id,) in clients
    )


def prune(connection: Connection, *, now: datetime) -> int:
    """Calls that count nowhere any more."""
    return connection.execute("delete from ops.quota_calls where called_at < %s", (now - KEPT,)).rowcount


def _hold(connection: Connection, client_id: str) -> None:
    query = "select from ops.quota_clients where client_id = %s for no key update"
    if connection.execute(query, (client_id,)).fetchone() is None:
        connection.execute("insert into ops.quota_clients values (%s) on conflict do nothing", (client_id,))
        connection.execute(query, (client_id,))


def _blocks(connection: Connection, client_id: str) -> dict[Bucket, Block]:
    rows = connection.execute(
        "select bucket, blocked_at, blocked_until, in_a_row from ops.quota_blocks where client_id = %s", (client_id,)
    ).fetchall()
    return {
        Bucket(bucket): Block(blocked_at=since, blocked_until=until, in_a_row=in_a_row)
        for bucket, since, until, in_a_row in rows
    }


def _day(connection: Connection, client_id: str, now: datetime) -> DayUsage:
    row = connection.execute(
        load_sql("quota/day_usage"), {"client_id": client_id, "since": now - DAY, "now": now}
    ).fetchone()
    assert row is not None
    total, catalogue, first, first_of_catalogue = row
    return DayUsage(
        total=int(total),
        catalogue=int(catalogue),
        first_leaves_at=first + DAY if first is not None else None,
        first_of_catalogue_leaves_at=first_of_catalogue + DAY if first_of_catalogue is not None else None,
    )
