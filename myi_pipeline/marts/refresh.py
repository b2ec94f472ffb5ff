"""Refreshing the marts: what has changed since the last refresh, and nothing else.

`myi refresh`, `myi verify`, the demo and Dagster all refresh through this module. A run opens, dbt builds the models,
the run closes, and only then do the data tests run: a failing test never holds back what was built. A run builds the
models in which anything can have changed (needed_models), and only a run that built all of those deletes rows of the
change ledger. It tests what it built; all tests run once a day (defs/refreshes), after a rebuild, and on request.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import psycopg

from myi_pipeline.errors import Busy, DiskFull, Fenced, Transient
from myi_pipeline.marts.dbt_runner import DbtEnded, DbtNode, DbtResult, DbtRunner, OnNode, project, project_of
from myi_pipeline.marts.model_times import keep_model_times
from myi_pipeline.marts.needed_models import needed_tests
from myi_pipeline.marts.runs import (
    MartRun,
    OnBusy,
    RebuildReason,
    anything_to_do,
    held_back_sentences,
    mart_lock,
    mart_run,
    mart_run_of_part,
    missing_relations,
)
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.disk_space import DiskGuard
from myi_pipeline.postgres.sql_files import load_sql

log = logging.getLogger(__name__)

ALL_TESTS = ("test_type:data",)

Status = Literal["completed", "nothing", "busy", "partial", "failed"]


@dataclass(frozen=True)
class RefreshResult:
    """The result of a refresh. `completed`: the marts match raw at the time the run opened. `seconds` is by stage."""

    status: Status
    run_id: int | None = None
    # None: the run replaced only what had changed.
    rebuild_reason: RebuildReason | None = None
    changed_days: int = 0
    changed_contents: int = 0
    changed_users: int = 0
    error: str | None = None
    models: tuple[DbtNode, ...] = ()
    tests: tuple[DbtNode, ...] = ()
    # Models in which nothing can have changed, and tests that would read nothing new.
    models_skipped: int = 0
    tests_skipped: int = 0
    seconds: Mapping[str, float] | None = None
    # A sentence for each user whose marts are not refreshed because the database does not know their time zone.
    held_back: tuple[str, ...] = ()
    # The run's part of dbt's environment.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    # The names of the data tests required after what was built; None: all of them.
    calls_for: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def is_rebuild(self) -> bool:
        return self.rebuild_reason is not None

    @property
    def failed_tests(self) -> tuple[DbtNode, ...]:
        return tuple(test for test in self.tests if test.is_bad)

    @property
    def is_good(self) -> bool:
        done = self.status in ("completed", "nothing", "busy", "partial")
        return done and not self.failed_tests and not self.held_back


@dataclass(frozen=True)
class OpenWork:
    """What a refresh would have to do.

    `newest` identifies the state of the ledger: it changes as soon as anything is added.
    """

    is_any: bool
    newest: str
    oldest_change_at: datetime | None
    is_import_running: bool


def open_work(warehouse: Warehouse) -> OpenWork:
    """Two small statements; both read only the ends of indexes."""
    code = project()
    is_any = anything_to_do(warehouse, project=code)
    with closing(warehouse.connect(Role.DBT, autocommit=True, application_name="myi refresh")) as connection:
        row = connection.execute(load_sql("marts/mart_runs/open_work")).fetchone()
    assert row is not None
    return OpenWork(is_any, f"{code.fingerprint[:12]}-{row[0]}", row[1], row[2])


def refresh_marts(
    warehouse: Warehouse,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    on_busy: OnBusy = "wait",
    select: str | None = None,
    rebuild: bool = False,
    run_tests: bool = True,
    all_tests: bool = False,
    correlation_id: str | None = None,
    on_node: OnNode | None = None,
    on_work: Callable[[], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    disk: DiskGuard | None = None,
) -> RefreshResult:
    """Bring the marts up to date.

    `environment` is dbt_environment()'s. `select` (dbt's syntax) builds a part and closes nothing. `rebuild` builds
    every model again, whether anything has changed or not. `all_tests` runs every data test, even if nothing has
    changed. `on_work` is called once it is known that there is anything to do. A failure of a model or of the database
    is a result, not an exception; so is a lack of `disk` space.
    """
    started = clock()
    held_back = _warn_of_held_back(warehouse)
    try:
        is_due = rebuild or anything_to_do(warehouse, project=project())
        if not (is_due or all_tests):
            return RefreshResult("nothing", seconds={"total": clock() - started}, held_back=held_back)
        if disk is not None:
            disk.check()
        if on_work is not None:
            on_work()
        with mart_lock(warehouse, on_busy=on_busy) as connection:
            result = refresh_under_lock(
                connection,
                dbt=dbt,
                environment=environment,
                select=select,
                rebuild=rebuild,
                correlation_id=correlation_id,
                on_node=on_node,
                clock=clock,
            )
            if result.status in ("completed", "nothing") and (run_tests or all_tests):
                result = _tested(result, dbt, environment, all_tests=all_tests, on_node=on_node, clock=clock)
    except Busy:
        return RefreshResult("busy", seconds={"total": clock() - started})
    except DiskFull as failure:
        return RefreshResult("failed", error=str(failure), seconds={"total": clock() - started})
    return replace(result, seconds={**(result.seconds or {}), "total": clock() - started}, held_back=held_back)


def run_tests_later(
    warehouse: Warehouse,
    result: RefreshResult,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    on_node: OnNode | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RefreshResult:
    """Runs the tests of a refresh that was made without them: its result is shown in the meantime."""
    if result.status != "completed":
        return result
    with mart_lock(warehouse):
        return _tested(result, dbt, environment, all_tests=False, on_node=on_node, clock=clock)


def _tested(
    result: RefreshResult,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    *,
    all_tests: bool,
    on_node: OnNode | None,
    clock: Callable[[], float],
) -> RefreshResult:
    """The result with its tests: the required ones, or all."""
    started = clock()
    select = None if all_tests else result.calls_for
    if select == () or (result.status == "nothing" and not all_tests):
        return result
    # In the run's own environment, so that the tests share the process of the models.
    tested = run_data_tests(
        dbt, environment={**environment, **result.environment}, select=select or ALL_TESTS, on_node=on_node
    )
    return replace(
        result,
        tests=tested.nodes,
        tests_skipped=0 if select is None else result.tests_skipped,
        seconds={**(result.seconds or {}), "tests": clock() - started},
        error=None if tested.nodes else tested.error,
    )


def refresh_under_lock(
    connection: Connection,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    select: str | None = None,
    rebuild: bool = False,
    correlation_id: str | None = None,
    on_node: OnNode | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RefreshResult:
    """One run on mart_lock's connection: open, build, close."""
    at = [clock()]
    run: MartRun | None = None
    built = DbtResult(False)
    error: str | None = None
    try:
        code = project_of(environment)
        with mart_run(connection, project=code, correlation_id=correlation_id, rebuild=rebuild) as run:
            at.append(clock())
            if run is None:
                return RefreshResult("nothing")
            log.info(
                "mart run %d: %d days, %d contents, %d models",
                run.run_id, run.changed_days, run.changed_contents, len(run.needs),
            )  # fmt: skip
            built = _build(dbt, run, environment=environment, select=select, on_node=on_node)
            at.append(clock())
            keep_model_times(connection, run.run_id, built.nodes)
            if built.success and project().fingerprint != run.project.fingerprint:
                error = "the models were changed while they were being built"
                run.end(status="failed", error=error)
            elif built.success:
                run.finish({node.name for node in built.nodes if node.kind == "model"})
            else:
                error = built.first_error() or "dbt failed"
                run.end(status="failed", error=error)
            at.append(clock())
    except (Fenced, Transient, psycopg.Error) as failure:
        error = " ".join(str(failure).split())
        log.warning("the mart run did not finish: %s", error)
    stages = dict(zip(("open", "build", "close"), (b - a for a, b in itertools.pairwise(at)), strict=False))
    if run is None:
        return RefreshResult("failed", error=error, seconds=stages)
    status: Status = "failed" if error or run.status not in ("completed", "partial") else run.status  # type: ignore[assignment]
    return _result(run, built, status=status, error=error, seconds=stages)


