"""Mart runs: who may write marts, what a run recomputes, and which ledger rows it closes.

Belongs here: the lock, the fence, freezing and closing the change ledger. Not here: dbt, or what happens when a model
fails. Invariant: a ledger row is deleted only by the run that froze it and then built every model; everything that a
run needs is frozen in one transaction when it opens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import psycopg
from psycopg import errors

from myi_pipeline.core.errors import BadInput, Busy, Fenced, UnknownUser
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.sql_files import load_sql, load_statements

# Any constant will do; it spells "myi d". One mart run at a time in one database.
_LOCK = 0x6D79692064
# A lost client is noticed after this long, so that a killed run on another machine does not hold the lock for hours.
_KEEPALIVE = "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"

Connection = psycopg.Connection[tuple[Any, ...]]
OnBusy = Literal["wait", "leave"]


@dataclass(frozen=True)
class Project:
    """What the marts are made of: `fingerprint` of the code, and every relation it makes as `schema.name`."""

    fingerprint: str
    relations: tuple[str, ...]


@dataclass
class MartRun:
    """An open run. `finish()` it with the models that were built; without all of them it closes nothing."""

    run_id: int
    project: Project
    is_rebuild: bool
    changed_days: int
    changed_contents: int
    changed_users: int
    connection: Connection = field(repr=False)
    status: str = "running"

    @property
    def environment(self) -> dict[str, str]:
        """The run's part of dbt's environment."""
        return {
            "MYI_MART_RUN_ID": str(self.run_id),
            "MYI_MART_REBUILD": "1" if self.is_rebuild else "0",
            # A dbt that keeps the parsed project parses it again when the code is another.
            "MYI_MART_FINGERPRINT": self.project.fingerprint,
        }

    def finish(self, built: Collection[str]) -> str:
        """Close the run if each of the project's models is among `built` (names), else end it as partial."""
        if all(relation.partition(".")[2] in built for relation in self.project.relations):
            self.close()
        else:
            self.end(status="partial")
        return self.status

    def close(self) -> None:
        """Delete exactly what was frozen. Raises Fenced when another run has taken over."""
        arguments = {"run_id": self.run_id, "fingerprint": self.project.fingerprint}
        try:
            with self.connection.transaction():
                for statement in load_statements("mart_runs/close_run"):
                    self.connection.execute(statement, arguments)
        except errors.ObjectNotInPrerequisiteState as error:
            raise Fenced(str(error.diag.message_primary)) from None
        self.status = "completed"

    def end(self, *, status: Literal["partial", "failed"], error: str | None = None) -> None:
        """Note how the run ended without closing anything; the next run repeats it."""
        arguments = {"run_id": self.run_id, "status": status, "error": error}
        self.connection.execute(load_sql("mart_runs/end_run"), arguments)
        self.status = status


def anything_to_do(warehouse: Warehouse, *, project: Project) -> bool:
    """One small statement: whether a run would do anything."""
    with warehouse.connect(Role.DBT, autocommit=True, application_name="myi refresh") as connection:
        return _anything_to_do(connection, project)


@contextmanager
def mart_lock(warehouse: Warehouse, *, on_busy: OnBusy = "wait") -> Iterator[Connection]:
    """The connection that holds the one lock on writing marts. Raises Busy when told to leave and another has it."""
    with warehouse.connect(Role.DBT, autocommit=True, application_name="myi refresh") as connection:
        for setting in _KEEPALIVE.split("; "):
            connection.execute(setting.encode())
        if on_busy == "wait":
            connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        else:
            found = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            if not (found and found[0]):
                raise Busy("another refresh is running")
        yield connection


@contextmanager
def mart_run(
    connection: Connection, *, project: Project, correlation_id: str | None = None
) -> Iterator[MartRun | None]:
    """A run under mart_lock's connection; None when there is nothing to do.

    Whoever leaves the context without `finish()` or `end()` leaves a run that failed (by an exception) or was partial.
    """
    if not _anything_to_do(connection, project):
        yield None
        return
    run = open_mart_run(connection, project=project, correlation_id=correlation_id)
    try:
        yield run
    except BaseException as error:
        if run.status == "running" and not connection.broken:
            run.end(status="failed", error=f"{type(error).__name__}: {error}")
        raise
    if run.status == "running":
        run.end(status="partial")


def open_mart_run(connection: Connection, *, project: Project, correlation_id: str | None = None) -> MartRun:
    """Freeze the ledger and take the fence, in one transaction. The connection must hold the lock."""
    with connection.transaction():
        run_id = int(_value(
            connection,
            "insert into ops.mart_runs (fingerprint, correlation_id) values (%(fingerprint)s, %(id)s) returning run_id",
            {"fingerprint": project.fingerprint, "id": correlation_id},
        ))  # fmt: skip
        arguments = {"run_id": run_id}
        for statement in load_statements("mart_runs/open_run"):
            connection.execute(statement, arguments)
        is_rebuild = bool(_value(connection, load_sql("mart_runs/needs_rebuild"), _of_project(project)))
        # Building everything anew is several times faster than replacing most of it, row by row and key by key.
        is_rebuild = is_rebuild or bool(_value(connection, load_sql("mart_runs/touches_most"), arguments))
        # The slices of a rebuild follow from nothing: every model is built whole.
        for part in ("rebuild_run",) if is_rebuild else ("expand_run", "widen_run"):
            for statement in load_statements(f"mart_runs/{part}"):
                connection.execute(statement, arguments)
        counts = connection.execute(load_sql("mart_runs/count_run"), arguments).fetchone()
        assert counts is not None
        connection.execute("select ops.analyze_mart_run()")
    days, contents, users = counts
    return MartRun(run_id, project, is_rebuild, days, contents, users, connection)


def mark_changed(
    warehouse: Warehouse, *, user_key: str, first_day: date | None = None, last_day: date | None = None
) -> int:
    """Mark the UTC days of a user, so that the next run recomputes them. Returns how many. Raises BadInput."""
    if first_day and last_day and first_day > last_day:
        raise BadInput(f"the first day {first_day} is after the last day {last_day}", rule="--from before --to")
    with warehouse.connect(Role.DBT, application_name="myi refresh") as connection:
        found = connection.execute("select user_id from app.users where user_key = %s", (user_key,)).fetchone()
        if found is None:
            raise UnknownUser(f"there is no user {user_key!r}", place=user_key, rule="a known user key")
        arguments = {"user_id": found[0], "first_day": first_day, "last_day": last_day}
        marked = connection.execute(load_sql("mart_runs/mark_days"), arguments).rowcount
        if _value(connection, "select to_regclass('marts.fct_plays') is not null", {}):
            marked += connection.execute(load_sql("mart_runs/mark_days_of_marts"), arguments).rowcount
    return marked


def _anything_to_do(connection: Connection, project: Project) -> bool:
    return bool(_value(connection, load_sql("mart_runs/anything_to_do"), _of_project(project)))


def _of_project(project: Project) -> dict[str, object]:
    relations: Sequence[str] = project.relations
    return {"fingerprint": project.fingerprint, "relations": list(relations)}


def _value(connection: Connection, query: str, arguments: Mapping[str, object]) -> Any:
    found = connection.execute(query.encode(), arguments).fetchone()
    assert found is not None
    return found[0]
