"""Mart runs: who may write marts, what a run recomputes, and which rows of the change ledger it deletes.

One advisory lock admits one run at a time; a fence in the database keeps the dbt of a superseded run from writing.
Everything that a run needs is frozen in one transaction when it opens. Invariant: a ledger row is deleted only by the
run that froze it, after that run has built every model it needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal

from psycopg import errors

from myi_pipeline.catalogue.recordings import resolve_recordings
from myi_pipeline.errors import BadInput, Busy, Fenced
from myi_pipeline.marts.needed_models import Touched, needed_models
from myi_pipeline.marts.parsed_project import Contents
from myi_pipeline.people.manage_users import find_user_id
from myi_pipeline.people.time_zones import database_name_of
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.sql_files import load_sql, load_statements

# Any constant will do; it spells "myi d". One mart run at a time per database.
_LOCK = 0x6D79692064
# A lost client is noticed within a minute, so that a killed run on another machine does not keep the lock.
_KEEPALIVE = (
    "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3;"
    # A statement still running for a killed client ends soon, which lets the next run begin.
    " set client_connection_check_interval = '2s'"
)

_REBUILD_NEXT = "update ops.mart_state set fingerprint = null"

OnBusy = Literal["wait", "leave"]
# Why a run builds every model whole: on request, because the models have changed or are missing, or because the run
# would replace most of the marts.
RebuildReason = Literal["requested", "models", "most"]


@dataclass(frozen=True)
class Project:
    """What the marts are built from: `fingerprint` of the code, and every relation it creates as `schema.name`.

    `described` is the fingerprint including descriptions and tests. `contents` is the parsed project, if available:
    without it, a run builds every model.
    """

    fingerprint: str
    relations: tuple[str, ...]
    described: str = ""
    contents: Contents | None = field(default=None, repr=False)

    @property
    def models(self) -> frozenset[str]:
        return frozenset(relation.partition(".")[2] for relation in self.relations)


@dataclass(frozen=True)
class HeldBackUser:
    """A user whose time zone this server does not know: no run touches their marts."""

    user_key: str
    time_zone: str


@dataclass
class MartRun:
    """An open run. `finish()` it with the models that were built; without all that it `needs`, it closes nothing."""

    run_id: int
    project: Project
    rebuild_reason: RebuildReason | None
    changed_days: int
    changed_contents: int
    changed_users: int
    connection: Connection = field(repr=False)
    needs: frozenset[str] = frozenset()
    status: str = "running"

    @property
    def is_rebuild(self) -> bool:
        return self.rebuild_reason is not None

    @property
    def is_whole(self) -> bool:
        """Whether every model is built."""
        return self.needs == self.project.models

    @property
    def environment(self) -> dict[str, str]:
        """The run's part of dbt's environment."""
        return {
            "MYI_MART_RUN_ID": str(self.run_id),
            "MYI_MART_REBUILD": "1" if self.is_rebuild else "0",
        }

    def finish(self, built: Collection[str]) -> str:
        """Close the run if all the models it needs are among `built` (names), else end it as partial."""
        if self.needs.issubset(built):
            self.close()
        else:
            self.end(status="partial")
        return self.status

    def close(self) -> None:
        """Delete exactly what was frozen. Raises Fenced if another run has taken over."""
        # Only a run of every model brings all comments up to date with the descriptions.
        described = self.project.described if self.is_whole else None
        arguments = {"run_id": self.run_id, "fingerprint": self.project.fingerprint, "described": described}
        try:
            with self.connection.transaction():
                for statement in load_statements("marts/mart_runs/close_run"):
                    self.connection.execute(statement, arguments)
        except errors.ObjectNotInPrerequisiteState as error:
            raise Fenced(str(error.diag.message_primary)) from None
        self.status = "completed"

    def end(self, *, status: Literal["partial", "failed"], error: str | None = None) -> None:
        """Record how the run ended without closing anything; the next run repeats it."""
        arguments = {"run_id": self.run_id, "status": status, "error": error}
        self.connection.execute(load_sql("marts/mart_runs/end_run"), arguments)
        self.status = status


def anything_to_do(warehouse: Warehouse, *, project: Project) -> bool:
    """One small statement: whether a run would do anything."""
    with warehouse.connect(Role.DBT, autocommit=True, application_name="myi refresh") as connection:
        return is_anything_open(connection, project)


@contextmanager
def mart_lock(warehouse: Warehouse, *, on_busy: OnBusy = "wait") -> Iterator[Connection]:
    """The connection that holds the one lock for writing marts. If another process has it: waits, or raises Busy."""
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
    connection: Connection, *, project: Project, correlation_id: str | None = None, rebuild: bool = False
) -> Iterator[MartRun | None]:
    """A run under mart_lock's connection; None if there is nothing to do. `rebuild`: everything is built again.

    Leaving the context without `finish()` or `end()` ends the run as failed (after an exception) or partial.
    """
    if not (rebuild or is_anything_open(connection, project)):
        yield None
        return
    run = open_mart_run(connection, project=project, correlation_id=correlation_id, rebuild=rebuild)
    try:
        yield run
    except BaseException as error:
        if run.status == "running" and not connection.broken:
            run.end(status="failed", error=f"{type(error).__name__}: {error}")
        raise
    if run.status == "running":
        run.end(status="partial")


@contextmanager
def mart_run_of_part(
    connection: Connection, *, project: Project, correlation_id: str | None = None
) -> Iterator[MartRun]:
    """A run under mart_lock's connection in which some of the models are built again; ends as partial, closes nothing.

    The replaced rows may have had keys of open slices, which later models would never see. So it requires an empty
    ledger when it begins, and if anything is open when it ends, the next run rebuilds everything.
    """
    run = open_mart_run(connection, project=project, correlation_id=correlation_id)
    try:
        yield replace(run, rebuild_reason="requested")
    except BaseException as error:
        if not connection.broken:
            run.end(status="failed", error=f"{type(error).__name__}: {error}")
            connection.execute(_REBUILD_NEXT)
        raise
    if is_anything_open(connection, project):
        connection.execute(_REBUILD_NEXT)
    run.end(status="partial")


def missing_relations(connection: Connection, project: Project) -> list[str]:
    """Relations of the project that do not exist, as schema.name."""
    query = "select name from unnest(%s::text[]) as r (name) where to_regclass(name) is null"
    return [name for (name,) in connection.execute(query, (list(project.relations),)).fetchall()]


def open_mart_run(
    connection: Connection, *, project: Project, correlation_id: str | None = None, rebuild: bool = False
) -> MartRun:
    """Freeze the ledger and take the fence, in one transaction. The connection must hold the lock."""
    with connection.transaction():
        run_id = int(_value(
            connection,
            "insert into ops.mart_runs (fingerprint, correlation_id) values (%(fingerprint)s, %(id)s) returning run_id",
            {"fingerprint": project.fingerprint, "id": correlation_id},
        ))  # fmt: skip
        arguments = {"run_id": run_id}
        for statement in load_statements("marts/mart_runs/open_run"):
            connection.execute(statement, arguments)
        reason: RebuildReason | None = None
        if rebuild:
            reason = "requested"
        elif _value(connection, load_sql("marts/mart_runs/needs_rebuild"), _of_project(project)):
            reason = "models"
        # Building everything again is several times faster than replacing most of it row by row and key by key.
        elif _value(connection, load_sql("marts/mart_runs/touches_most"), arguments):
            reason = "most"
        # A rebuild has no slices: every model is built whole.
        for part in ("rebuild_run",) if reason else ("expand_run", "widen_run"):
            for statement in load_statements(f"marts/mart_runs/{part}"):
                connection.execute(statement, arguments)
        # Adds recordings that changed; only their own rows depend on that, since plays refer to tracks.
        resolve_recordings(connection, run_id=run_id, whole=reason is not None)
        if held_back_users(connection):
            for statement in load_statements("marts/mart_runs/hold_back"):
                connection.execute(statement, arguments)
        counts = connection.execute(load_sql("marts/mart_runs/count_run"), arguments).fetchone()
        assert counts is not None
        needs = project.models if reason else _needs(connection, run_id, project)
        connection.execute("select ops.analyze_mart_run()")
    days, contents, users = counts
    return MartRun(run_id, project, reason, days, contents, users, connection, needs)


def _needs(connection: Connection, run_id: int, project: Project) -> frozenset[str]:
    """The models that an incremental run must build; called once its slices are frozen."""
    arguments = {"run_id": run_id, "described": project.described}
    found = connection.execute(load_sql("marts/mart_runs/what_is_touched"), arguments).fetchone()
    assert found is not None
    *touched, is_described_anew = found
    if project.contents is None or is_described_anew or project.contents.models.keys() != project.models:
        return project.models
    return needed_models(project.contents, Touched(*touched))


def held_back_users(connection: Connection) -> tuple[HeldBackUser, ...]:
    """Users whose time zone this server does not know, ordered by their keys."""
    query = "select user_key, time_zone from ops.held_back_users order by user_key"
    return tuple(HeldBackUser(*row) for row in connection.execute(query).fetchall())


def mark_changed(
    warehouse: Warehouse, *, user_key: str, first_day: date | None = None, last_day: date | None = None
) -> int:
    """Mark UTC days of a user, so that the next run recomputes them. Returns how many. Raises BadInput."""
    if first_day and last_day and first_day > last_day:
        raise BadInput(f"the first day {first_day} is after the last day {last_day}", rule="--from before --to")
    with warehouse.connect(Role.DBT, application_name="myi refresh") as connection:
        user_id = find_user_id(connection, user_key=user_key)
        arguments = {"user_id": user_id, "first_day": first_day, "last_day": last_day}
        marked = connection.execute(load_sql("marts/mart_runs/mark_days"), arguments).rowcount
        if _value(connection, "select to_regclass('marts.fct_plays') is not null", {}):
            marked += connection.execute(load_sql("marts/mart_runs/mark_days_of_marts"), arguments).rowcount
    return marked


def is_anything_open(connection: Connection, project: Project) -> bool:
    """As anything_to_do, on an existing connection."""
    return bool(_value(connection, load_sql("marts/mart_runs/anything_to_do"), _of_project(project)))


def _of_project(project: Project) -> dict[str, object]:
    relations: Sequence[str] = project.relations
    return {"fingerprint": project.fingerprint, "relations": list(relations)}


def _value(connection: Connection, query: str, arguments: Mapping[str, object]) -> Any:
    found = connection.execute(query.encode(), arguments).fetchone()
    assert found is not None
    return found[0]


def held_back_sentence(user: HeldBackUser, *, other_name: str | None) -> str:
    """Why a user's marts are not refreshed, and what to do."""
    return (
        f"user {user.user_key}: the database does not know the time zone {user.time_zone!r}, so their days are unknown"
        f" and their marts are not refreshed; all other users' are. Set a known zone: "
        f"myi user set {user.user_key} --time-zone {other_name or 'NAME'}"
    )


def held_back_sentences(warehouse: Warehouse) -> tuple[str, ...]:
    """One for each user whose zone the database does not know, ordered by their keys."""
    with closing(warehouse.connect(Role.DBT, autocommit=True, application_name="myi refresh")) as connection:
        return tuple(
            held_back_sentence(user, other_name=database_name_of(connection, user.time_zone))
            for user in held_back_users(connection)
        )
