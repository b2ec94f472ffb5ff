"""Refreshing the marts: what changed since the last refresh, and nothing else.

Belongs here: the order of opening, building, closing and testing, and what a person is told about it. Not here: SQL, or
how dbt is run. Invariant: only a run that built every model closes ledger rows; failing tests never hold that back.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import psycopg

from myi_pipeline.core.errors import Busy, Fenced, Transient
from myi_pipeline.services.dbt_runner import DbtNode, DbtResult, DbtRunner, OnNode, project
from myi_pipeline.warehouse.connections import Warehouse
from myi_pipeline.warehouse.mart_runs import Connection, MartRun, OnBusy, anything_to_do, mart_lock, mart_run

log = logging.getLogger(__name__)

Status = Literal["completed", "nothing", "busy", "partial", "failed"]


@dataclass(frozen=True)
class RefreshResult:
    """What a refresh did. `completed`: the marts are as raw was when the run opened. `seconds` is by stage."""

    status: Status
    run_id: int | None = None
    is_rebuild: bool = False
    changed_days: int = 0
    changed_contents: int = 0
    changed_users: int = 0
    error: str | None = None
    models: tuple[DbtNode, ...] = ()
    tests: tuple[DbtNode, ...] = ()
    seconds: Mapping[str, float] | None = None

    @property
    def failed_tests(self) -> tuple[DbtNode, ...]:
        return tuple(test for test in self.tests if test.is_bad)

    @property
    def is_good(self) -> bool:
        return self.status in ("completed", "nothing", "busy", "partial") and not self.failed_tests


def refresh_marts(
    warehouse: Warehouse,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    on_busy: OnBusy = "wait",
    select: str | None = None,
    run_tests: bool = True,
    correlation_id: str | None = None,
    on_node: OnNode | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RefreshResult:
    """Bring the marts up to date. `environment` is dbt_environment()'s; `select` (dbt's syntax) builds a part and
    closes nothing. A failure of a model or of the database is a result, not an exception."""
    started = clock()
    try:
        if not anything_to_do(warehouse, project=project()):
            return RefreshResult("nothing", seconds={"total": clock() - started})
        with mart_lock(warehouse, on_busy=on_busy) as connection:
            result = refresh_under_lock(
                connection,
                dbt=dbt,
                environment=environment,
                select=select,
                correlation_id=correlation_id,
                on_node=on_node,
                clock=clock,
            )
            if result.status == "completed" and run_tests:
                result = _with_tests(result, dbt=dbt, environment=environment, on_node=on_node, clock=clock)
    except Busy:
        return RefreshResult("busy", seconds={"total": clock() - started})
    return replace(result, seconds={**(result.seconds or {}), "total": clock() - started})


def refresh_under_lock(
    connection: Connection,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    select: str | None = None,
    correlation_id: str | None = None,
    on_node: OnNode | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RefreshResult:
    """One run on mart_lock's connection: open, build, close."""
    at = [clock()]
    run: MartRun | None = None
    built: DbtResult | None = None
    error: str | None = None
    try:
        with mart_run(connection, project=project(), correlation_id=correlation_id) as run:
            at.append(clock())
            if run is None:
                return RefreshResult("nothing")
            log.info("mart run %d: %d days, %d contents", run.run_id, run.changed_days, run.changed_contents)
            arguments = ["run"] if select is None else ["run", "--select", *select.split()]
            built = dbt.invoke(arguments, environment={**environment, **run.environment}, on_node=on_node)
            at.append(clock())
            if built.success and project() != run.project:
                error = "the models were changed while they were built"
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
    return RefreshResult(
        status,
        run_id=run.run_id,
        is_rebuild=run.is_rebuild,
        changed_days=run.changed_days,
        changed_contents=run.changed_contents,
        changed_users=run.changed_users,
        error=error,
        models=built.nodes if built else (),
        seconds=stages,
    )


def _with_tests(
    result: RefreshResult,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    on_node: OnNode | None,
    clock: Callable[[], float],
) -> RefreshResult:
    started = clock()
    try:
        same_code = {**environment, "MYI_MART_FINGERPRINT": project().fingerprint}
        tested = dbt.invoke(["test", "--select", "test_type:data"], environment=same_code, on_node=on_node)
    except Transient as failure:
        return replace(result, error=str(failure))
    seconds = {**(result.seconds or {}), "tests": clock() - started}
    return replace(result, tests=tested.nodes, seconds=seconds, error=None if tested.nodes else tested.error)