def rebuild_part(
    warehouse: Warehouse,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    models: Collection[str],
    correlation_id: str | None = None,
    on_node: OnNode | None = None,
) -> RefreshResult:
    """Rebuild some models from the others as they are, after a refresh of whatever is open.

    A run that succeeds is `partial`, and its result contains only the chosen models. A view dropped with a replaced
    table is built again.
    """
    held_back = _warn_of_held_back(warehouse)
    with mart_lock(warehouse) as connection:
        refreshed = refresh_under_lock(
            connection, dbt=dbt, environment=environment, correlation_id=correlation_id, on_node=on_node
        )
        if refreshed.status not in ("completed", "nothing"):
            cause = f"the marts could not be refreshed first: {refreshed.error or refreshed.status}"
            return replace(refreshed, status="failed", error=cause, models=(), held_back=held_back)
        run: MartRun | None = None
        built, error = DbtResult(False), None
        try:
            with mart_run_of_part(connection, project=project(), correlation_id=correlation_id) as run:
                built = _build(dbt, run, environment=environment, select=" ".join(sorted(models)), on_node=on_node)
                _require(built)
                if lost := missing_relations(connection, run.project):
                    names = " ".join(name.partition(".")[2] for name in lost)
                    _require(_build(dbt, run, environment=environment, select=names, on_node=on_node))
        except (Fenced, Transient, psycopg.Error) as failure:
            error = " ".join(str(failure).split())
            if run is None:
                return RefreshResult("failed", error=error, held_back=held_back)
    result = _result(run, built, status="failed" if error else "partial", error=error)
    return replace(result, held_back=held_back)


