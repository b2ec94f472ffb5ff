"""Requests that are carried out once, however often they arrive, by their Idempotency-Key.

The effect and the answer are committed together. A second request with the same key waits for the first one. Refusals
are not stored, since they changed nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from myi_pipeline.errors import BadInput
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user, set_user

KEPT_FOR = timedelta(hours=24)
LONGEST_KEY = 128


class KeyReused(BadInput):
    """The key belongs to another request of this user."""


@dataclass(frozen=True, kw_only=True)
class KeptAnswer:
    """`status`: HTTP status of a successful answer. `body`: JSON."""

    status: int
    body: str
    location: str | None = None


def answer_once(
    connection: Connection,
    work: Callable[[Connection], KeptAnswer],
    *,
    user_id: int,
    key: str,
    fingerprint: bytes,
    now: datetime,
) -> tuple[KeptAnswer, bool]:
    """Runs `work` in one transaction, or returns its earlier answer to the same request; and which of the two.

    `fingerprint`: 32 bytes that identify the request. Raises KeyReused, and what `work` raises.
    """
    values = {
        "user_id": user_id, "key": key, "fingerprint": fingerprint, "now": now, "forgotten": now - KEPT_FOR,
    }  # fmt: skip
    with as_user(connection, user_id):
        if connection.execute(load_sql("people/answers/claim"), values).fetchone() is None:
            return _kept(connection, user_id=user_id, key=key, fingerprint=fingerprint), True
        answer = work(connection)
        # `work` may have switched to another user; this row belongs to the sender.
        set_user(connection, user_id)
        made = {"status": answer.status, "location": answer.location, "body": answer.body}
        connection.execute(load_sql("people/answers/keep"), {**made, "user_id": user_id, "key": key})
        return answer, False


def _kept(connection: Connection, *, user_id: int, key: str, fingerprint: bytes) -> KeptAnswer:
    found = connection.execute(
        "select fingerprint from app.kept_answers where user_id = %s and idempotency_key = %s", (user_id, key)
    ).fetchone()
    if found is None or bytes(found[0]) != fingerprint:
        raise KeyReused("this Idempotency-Key was used for another request", place="Idempotency-Key")
    with connection.cursor(row_factory=class_row(KeptAnswer)) as cursor:
        answer = cursor.execute(
            "select status, body, location from app.kept_answers where user_id = %s and idempotency_key = %s",
            (user_id, key),
        ).fetchone()
    assert answer is not None
    return answer


def prune(connection: Connection, *, now: datetime) -> int:
    """Deletes expired answers; returns how many. For the role `ingest`."""
    return connection.execute("delete from app.kept_answers where kept_at <= %s", (now - KEPT_FOR,)).rowcount
