"""The quota state shared by all processes: calls, blocked buckets, and affordable polls per day.

A process that takes from a client's quota locks its row until the call is recorded, so two processes never take the
same last request.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.quota_rules import (
    DAY,
    LONGEST_WINDOW,
    Block,
    Bucket,
    DayUsage,
    Decision,
    Learnt,
    Means,
    QuotaLimits,
    Slot,
    affordable_polls,
    decide,
    is_blocked,
    learn_from_429,
    planned_polls,
)
from myi_pipeline.providers.quota_rules import next_block as block_after

# Older calls no longer count; one more day is kept for people to look at.
KEPT = timedelta(days=2)
POLLS_SCOPE = "user-read-recently-played"


@dataclass(frozen=True)
class Taken:
    """`was_blocked`: the bucket has an expired block, which a success clears."""

    decision: Decision
    was_blocked: bool


@dataclass(frozen=True, kw_only=True)
class ClientQuota:
    """The usage of one client id: calls by bucket in the last minute and 24 hours, its blocks, and its means."""

    client_id: str
    minute: Mapping[Bucket, int] = field(default_factory=dict)
    day: Mapping[Bucket, int] = field(default_factory=dict)
    blocks: Mapping[Bucket, Block] = field(default_factory=dict)
    means: Means


def take(connection: Connection, client_id: str, bucket: Bucket, *, limits: QuotaLimits, now: datetime) -> Taken:
    """Takes one request if one is left, in one short transaction."""
    with connection.transaction():
        _hold(connection, client_id)
        block = _blocks(connection, client_id).get(bucket)
        rows = connection.execute(
            load_sql("providers/quota/recent_calls"), {"client_id": client_id, "since": now - LONGEST_WINDOW}
        )
        recent = [] if bucket is Bucket.TOKENS else [Slot(called_at, calls) for called_at, calls in rows]
        day = _day(connection, client_id, now) if bucket in (Bucket.CATALOGUE, Bucket.NOW_PLAYING) else None
        decision = decide(bucket=bucket, limits=limits, recent=recent, block=block, day=day, now=now)
        if decision.retry_at is None:
            values = {"client_id": client_id, "bucket": bucket.value, "now": now}
            connection.execute(load_sql("providers/quota/record_call"), values)
    return Taken(decision, block is not None)


def block(
    connection: Connection,
    client_id: str,
    bucket: Bucket,
    *,
    limits: QuotaLimits,
    retry_after: timedelta | None,
    quota_exceeded: bool,
    now: datetime,
) -> Block:
    """Records a 429; pauses only this bucket of this client. The polling pace adapts once per block."""
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
        connection.execute(load_sql("providers/quota/record_block"), values)
        if bucket is Bucket.POLLS and not (previous is not None and is_blocked(previous, now)):
            _learn(connection, client_id, limits, retry_after=retry_after, quota_exceeded=quota_exceeded, now=now)
    return made


def read_means(
    connection: Connection, client_ids: Collection[str], *, limits: QuotaLimits, now: datetime
) -> dict[str, Means]:
    """What each of these client ids can spend on polls, and has spent."""
    return {client_id: found.means(limits, now) for client_id, found in _ledgers(connection, client_ids, now).items()}


def unblock(connection: Connection, client_id: str, bucket: Bucket, *, now: datetime) -> None:
    """A request succeeded after a block ended: the next block counts from one again. A new block stays."""
    connection.execute(
        "delete from ops.quota_blocks where client_id = %s and bucket = %s and blocked_until <= %s",
        (client_id, bucket.value, now),
    )


def read_quotas(connection: Connection, *, limits: QuotaLimits, now: datetime) -> tuple[ClientQuota, ...]:
    """Every client id that ever made a request, sorted."""
    values = {"minute": now - timedelta(minutes=1), "day": now - DAY, "now": now}
    usage: dict[str, tuple[dict[Bucket, int], dict[Bucket, int]]] = {}
    clients = connection.execute("select client_id from ops.quota_clients order by 1").fetchall()
    means = read_means(connection, [client_id for (client_id,) in clients], limits=limits, now=now)
    for client_id, bucket, minute, day in connection.execute(load_sql("providers/quota/usage"), values):
        in_minute, in_day = usage.setdefault(client_id, ({}, {}))
        in_minute[Bucket(bucket)], in_day[Bucket(bucket)] = int(minute), int(day)
    return tuple(
        ClientQuota(
            client_id=client_id,
            minute=usage.get(client_id, ({}, {}))[0],
            day=usage.get(client_id, ({}, {}))[1],
            blocks=_blocks(connection, client_id),
            means=means[client_id],
        )
        for (client_id,) in clients
    )


def prune(connection: Connection, *, now: datetime) -> int:
    """Deletes calls too old to count."""
    return connection.execute("delete from ops.quota_calls where called_at < %s", (now - KEPT,)).rowcount


@dataclass(frozen=True)
class _PollLedger:
    """A client id's polls according to the database."""

    users: int
    learnt: Learnt | None
    spent: tuple[int, ...]

    def means(self, limits: QuotaLimits, now: datetime) -> Means:
        planned = planned_polls(limits, users=max(self.users, 1))
        return Means(users=self.users, polls_a_day=affordable_polls(planned, self.learnt, now), spent=self.spent)


def _ledgers(connection: Connection, client_ids: Collection[str], now: datetime) -> dict[str, _PollLedger]:
    values = {"client_ids": list(client_ids), "now": now, "scope": POLLS_SCOPE}
    return {
        client_id: _PollLedger(users, Learnt(polls, learnt_at) if learnt_at is not None else None, tuple(spent))
        for client_id, users, polls, learnt_at, spent in connection.execute(load_sql("providers/quota/means"), values)
    }


def _learn(
    connection: Connection,
    client_id: str,
    limits: QuotaLimits,
    *,
    retry_after: timedelta | None,
    quota_exceeded: bool,
    now: datetime,
) -> None:
    found = _ledgers(connection, [client_id], now)[client_id]
    learnt = learn_from_429(
        found.learnt,
        planned=planned_polls(limits, users=max(found.users, 1)),
        spent=sum(found.spent),
        retry_after=retry_after,
        quota_exceeded=quota_exceeded,
        now=now,
    )
    values = {"client_id": client_id, "polls_a_day": learnt.polls_a_day, "learnt_at": learnt.learnt_at}
    connection.execute(load_sql("providers/quota/record_learnt"), values)


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
        load_sql("providers/quota/day_usage"), {"client_id": client_id, "since": now - DAY, "now": now}
    ).fetchone()
    assert row is not None
    total, catalogue, now_playing, first, first_of_catalogue, first_of_now_playing = row
    return DayUsage(
        total=int(total),
        catalogue=int(catalogue),
        first_leaves_at=first + DAY if first is not None else None,
        first_of_catalogue_leaves_at=first_of_catalogue + DAY if first_of_catalogue is not None else None,
        now_playing=int(now_playing),
        first_of_now_playing_leaves_at=first_of_now_playing + DAY if first_of_now_playing is not None else None,
    )
