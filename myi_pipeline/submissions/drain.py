"""From the inbox to raw: each request in one transaction, with its accounting, in which it also leaves the inbox.

Killed anywhere and run again, the result is the same, and several processes may drain at once. A request that cannot be
loaded now is put off and holds no other one up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.catalogue.plays import Content
from myi_pipeline.catalogue.staging import INTERN_CONTENTS
from myi_pipeline.errors import MyiError
from myi_pipeline.postgres.connections import Connection, retry_conflicts
from myi_pipeline.postgres.sql_files import load_sql, load_statements
from myi_pipeline.postgres.wake_ups import Wake, wake
from myi_pipeline.submissions.listens import Listen, listen_of

log = structlog.get_logger(__name__)

# The names of a content are those of its latest row. What a scrobbler calls a track of Spotify's yields to all others.
_YIELDS = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Drained:
    """What one call brought in: requests, and plays that were new to raw."""

    requests: int = 0
    loaded: int = 0
    put_off: int = 0


@dataclass(frozen=True)
class _Waiting:
    submission_id: int
    user_id: int
    documents: Sequence[Mapping[str, Any]]


def drain(connection: Connection, *, most: int | None = None) -> Drained:
    """Load what waits, the oldest first, at most so many requests (None: all). For the role `ingest`, in autocommit.

    What could not be loaded is put off, and logged; only a lost connection is raised.
    """
    requests = loaded = put_off = after_id = 0
    while most is None or requests + put_off < most:
        waiting = _next(connection, after_id)
        if waiting is None:
            break
        after_id = waiting.submission_id
        try:
            new = _load(connection, waiting)
        except Exception as error:
            if connection.broken or connection.closed:
                raise
            # It may say anything: only what MYI raises itself is shown.
            reason = str(error) if isinstance(error, MyiError) else type(error).__name__
            log.error("listens_not_loaded", submission=after_id, user_id=waiting.user_id, reason=reason)
            connection.execute(load_sql("submissions/inbox/put_off"), {"submission_id": after_id, "error": reason})
            put_off += 1
            continue
        if new is not None:
            requests, loaded = requests + 1, loaded + new
    return Drained(requests=requests, loaded=loaded, put_off=put_off)


def prune(connection: Connection, *, before: datetime, refused_before: datetime) -> int:
    """Delete old lines of the log, and refused listens that did not come again; returns how many of the latter."""
    connection.execute("delete from ops.submissions where loaded_at < %s", (before,))
    return connection.execute("delete from ops.refused_listens where refused_at < %s", (refused_before,)).rowcount


def _next(connection: Connection, after_id: int) -> _Waiting | None:
    row = connection.execute(load_sql("submissions/inbox/next"), {"after_id": after_id}).fetchone()
    return _Waiting(*row) if row is not None else None


def _load(connection: Connection, waiting: _Waiting) -> int | None:
    """How many plays were new; None when another process has it."""
    listens = [listen_of(document) for document in waiting.documents]
    # In short transactions of their own: see the module.
    ensure_partitions(connection, {listen.played_at.date() for listen in listens})
    plays: dict[tuple[datetime, str | None, int | None], tuple[Listen, Content | None]] = {}
    for listen in listens:
        content = listen.content()
        plays.setdefault((listen.played_at, content.key if content else None, listen.ms_played), (listen, content))

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
                "identical": len(listens) - len(plays),
            }
            connection.execute(load_sql("submissions/inbox/finish"), {**taken, **counts})
            if loaded:
                wake(connection, Wake.CHANGES)
            return loaded

    return retry_conflicts(transaction)


def _insert(connection: Connection, waiting: _Waiting, plays: Sequence[tuple[Listen, Content | None]]) -> int:
    ids = _intern(connection, plays, batch_id=waiting.submission_id)
    contexts = [listen.context() for listen, _ in plays]
    told = {context.key: context.platform for context in contexts if context is not None}
    if told:
        rows = [{"context_key": key, "platform": platform} for key, platform in told.items()]
        connection.execute(load_sql("submissions/inbox/intern_contexts"), {"contexts": Jsonb(rows)})
    values = {
        "user_id": waiting.user_id,
        "submission_id": waiting.submission_id,
        "played_at": [listen.played_at for listen, _ in plays],
        "content_id": [ids[content.key] if content is not None else None for _, content in plays],
        "context_key": [context.key if context is not None else None for context in contexts],
        "ms_played": [listen.ms_played for listen, _ in plays],
    }
    return connection.execute(load_sql("submissions/inbox/insert_plays"), values).rowcount


def _intern(connection: Connection, plays: Sequence[tuple[Listen, Content | None]], *, batch_id: int) -> dict[str, int]:
    """Content key -> content_id. Nothing is locked where none of it is news."""
    told = [(content, listen.played_at) for listen, content in plays if content is not None]
    if not told:
        return {}
    rows = {"contents": Jsonb([_row(content, played_at) for content, played_at in told])}
    known = connection.execute(load_sql("submissions/inbox/known_contents"), rows).fetchall()
    if len(known) == len(told):
        return _ids(known)
    for name in ("submissions/inbox/stage_contents", *INTERN_CONTENTS):
        for statement in load_statements(name):
            placed = statement.replace("{load}", "pg_temp.submitted")
            connection.execute(placed, {**rows, "batch_id": batch_id} if "%(" in placed else None)
    return _ids(
        connection.execute(
            "select c.content_key, c.content_id from raw.contents as c"
            " inner join pg_temp.submitted_contents as s on s.content_key = c.content_key"
        )
    )


def _ids(rows: Any) -> dict[str, int]:
    return {key.hex: int(content_id) for key, content_id in rows}


def _row(content: Content, played_at: datetime) -> dict[str, Any]:
    return {
        "content_key": content.key,
        "kind_id": content.kind,
        "uri": content.uri,
        "title": content.title,
        "creator": content.creator,
        "collection": content.collection,
        "match_title": content.match_title,
        "match_key": content.match_key,
        "artist_key": content.artist_key,
        "album_key": content.album_key,
        "isrc": content.isrc,
        "recording_mbid": content.recording_mbid,
        "duration_ms": content.duration_ms,
        "played_at": (played_at if content.uri is None else _YIELDS).isoformat(),
    }
