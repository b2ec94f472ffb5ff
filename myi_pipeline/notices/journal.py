"""The journal of deliveries: what is to be sent to whom, committed before sending, and the result.

If a process dies while sending, its rows stay leased; after the lease has expired, they are sent again with the same
id. Several processes may send at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from psycopg.rows import class_row

from myi_pipeline.notices import kinds
from myi_pipeline.notices.kinds import KINDS, Kind
from myi_pipeline.notices.pace import after_quiet, next_try
from myi_pipeline.notices.store import Notice, urgent
from myi_pipeline.notices.targets import Channel, Target, find_target, list_targets
from myi_pipeline.notices.webhooks import Outcome
from myi_pipeline.notices.words import words_of
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.postgres.user_scope import as_user

# Longer than any attempt takes.
LEASE = timedelta(minutes=3)
MOST_LISTED = 100
_AT_ONCE = 100
# Failed attempts are fewer (pace); this also counts attempts of processes that were killed.
_MOST_CLAIMS = 30
_ENDED, _TEST = "ended", "test"
# The NOTIFY channel that the sending process listens to.
CHANNEL = "myi_notices"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message to one target. Delivered, given up, or due at `due_at`; `error` is that of the last attempt."""

    delivery_id: UUID
    target_id: UUID | None
    settings_key: str | None
    user_id: int | None
    kind: str
    moment: str
    payload: str
    created_at: datetime
    due_at: datetime
    attempts: int
    tried_at: datetime | None
    delivered_at: datetime | None
    given_up_at: datetime | None
    status: int | None
    error: str | None

    @property
    def state(self) -> str:
        if self.delivered_at is not None:
            return "delivered"
        return "given_up" if self.given_up_at is not None else "waiting"


@dataclass(frozen=True, kw_only=True)
class _Untold(Notice):
    """A notice that is not completely in the journal yet, with its user's settings."""

    is_gone: bool
    time_zone: str | None
    muted: list[str]
    quiet_from: time | None
    quiet_until: time | None


@dataclass(frozen=True)
class _Receiver:
    """A target in the database, or an address in the settings."""

    target_id: UUID | None
    settings_key: str | None
    user_id: int | None
    channel: Channel
    kinds: tuple[str, ...] | None


def plan(connection: Connection, *, settings_keys: Collection[str], site_url: str, now: datetime) -> int:
    """Adds new notices to the journal for everybody who wants them; returns the number of deliveries."""
    made = 0
    while True:
        with connection.transaction(), connection.cursor(row_factory=class_row(_Untold)) as cursor:
            untold = cursor.execute(load_sql("notices/untold"), {"limit": _AT_ONCE}).fetchall()
            if not untold:
                return made
            receivers = _receivers(connection, settings_keys)
            for notice in untold:
                made += _tell(connection, notice, receivers, site_url=site_url, now=now)


def _receivers(connection: Connection, settings_keys: Collection[str]) -> list[_Receiver]:
    found = [_Receiver(None, key, None, Channel.APPRISE, None) for key in settings_keys]
    return found + [_receiver(each) for each in list_targets(connection, user_id=None) if each.stopped_at is None]


def _receiver(target: Target) -> _Receiver:
    return _Receiver(target.target_id, None, target.user_id, target.channel, target.kinds)


def _tell(
    connection: Connection, notice: _Untold, receivers: Sequence[_Receiver], *, site_url: str, now: datetime
) -> int:  # fmt: skip
    made = 0
    kind = KINDS.get(notice.kind)
    wanting = [each for each in receivers if kind is not None and wants(each, kind, notice)]
    is_over = notice.ended_at is not None and not notice.is_event
    values = {"notice_id": notice.notice_id, "now": now}
    # Earlier stages are not sent after later ones, nor anything that was over before it could be sent.
    if notice.told_stage is not None and not notice.is_event:
        connection.execute(load_sql("notices/drop_undelivered"), values)
    # If it was over before anybody was notified, its end is not sent.
    if notice.told_stage != notice.stage and not is_over:
        moment = "happened" if notice.is_event else f"began:{notice.stage}"
        for each in wanting:
            made += _insert(connection, notice, each, moment=moment, site_url=site_url, now=now)
    if is_over and notice.told_stage is not None and kind is not None and kind.tells_end and not notice.is_gone:
        told = connection.execute(load_sql("notices/who_was_told"), values).fetchall()
        known = {(row[0], row[1]) for row in told}
        for each in wanting:
            if (each.target_id, each.settings_key) in known:
                made += _insert(connection, notice, each, moment=_ENDED, site_url=site_url, now=now)
    connection.execute(
        "update ops.notices set told_stage = stage, end_told_at = %s where notice_id = %s",
        (now if notice.ended_at is not None else None, notice.notice_id),
    )
    return made