def _warn_of_held_back(warehouse: Warehouse) -> tuple[str, ...]:
    sentences = held_back_sentences(warehouse)
    for sentence in sentences:
        log.warning("%s", sentence)
    return sentences


def _require(built: DbtResult) -> None:
    if not built.success:
        raise Transient(built.first_error() or "dbt failed")


def run_data_tests(
    dbt: DbtRunner,
    *,
    environment: Mapping[str, str],
    select: Sequence[str] = ALL_TESTS,
    on_node: OnNode | None = None,
) -> DbtResult:
    """Run dbt's data tests on what was built last. If dbt does not answer, the result carries an error."""
    try:
        return dbt.invoke(["test", "--select", *select], environment=environment, on_node=on_node)
    except Transient as failure:
        return DbtResult(False, error=str(failure))


def _build(
    dbt: DbtRunner, run: MartRun, *, environment: Mapping[str, str], select: str | None, on_node: OnNode | None
) -> DbtResult:
    """Build the chosen models, or those that the run needs. If dbt is killed, the models built until then remain and
    are in the result."""
    if select is None and not run.needs:
        return DbtResult(True)
    chosen = select.split() if select is not None else [] if run.is_whole else sorted(run.needs)
    arguments = ["run", "--select", *chosen] if chosen else ["run"]
    try:
        return dbt.invoke(arguments, environment={**environment, **run.environment}, on_node=on_node)
    except DbtEnded as failure:
        return DbtResult(False, failure.finished, str(failure))


def _result(
    run: MartRun, built: DbtResult, *, status: Status, error: str | None, seconds: Mapping[str, float] | None = None
) -> RefreshResult:
    calls_for, tests_skipped = None, 0
    if not run.is_whole and run.project.contents is not None:
        calls_for, tests_skipped = needed_tests(run.project.contents.tests, run.needs)
    return RefreshResult(
        status,
        run_id=run.run_id,
        rebuild_reason=run.rebuild_reason,
        changed_days=run.changed_days,
        changed_contents=run.changed_contents,
        changed_users=run.changed_users,
        error=error,
        models=built.nodes,
        models_skipped=len(run.project.models) - len(run.needs),
        tests_skipped=tests_skipped,
        seconds=seconds,
        environment=run.environment,
        calls_for=calls_for,
    )
