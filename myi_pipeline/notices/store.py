"""Stored notices, and each person's settings for them.

`follow` maintains them: it may be killed at any point and run by several processes; the same findings again change
nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from myi_pipeline.errors import BadInput
from myi_pipeline.notices.comparing import Changes, Open, compare
from myi_pipeline.notices.kinds import KINDS, REST, Condition, Key, check_kinds
from myi_pipeline.notices.words import Words, words_of
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user

# Long enough for the pages; open ones are always kept.
KEPT = timedelta(days=90)
MOST_LISTED = 200
# "myin"; one process compares at a time.
_LOCK = 0x6D79696E


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One notice. `ended_at` is None while it is open; `user_id` is None for the installation's."""

    notice_id: int
    user_id: int | None
    user_key: str | None
    kind: str
    subject: str
    stage: str
    detail: dict[str, Any]
    is_event: bool
    began_at: datetime
    ended_at: datetime | None
    told_stage: str | None

    @property
    def is_open(self) -> bool:
        return self.ended_at is None

    @property
    def words(self) -> Words:
        return words_of(self.kind, stage=self.stage, detail=self.detail)


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """`muted` kinds are not sent; in the hours from `quiet_from` to `quiet_until` only urgent ones are."""

    muted: tuple[str, ...] = ()
    quiet_from: time | None = None
    quiet_until: time | None = None


def follow(
    connection: Connection,
    found: Sequence[Condition],
    *,
    asked: Collection[str],
    mended: Collection[Key],
    now: datetime,
) -> Changes:
    """Opens, moves and ends notices to match the findings.

    Kinds that were not `asked` do not end, and the end is sent only for `mended` ones.
    """
    with connection.transaction():
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        standing = _standing(connection)
        lasting = [each for each in found if not each.kind.is_event]
        resting = _resting(connection, now=now)
        changes = compare(
            standing,
            [each for each in lasting if not (each.kind.rests and each.key in resting)],
            asked=asked,
            mended=mended,
        )
        for condition in changes.begun:
            _insert(connection, condition, now=now)
        for notice_id, condition in changes.moved:
            connection.execute(
                "update ops.notices set stage = %s, detail = %s where notice_id = %s",
                (condition.stage, Jsonb(dict(condition.detail)), notice_id),
            )
        if changes.ended:
            connection.execute(
                "update ops.notices set ended_at = greatest(%s, began_at), is_gone = notice_id = any(%s)"
                " where notice_id = any(%s)",
                (now, list(changes.gone), list(changes.ended)),
            )
        events = [each for each in found if each.kind.is_event]
        known = _known_events(connection, since=min((each.since or now for each in events), default=now))
        for condition in events:
            if condition.key not in known:
                _insert(connection, condition, now=now)
    return changes


def _resting(connection: Connection, *, now: datetime) -> set[Key]:
    """Notices that ended recently and have not been opened again."""
    query = (
        "select kind, subject, user_id from ops.notices where not is_event group by kind, subject, user_id"
        " having max(ended_at) > %s and count(*) = count(ended_at)"
    )
    return set(connection.execute(query, (now - REST,)).fetchall())


def _known_events(connection: Connection, *, since: datetime) -> set[Key]:
    query = "select kind, subject, user_id from ops.notices where is_event and began_at >= %s"
    return set(connection.execute(query, (since,)).fetchall())


def _standing(connection: Connection) -> tuple[Open, ...]:
    query = "select notice_id, kind, subject, user_id, stage from ops.notices where ended_at is null"
    with connection.cursor(row_factory=class_row(Open)) as cursor:
        return tuple(cursor.execute(query).fetchall())


def _insert(connection: Connection, condition: Condition, *, now: datetime) -> None:
    values = {
        "user_id": condition.user_id,
        "kind": condition.kind.name,
        "subject": condition.subject,
        "stage": condition.stage,
        "detail": Jsonb(dict(condition.detail)),
        "is_event": condition.kind.is_event,
        "began_at": condition.since or now,
    }
    connection.execute(load_sql("notices/insert_notice"), values)


def list_notices(
    connection: Connection,
    *,
    user_id: int | None = None,
    with_past: bool = True,
    with_installation: bool = False,
    limit: int = MOST_LISTED,
) -> tuple[Notice, ...]:
    """Open ones first, then past ones, newest first: of one user, or of everybody and the installation.

    `with_installation`: also those of the installation, if row security shows them to this user.
    """
    values = {"user_id": user_id, "with_past": with_past, "with_installation": with_installation, "limit": limit}
    with _maybe_as(connection, user_id), connection.cursor(row_factory=class_row(Notice)) as cursor:
        return tuple(cursor.execute(load_sql("notices/list_notices"), values).fetchall())


@contextmanager
def _maybe_as(connection: Connection, user_id: int | None) -> Iterator[None]:
    if user_id is None:
        yield
    else:
        with as_user(connection, user_id):
            yield


def read_wishes(connection: Connection, *, user_id: int) -> Wishes:
    query = "select muted, quiet_from, quiet_until from app.notice_wishes where user_id = %s"
    with as_user(connection, user_id):
        row = connection.execute(query, (user_id,)).fetchone()
    return Wishes() if row is None else Wishes(muted=tuple(row[0]), quiet_from=row[1], quiet_until=row[2])


def store_wishes(connection: Connection, *, user_id: int, wishes: Wishes) -> None:
    """Raises BadInput for an unknown kind, or quiet hours without a start or an end."""
    check_kinds(wishes.muted, operator=False)
    if (wishes.quiet_from is None) != (wishes.quiet_until is None):
        raise BadInput("quiet hours need a start and an end", place="quiet hours")
    values = {
        "user_id": user_id,
        "muted": list(wishes.muted),
        "quiet_from": wishes.quiet_from,
        "quiet_until": wishes.quiet_until,
    }
    with as_user(connection, user_id):
        connection.execute(load_sql("notices/store_wishes"), values)


def prune(connection: Connection, *, now: datetime) -> int:
    """Deletes notices that ended long ago, with their deliveries; returns how many."""
    connection.execute("delete from ops.notice_deliveries where created_at < %s", (now - KEPT,))
    return connection.execute("delete from ops.notices where ended_at < %s", (now - KEPT,)).rowcount


def urgent(kind: str, stage: str) -> bool:
    return kind in KINDS and stage in KINDS[kind].urgent