def wants(receiver: _Receiver, kind: Kind, notice: _Untold) -> bool:
    """Whether a notice is sent there: a webhook lists its kinds; for messages, the user may have muted some."""
    is_operators = receiver.user_id is None
    if not (kind.for_operator if is_operators else receiver.user_id == notice.user_id):
        return False
    if receiver.kinds is not None:
        return kind.name in receiver.kinds
    if kind.is_for_programs:
        return False
    return is_operators or receiver.channel is Channel.WEBHOOK or kind.name not in notice.muted


def _insert(
    connection: Connection, notice: _Untold, receiver: _Receiver, *, moment: str, site_url: str, now: datetime
) -> int:
    due_at = now
    is_message = receiver.channel is Channel.APPRISE and receiver.user_id is not None
    if is_message and notice.time_zone is not None and not urgent(notice.kind, notice.stage):
        due_at = after_quiet(
            now, zone=_zone(notice.time_zone), quiet_from=notice.quiet_from, quiet_until=notice.quiet_until
        )
    payload = payload_of(
        kind=notice.kind,
        at=(notice.ended_at or now) if moment == _ENDED else notice.began_at,
        state={"happened": "happened", _ENDED: "over"}.get(moment, "open"),
        notice_id=notice.notice_id,
        stage=notice.stage,
        detail=notice.detail,
        # For the user's own targets, the name is superfluous.
        user_key=notice.user_key if receiver.user_id is None else None,
        url=f"{site_url}/notices",
    )
    return _journal(
        connection, receiver, notice_id=notice.notice_id, kind=notice.kind, moment=moment, payload=payload,
        due_at=due_at, now=now,
    )  # fmt: skip


