"""Refreshing the marts from a command: a line that moves, and what to say at the end.

Belongs here: what `myi refresh`, `myi import` and `myi demo` share. Not here: what a refresh is.
Invariant: dbt runs in a child process, so this process stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from myi_pipeline.cli.output import Output, facts, number, plain, table
from myi_pipeline.cli.session import Session
from myi_pipeline.logs import correlation_id

if TYPE_CHECKING:
    from myi_pipeline.services.refresh_marts import RefreshResult
    from myi_pipeline.services.verify_marts import VerifyResult
    from myi_pipeline.warehouse.connections import Warehouse

NodeListener = Callable[[str, str], None]


def refresh(session: Session, opened: Warehouse) -> RefreshResult:
    """Brings the marts up to date; waits while another refresh runs."""
    from myi_pipeline.services.dbt_runner import ChildDbt, project
    from myi_pipeline.services.refresh_marts import refresh_marts

    environment = environment_of_dbt(session, opened)
    with ChildDbt() as dbt, node_progress(session.output, "marts", len(project().relations)) as listener:
        return refresh_marts(
            opened, dbt=dbt, environment=environment, correlation_id=correlation_id(), on_node=listener
        )


def verify(session: Session, opened: Warehouse, *, examples: int) -> VerifyResult:
    """Refreshes, rebuilds every mart beside the live ones and compares; waits while a refresh runs."""
    from myi_pipeline.services.dbt_runner import ChildDbt, project
    from myi_pipeline.services.verify_marts import verify_marts

    environment = environment_of_dbt(session, opened)
    with ChildDbt() as dbt, node_progress(session.output, "verify", 2 * len(project().relations)) as listener:
        return verify_marts(
            opened,
            dbt=dbt,
            environment=environment,
            examples=examples,
            correlation_id=correlation_id(),
            on_node=listener,
        )


def environment_of_dbt(session: Session, opened: Warehouse) -> dict[str, str]:
    """What dbt's child needs of the settings. Secret."""
    from myi_pipeline.services.dbt_runner import dbt_environment

    return dbt_environment(opened, target=session.settings.dbt_target, logs=session.settings.dbt_logs)


@contextmanager
def node_progress(output: Output, label: str, total: int | None) -> Iterator[NodeListener]:
    """A listener for dbt's nodes; what it shows is gone when the context ends."""
    if not output.progress_console.is_terminal:
        yield lambda name, status: None
        return
    columns = (
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=output.progress_console, transient=True) as progress:
        task = progress.add_task(f"{label}: starting dbt", total=total)
        done = 0

        def listen(name: str, status: str) -> None:
            nonlocal done
            if status == "started":
                progress.update(task, description=f"{label}: {plain(name)[:60]}")
                return
            done += 1
            # Data tests follow the models, in a number that is known only to dbt.
            progress.update(task, completed=done, total=None if total is not None and done > total else total)

        yield listen


def refresh_document(result: RefreshResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "status": result.status,
        "run_id": result.run_id,
        "is_rebuild": result.is_rebuild,
        "changed_days": result.changed_days,
        "changed_contents": result.changed_contents,
        "changed_users": result.changed_users,
        "error": result.error,
        "models": len(result.models),
        "tests": len(result.tests),
        "failed_tests": [{"name": test.name, "message": test.message} for test in result.failed_tests],
        "seconds": {stage: round(value, 3) for stage, value in (result.seconds or {}).items()},
    }


def render_refresh(console: Console, result: RefreshResult) -> None:
    if result.status == "nothing":
        console.print("The marts are up to date; nothing changed since the last refresh.")
        return
    what = "all slices, because the models changed or are new" if result.is_rebuild else _changed(result)
    seconds = (result.seconds or {}).get("total")
    console.print(
        facts(
            (
                ("marts", f"{result.status}" + (f", run {result.run_id}" if result.run_id else "")),
                ("recomputed", what if result.run_id else None),
                ("tests", f"{len(result.tests) - len(result.failed_tests)} of {len(result.tests)} passed"),
                ("took", f"{seconds:.1f} s" if seconds is not None else None),
                ("error", result.error),
            )
        )
    )
    if result.failed_tests:
        console.print()
        console.print(
            table("Failed tests", ("test", "what it found"), ((t.name, t.message) for t in result.failed_tests))
        )


def _changed(result: RefreshResult) -> str:
    return (
        f"{number(result.changed_days)} user-days, {number(result.changed_contents)} contents,"
        f" {number(result.changed_users)} users"
    )
