"""The addresses of app.notice_targets and the secrets of webhooks: sealed when written, opened for sending."""

from __future__ import annotations

from uuid import UUID

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.envelope import KeyRing, Place, sealed_by

_COLUMNS = ("address", "secret", "former_secret")


def place_of(target_id: UUID, user_id: int | None, column: str) -> Place:
    """A webhook's current and former secret are sealed for the same place, since replacing one moves the other."""
    kept = "secret" if column == "former_secret" else column
    return Place("app.notice_targets", kept, user_id or 0, str(target_id))


def count_target_keys(connection: Connection) -> dict[bytes, int]:
    """How many addresses and secrets each key seals."""
    rows = connection.execute("select key_id, secrets from app.count_notice_keys()").fetchall()
    return {bytes(key): int(count) for key, count in rows}


def targets_sealed_otherwise(connection: Connection, *, key_id: bytes) -> tuple[UUID, ...]:
    """Targets with something sealed by another key."""
    rows = connection.execute(load_sql("providers/targets/sealed_otherwise"), {"key_id": key_id})
    return tuple(row[0] for row in rows)


def seal_target_again(connection: Connection, keys: KeyRing, *, target_id: UUID) -> int:
    """Seals one target's values with the first key; returns how many were sealed with another.

    Raises UnknownKey and Damaged.
    """
    with connection.transaction():
        row = connection.execute(load_sql("providers/targets/lock_target"), {"target_id": target_id}).fetchone()
        if row is None:
            return 0
        user_id, sealed, done = row[0], dict(zip(_COLUMNS, row[1:], strict=True)), 0
        for column, envelope in sealed.items():
            if envelope is None or sealed_by(envelope) == keys.sealing_id:
                continue
            place = place_of(target_id, user_id, column)
            sealed[column] = keys.seal(keys.open(envelope, place=place), place=place)
            done += 1
        # A secret that is merely sealed again is not a new one.
        connection.execute("select set_config('app.sealing_again', 'yes', true)")
        connection.execute(load_sql("providers/targets/seal_again"), {**sealed, "target_id": target_id})
    return done