def _zone(name: str) -> tzinfo:
    """The database may have zones that this Python does not know."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def payload_of(
    *,
    kind: str,
    at: datetime,
    state: str,
    notice_id: int | None,
    stage: str,
    detail: Mapping[str, Any],
    user_key: str | None,
    url: str,
) -> str:
    """The payload for programs and messages: docs/notices.md shows one of each kind."""
    said = words_of(kind, stage=stage, detail=detail, is_over=state == "over")
    title = f"{said.title} ({user_key})" if user_key is not None else said.title
    data: dict[str, Any] = {
        "state": state,
        "notice": notice_id,
        **({"user": user_key} if user_key is not None else {}),
        **detail,
        "title": title,
        "text": said.text,
        "url": url,
    }
    document = {"type": kind, "timestamp": at.isoformat(), "data": data}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _journal(
    connection: Connection,
    receiver: _Receiver,
    *,
    notice_id: int | None,
    kind: str,
    moment: str,
    payload: str,
    due_at: datetime,
    now: datetime,
    delivery_id: UUID | None = None,
) -> int:
    values = {
        "delivery_id": delivery_id or uuid4(),
        "user_id": receiver.user_id,
        "target_id": receiver.target_id,
        "settings_key": receiver.settings_key,
        "notice_id": notice_id,
        "moment": moment,
        "kind": kind,
        "payload": payload,
        "now": now,
        "due_at": due_at,
    }
    return connection.execute(load_sql("notices/journal_delivery"), values).rowcount


def journal_test(
    connection: Connection, *, user_id: int | None, target_id: UUID, site_url: str, now: datetime
) -> UUID | None:
    """A test message to one target, sent at once by the sending process. None if there is no such target."""
    target = find_target(connection, user_id=user_id, target_id=target_id)
    if target is None:
        return None
    return _journal_test(connection, _receiver(target), acting_for=user_id, site_url=site_url, now=now)


def journal_settings_test(connection: Connection, *, settings_key: str, site_url: str, now: datetime) -> UUID:
    """The same for an address in the settings."""
    receiver = _Receiver(None, settings_key, None, Channel.APPRISE, None)
    return _journal_test(connection, receiver, acting_for=None, site_url=site_url, now=now)


def _journal_test(
    connection: Connection, receiver: _Receiver, *, acting_for: int | None, site_url: str, now: datetime
) -> UUID:
    delivery_id = uuid4()
    payload = payload_of(
        kind=kinds.TEST, at=now, state="happened", notice_id=None, stage="", detail={}, user_key=None,
        url=f"{site_url}/notices",
    )  # fmt: skip

    def write() -> None:
        _journal(
            connection, receiver, notice_id=None, kind=kinds.TEST, moment=_TEST, payload=payload, due_at=now, now=now,
            delivery_id=delivery_id,
        )  # fmt: skip
        say_so(connection)

    if acting_for is None:
        with connection.transaction():
            write()
    else:
        with as_user(connection, acting_for):
            write()
    return delivery_id


def say_so(connection: Connection) -> None:
    """Notifies the sending process that something is due."""
    connection.execute("select pg_notify(%s, '')", (CHANNEL,))


def find_deliveries(connection: Connection, wanted: Collection[UUID]) -> tuple[Delivery, ...]:
    """These deliveries, of any user."""
    values = {"user_id": None, "target_id": None, "wanted": list(wanted), "limit": len(wanted)}
    with connection.cursor(row_factory=class_row(Delivery)) as cursor:
        return tuple(cursor.execute(load_sql("notices/list_deliveries"), values).fetchall())


def list_deliveries(
    connection: Connection, *, user_id: int | None, target_id: UUID | None = None, limit: int = MOST_LISTED
) -> tuple[Delivery, ...]:
    """Newest first: of one user, or all."""
    values = {"user_id": user_id, "target_id": target_id, "wanted": None, "limit": limit}

    def read() -> tuple[Delivery, ...]:
        with connection.cursor(row_factory=class_row(Delivery)) as cursor:
            return tuple(cursor.execute(load_sql("notices/list_deliveries"), values).fetchall())

    if user_id is None:
        return read()
    with as_user(connection, user_id):
        return read()


def redeliver(
    connection: Connection, *, user_id: int | None, target_id: UUID, delivery_id: UUID, now: datetime
) -> bool:
    """Sends a delivery again with the same id. False if there is none."""
    values = {"user_id": user_id, "target_id": target_id, "delivery_id": delivery_id, "now": now}

    def write() -> bool:
        done = connection.execute(load_sql("notices/redeliver"), values).rowcount > 0
        if done:
            say_so(connection)
        return done

    if user_id is None:
        with connection.transaction():
            return write()
    with as_user(connection, user_id):
        return write()


def claim(
    connection: Connection,
    *,
    now: datetime,
    limit: int,
    of_one_user: int = MOST_LISTED,
    only: Collection[UUID] | None = None,
) -> tuple[Delivery, ...]:
    """Claims due deliveries for LEASE, and commits that. `only`: among these.

    A delivery that was claimed too often is given up: it may have killed its senders.
    """
    values = {
        "most_claims": _MOST_CLAIMS,
        "of_one_user": of_one_user,
        "now": now,
        "leased_until": now + LEASE,
        "limit": limit,
        "only": list(only) if only is not None else None,
    }
    with connection.transaction(), connection.cursor(row_factory=class_row(Delivery)) as cursor:
        connection.execute(load_sql("notices/give_up"), values)
        return tuple(cursor.execute(load_sql("notices/claim"), values).fetchall())


def note_outcome(
    connection: Connection, delivery: Delivery, outcome: Outcome, *, now: datetime, chance: Callable[[], float]
) -> None:
    """Records the result of a claimed attempt. A receiver that is gone for good is not tried again."""
    due_at = None
    if not outcome.is_taken and not outcome.is_gone:
        due_at = next_try(delivery.attempts, now=now, chance=chance, wished=outcome.retry_after)
    values = {
        "delivery_id": delivery.delivery_id,
        "now": now,
        "is_taken": outcome.is_taken,
        "is_given_up": not outcome.is_taken and due_at is None,
        "due_at": due_at,
        "status": outcome.status,
        "error": outcome.error[:300] if outcome.error is not None else None,
    }
    with connection.transaction():
        connection.execute(load_sql("notices/note_outcome"), values)
        if outcome.is_gone and delivery.target_id is not None:
            stopped = {"target_id": delivery.target_id, "now": now}
            connection.execute(
                "update app.notice_targets set stopped_at = %(now)s where target_id = %(target_id)s", stopped
            )
            connection.execute(load_sql("notices/drop_of_target"), stopped)


def count_given_up(connection: Connection, *, since: datetime) -> int:
    """Number of messages that failed for days."""
    query = "select count(*) from ops.notice_deliveries where given_up_at > %s and attempts > 1"
    row = connection.execute(query, (since,)).fetchone()
    return int(row[0]) if row is not None else 0


def next_due(connection: Connection) -> datetime | None:
    """When the next message is due."""
    row = connection.execute(load_sql("notices/next_due")).fetchone()
    return row[0] if row is not None else None
