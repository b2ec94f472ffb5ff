"""The quota of every client id, as people and scripts see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.core.quota import Bucket, QuotaLimits, allowance, is_blocked
from myi_pipeline.services.connection_pool import Connection
from myi_pipeline.warehouse.quota_ledger import read_quotas


@dataclass(frozen=True, kw_only=True)
class BucketUse:
    """One bucket of one client id. A limit of None means that only the minute bounds it."""

    client_id: str
    bucket: str
    calls_of_minute: int
    limit_of_minute: int
    calls_of_day: int
    limit_of_day: int | None
    blocked_until: datetime | None
    blocks_in_a_row: int


def show_quota(connection: Connection, *, limits: QuotaLimits, now: datetime) -> tuple[BucketUse, ...]:
    """Every bucket of every client id that was ever used. `calls_of_minute` of a bucket, `limit` of all together."""
    return tuple(
        BucketUse(
            client_id=quota.client_id,
            bucket=bucket.value,
            calls_of_minute=quota.minute.get(bucket, 0),
            limit_of_minute=allowance(limits, bucket),
            calls_of_day=quota.day.get(bucket, 0),
            limit_of_day=limits.catalogue_calls_per_day if bucket is Bucket.CATALOGUE else None,
            blocked_until=block.blocked_until if block is not None and is_blocked(block, now) else None,
            blocks_in_a_row=block.in_a_row if block is not None else 0,
        )
        for quota in read_quotas(connection, now=now)
        for bucket in Bucket
        for block in (quota.blocks.get(bucket),)
    )
