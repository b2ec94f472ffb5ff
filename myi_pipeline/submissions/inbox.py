"""What the site does with a submission: stores it in the inbox, or records what is playing now.

The role of the site may not load plays; a process that is notified runs `submissions/drain.py`. An accepted listen is
committed before the answer is sent, so that it will be loaded even if processes are killed after that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from myi_pipeline.catalogue.plays import QuarantinedRow, digest
from myi_pipeline.submissions.listens import Listen, Submission, plays_until

# Per user: a month of heavy listening takes a megabyte. A larger backlog means that nothing drains the inbox.
MOST_WAITING_BYTES: Final = 64 * 1024 * 1024

ACCEPT: Final = (
    b"select ops.accept_listens(%(user_id)s, %(token_id)s, %(client)s, %(listen_type)s, %(listens)s, %(refused)s,"
    b" %(most_bytes)s)"
)
TELL_PLAYING: Final = b"select ops.tell_playing(%(user_id)s, %(at)s, %(until)s, %(playing)s)"


@dataclass(frozen=True, kw_only=True)
class RefusedListen:
    """A submitted listen that was refused. `listen` is the part of it that may be stored."""

    refused_at: datetime
    client: str | None
    reason: str
    detail: str
    listen: Any
    times: int


def accept_values(submission: Submission, *, user_id: int, token_id: int) -> dict[str, object]:
    """The parameters of ACCEPT, which returns whether there was room in the inbox."""
    return {
        "user_id": user_id,
        "token_id": token_id,
        "client": submission.client,
        "listen_type": submission.listen_type,
        "listens": Jsonb([listen.document() for listen in submission.listens]),
        "refused": Jsonb([_refused(row) for row in submission.refused]),
        "most_bytes": MOST_WAITING_BYTES,
    }


def playing_values(listen: Listen, *, user_id: int, now: datetime) -> dict[str, object]:
    """The parameters of TELL_PLAYING; `playing` has the same form as for Spotify (polling/now_playing.py)."""
    playing = {
        "state": "playing",
        "kind": "track",
        "title": listen.title,
        "artists": [listen.artist],
        "album": listen.album,
        "uri": listen.uri,
        "duration_ms": listen.duration_ms,
        "player": listen.client,
    }
    return {
        "user_id": user_id,
        "at": now,
        "until": plays_until(listen, now=now),
        "playing": Jsonb(playing),
    }


def _refused(row: QuarantinedRow) -> dict[str, object]:
    kept = json.dumps(row.row, sort_keys=True)
    return {
        "row_index": row.row_index,
        "reason": row.reason,
        "detail": row.detail,
        "listen": row.row,
        "digest": str(UUID(digest(row.reason, kept))),
    }
