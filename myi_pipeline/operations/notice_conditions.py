"""Current conditions worth a notice: one small function per kind, based on the capabilities and the checks.

This module defines no rules of its own for what is wrong. A source that does not answer is left out of `asked`, so that
its notices neither begin nor end. Recovery is reported only if it is known: not for what was unlinked, paused or
removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
import structlog

from myi_pipeline.errors import MyiError
from myi_pipeline.notices import kinds
from myi_pipeline.notices.kinds import Condition, Key, Kind, Mended
from myi_pipeline.operations.active_runs import look_at_runs
from myi_pipeline.operations.backup.journal import backup_health
from myi_pipeline.operations.checks import has_ended, ledger_is_young
from myi_pipeline.operations.failed_runs import EndedRun, find_failing
from myi_pipeline.people.logins import list_logins
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.disk_space import MIB, FreeBytes, disk_guard, free_bytes
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers import token_vault
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.providers.scrobbles import Service
from myi_pipeline.settings import Settings

log = structlog.get_logger(__name__)

# Older events are not news, for a machine that was off or has been upgraded.
NEWS_FOR = timedelta(days=2)
REFRESHES_FOR = timedelta(hours=1)
_GIB = 1024**3
# Free space that counts as enough again, so that a disk at its threshold does not cause notices all day.
_ROOM_AGAIN = 1.2

_Answer = Condition | Mended


@dataclass(frozen=True)
class Conditions:
    """Current conditions, the kinds whose source answered, and what is known to be fine."""

    found: tuple[Condition, ...]
    asked: frozenset[str]
    mended: frozenset[Key] = frozenset()


@dataclass(frozen=True)
class _Asking:
    settings: Settings
    warehouse: Warehouse
    connection: Connection
    now: datetime
    users: Mapping[str, int]
    free: FreeBytes

    def rows(self, name: str, **values: object) -> list[tuple[object, ...]]:
        return self.connection.execute(load_sql(f"operations/notice_conditions/{name}"), values).fetchall()


def notice_conditions(
    settings: Settings, warehouse: Warehouse, *, now: datetime, free: FreeBytes = free_bytes
) -> Conditions:  # fmt: skip
    """A dozen small statements. Raises psycopg.Error if the warehouse does not answer at all."""
    found: list[Condition] = []
    mended: set[Key] = set()
    asked: set[str] = set()
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi notices")) as connection:
        users = dict(connection.execute("select user_key, user_id from app.users").fetchall())
        asking = _Asking(settings, warehouse, connection, now, users, free)
        for question, answered in _QUESTIONS.items():
            try:
                answers = list(question(asking))
            except (MyiError, psycopg.Error, OSError) as error:
                reason = str(error) if isinstance(error, MyiError) else type(error).__name__
                log.warning("notices_source_silent", kinds=[kind.name for kind in answered], reason=reason)
                if connection.closed or connection.broken:
                    raise
            else:
                found += [each for each in answers if isinstance(each, Condition)]
                mended |= {each.key for each in answers if isinstance(each, Mended)}
                asked |= {kind.name for kind in answered}
    return Conditions(tuple(found), frozenset(asked), frozenset(mended))


def _logins(asking: _Asking) -> Iterable[_Answer]:
    for state in list_logins(asking.connection, now=asking.now):
        user_id = asking.users.get(state.user_key)
        is_over = has_ended(state)
        if user_id is None:
            continue
        subject = f"account {state.account_id}"
        if state.warning is None and not is_over:
            if state.state == token_vault.ACTIVE:
                yield Mended(kind=kinds.LOGIN, subject=subject, user_id=user_id)
            continue
        yield Condition(
            kind=kinds.LOGIN,
            subject=subject,
            user_id=user_id,
            stage=kinds.ENDED if is_over else str(state.warning),
            detail={"account": "Spotify", "days_left": 0 if is_over else state.days_left},
        )
    for user, service, named, is_good in asking.rows("other_logins"):
        if is_good:
            yield Mended(kind=kinds.LOGIN, subject=str(named), user_id=_number(user))
            continue
        yield Condition(
            kind=kinds.LOGIN,
            subject=str(named),
            user_id=_number(user),
            stage=kinds.ENDED,
            detail={"account": _label(str(service)), "days_left": 0},
        )


def _gaps(asking: _Asking) -> Iterable[Condition]:
    for user, noted_on, gaps, reason, noted_at in asking.rows("gaps", since=asking.now - NEWS_FOR):
        yield Condition(
            kind=kinds.GAP,
            subject=f"noted on {noted_on}",
            user_id=_number(user),
            detail={"gaps": gaps, "reason": reason},
            since=_moment(noted_at),
        )


def _imports(asking: _Asking) -> Iterable[Condition]:
    rows = asking.rows("imports", since=asking.now - NEWS_FOR)
    for number, user, attempt, status, loaded, quarantined, finished_at in rows:
        if status == "failed":
            yield Condition(
                kind=kinds.IMPORT_FAILED,
                subject=f"import {number}",
                user_id=_number(user),
                detail={"import": number},
                since=_moment(finished_at),
            )
        else:
            yield Condition(
                kind=kinds.IMPORT_FINISHED,
                subject=f"import {number}, attempt {attempt}",
                user_id=_number(user),
                detail={"import": number, "new_plays": loaded, "quarantined": quarantined},
                since=_moment(finished_at),
            )


def _circuits(asking: _Asking) -> Iterable[_Answer]:
    for user, provider, account_id, opened_at, is_good in asking.rows("circuits"):
        subject = "polls" if account_id is None else f"account {account_id}"
        if is_good:
            yield Mended(kind=kinds.CIRCUIT, subject=subject, user_id=_number(user))
            continue
        yield Condition(
            kind=kinds.CIRCUIT,
            subject=subject,
            user_id=_number(user),
            detail={"account": _label(str(provider))},
            since=_moment(opened_at),
        )


def _migrations(asking: _Asking) -> Iterable[Condition]:
    for number, user, state, at in asking.rows("migrations", since=asking.now - NEWS_FOR):
        yield Condition(
            kind=kinds.MIGRATION_WAITING if state == "planned" else kinds.MIGRATION_FINISHED,
            # One that is repaired ends again.
            subject=f"migration {number}" if state == "planned" else f"migration {number}, {at:%Y-%m-%dT%H:%M:%S}",
            user_id=_number(user),
            detail={"migration": number, **({} if state == "planned" else {"state_of_migration": state})},
            since=_moment(at),
        )


def _refreshes(asking: _Asking) -> Iterable[Condition]:
    for run, is_rebuild, finished_at, user in asking.rows("refreshes", since=asking.now - REFRESHES_FOR):
        yield Condition(
            kind=kinds.REFRESHED,
            subject=f"refresh {run}",
            user_id=_number(user) if user is not None else None,
            detail={"refresh": run, "is_rebuild": is_rebuild},
            since=_moment(finished_at),
        )


def _runs(asking: _Asking) -> Iterable[_Answer]:
    query = "select subject from ops.notices where kind = %s and ended_at is null"
    told = {row[0] for row in asking.connection.execute(query, (kinds.RUN_FAILED.name,))}
    failing, good = find_failing(
        asking.warehouse,
        places=asking.users,
        kept_days=asking.settings.event_log_days,
        now=asking.now,
        is_told=lambda run: _of_run(asking, run) in told,
    )
    for run in good:
        yield Mended(kind=kinds.RUN_FAILED, subject=_of_run(asking, run))
    for run in failing:
        first, last = _users_of(asking, run)
        yield Condition(
            kind=kinds.RUN_FAILED,
            subject=_of_run(asking, run),
            detail={"job": run.job, "users": _users_between(asking, first, last)},
            since=run.ended_at,
        )


def _users_of(asking: _Asking, run: EndedRun) -> tuple[int | None, int | None]:
    """By id: a notice outlives an erased user, and must not name one."""
    first, last = (asking.users.get(key) if key is not None else None for key in (run.first, run.last))
    return first, last


def _of_run(asking: _Asking, run: EndedRun) -> str:
    first, last = _users_of(asking, run)
    return run.job if first is None or last is None else f"{run.job} of users {first} to {last}"


def _users_between(asking: _Asking, first: int | None, last: int | None) -> int | None:
    if first is None or last is None:
        return None
    return sum(first <= user_id <= last for user_id in asking.users.values())


def _pipeline(asking: _Asking) -> Iterable[_Answer]:
    ledger = ledger_is_young(asking.warehouse)
    if ledger.passed:
        yield Mended(kind=kinds.PIPELINE, subject="refreshes")
    else:
        yield Condition(kind=kinds.PIPELINE, subject="refreshes", detail={"found": _sentence(ledger.text)})
    runs = look_at_runs(asking.warehouse, now=asking.now)
    if runs.is_queue_idle:
        yield Condition(kind=kinds.PIPELINE, subject="queue", detail={"found": _sentence(runs.describe())})
    else:
        yield Mended(kind=kinds.PIPELINE, subject="queue")


def _disk(asking: _Asking) -> Iterable[_Answer]:
    guard = disk_guard(asking.settings, probe=asking.free)
    folder, left = guard.tightest()
    query = "select exists (select from ops.notices where kind = %s and ended_at is null)"
    row = asking.connection.execute(query, (kinds.DISK.name,)).fetchone()
    is_open = bool(row and row[0])
    if left < max(guard.floor_bytes, MIB) * (_ROOM_AGAIN if is_open else 1):
        yield Condition(
            kind=kinds.DISK, subject="disk", detail={"found": f"{left / _GIB:.1f} GiB are free at {folder}"}
        )
    else:
        yield Mended(kind=kinds.DISK, subject="disk")


def _backups(asking: _Asking) -> Iterable[_Answer]:
    health = backup_health(asking.settings, asking.warehouse, now=asking.now)
    if health.trouble is not None:
        yield Condition(kind=kinds.BACKUP_FAILED, subject="backups", detail={"found": _sentence(health.trouble)})
    elif asking.settings.backup is not None:
        yield Mended(kind=kinds.BACKUP_FAILED, subject="backups")


_QUESTIONS: Mapping[Callable[[_Asking], Iterable[_Answer]], tuple[Kind, ...]] = {
    _logins: (kinds.LOGIN,),
    _gaps: (kinds.GAP,),
    _imports: (kinds.IMPORT_FAILED, kinds.IMPORT_FINISHED),
    _circuits: (kinds.CIRCUIT,),
    _migrations: (kinds.MIGRATION_WAITING, kinds.MIGRATION_FINISHED),
    _refreshes: (kinds.REFRESHED,),
    _runs: (kinds.RUN_FAILED,),
    _pipeline: (kinds.PIPELINE,),
    _disk: (kinds.DISK,),
    _backups: (kinds.BACKUP_FAILED,),
}


def _label(name: str) -> str:
    if name in set(Service):
        return Service(name).label
    return Provider(name).label if name in set(Provider) else name


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:250]}"


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _moment(value: object) -> datetime | None:
    assert value is None or isinstance(value, datetime)
    return value
