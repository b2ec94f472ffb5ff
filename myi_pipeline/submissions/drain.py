"""Loads submitted listens from the inbox into raw. Each request is loaded, accounted for and removed in one
transaction.

The result is the same if this is killed at any point and run again, and several processes may drain concurrently. A
request that cannot be loaded now is postponed and does not block others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.catalogue.plays import PlayRecord, Source
from myi_pipeline.catalogue.scrobbles import intern_scrobbled
from myi_pipeline.errors import MyiError
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.submissions.listens import listen_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Drained:
    """The result of a call: requests loaded, plays new to raw, requests postponed. `is_done`: nothing is waiting."""

    requests: int = 0
    loaded: int = 0
    put_off: int = 0
    is_done: bool = True


@dataclass(frozen=True)
class _Waiting:
    submission_id: int
    user_id: int
    documents: Sequence[Mapping[str, Any]]


def drain(
    connection: Connection, *, at_most_s: float | None = None, clock: Callable[[], float] = time.monotonic
) -> Drained:
    """Load waiting requests, oldest first, and start no more after `at_most_s` seconds (None: load all). For the role
    `ingest`, in autocommit.

    Failures are logged, and their requests postponed; only the loss of the connection raises.
    """
    requests = loaded = put_off = after_id = 0
    began, is_done = clock(), True
    while True:
        if at_most_s is not None and clock() - began >= at_most_s:
            is_done = False
            break
        waiting = _next(connection, after_id)
        if waiting is None:
            break
        after_id = waiting.submission_id
        try:
            new = _load(connection, waiting)
        except Exception as error:
            if connection.broken or connection.closed:
                raise
            # Texts of other errors may contain anything, so only those of MYI are shown.
            reason = str(error) if isinstance(error, MyiError) else type(error).__name__
            log.error("listens_not_loaded", submission=after_id, user_id=waiting.user_id, reason=reason)
            connection.execute(load_sql("submissions/inbox/put_off"), {"submission_id": after_id, "error": reason})
            put_off += 1
            continue
        if new is not None:
            requests, loaded = requests + 1, loaded + new
    return Drained(requests=requests, loaded=loaded, put_off=put_off, is_done=is_done)


def prune(connection: Connection, *, before: datetime, refused_before: datetime) -> int:
    """Delete old log entries, and refused listens not sent again since; returns the number of the latter."""
    connection.execute("delete from ops.submissions where loaded_at < %s", (before,))
    return connection.execute("delete from ops.refused_listens where refused_at < %s", (refused_before,)).rowcount


def _next(connection: Connection, after_id: int) -> _Waiting | None:
    row = connection.execute(load_sql("submissions/inbox/next"), {"after_id": after_id}).fetchone()
    return _Waiting(*row) if row is not None else None


def _load(connection: Connection, waiting: _Waiting) -> int | None:
    """The number of new plays; None if another process has taken the request."""
    records = [listen_of(document).record() for document in waiting.documents]
    # In short transactions of their own: see catalogue/event_partitions.py.
    ensure_partitions(connection, {record.played_at.date() for record in records})
    plays: dict[tuple[datetime, str | None, int | None], PlayRecord] = {}
    for record in records:
        key = record.content.key if record.content is not None else None
        plays.setdefault((record.played_at, key, record.ms_played), record)

    def transaction() -> int | None:
        with connection.transaction():
            taken = {"submission_id": waiting.submission_id}
            if connection.execute(load_sql("submissions/inbox/take"), taken).fetchone() is None:
                return None
            loaded = _insert(connection, waiting, list(plays.values())) if plays else 0
            connection.execute(load_sql("submissions/inbox/keep_refused"), taken)
            counts = {
                "loaded": loaded,
                "present": len(plays) - loaded,
                "identical": len(records) - len(plays),
            }
            connection.execute(load_sql("submissions/inbox/finish"), {**taken, **counts})
            if loaded:
                wake(connection, Wake.CHANGES)
            return loaded

    return retry_conflicts(transaction)


def _insert(connection: Connection, waiting: _Waiting, plays: Sequence[PlayRecord]) -> int:
    # In this transaction, as nothing would remove names without a play.
    ids = intern_scrobbled(connection, plays, batch_id=waiting.submission_id)
    contexts = [play.context for play in plays]
    platforms = {context.key: context.platform for context in contexts if context is not None}
    if platforms:
        rows = [{"context_key": key, "platform": platform} for key, platform in platforms.items()]
        connection.execute(load_sql("submissions/inbox/intern_contexts"), {"contexts": Jsonb(rows)})
    values = {
        "user_id": waiting.user_id,
        "source": Source.SUBMITTED_LISTENS,
        "submission_id": waiting.submission_id,
        "played_at": [play.played_at for play in plays],
        "content_id": [ids[play.content.key] if play.content is not None else None for play in plays],
        "context_key": [context.key if context is not None else None for context in contexts],
        "ms_played": [play.ms_played for play in plays],
    }
    return connection.execute(load_sql("submissions/inbox/insert_plays"), values).rowcount
