"""Refreshing the marts from `myi refresh`, `myi import` and `myi demo`: progress, and the report at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from myi_pipeline.cli.output import Output, counted, facts, plain, table
from myi_pipeline.cli.session import Session
from myi_pipeline.logs import correlation_id

if TYPE_CHECKING:
    from myi_pipeline.marts.dbt_runner import DbtProcess
    from myi_pipeline.marts.refresh import RefreshResult
    from myi_pipeline.marts.runs import RebuildReason
    from myi_pipeline.marts.verify import VerifyResult
    from myi_pipeline.postgres.connections import Warehouse

NodeListener = Callable[[str, str], None]

_REBUILDS: Final[Mapping[RebuildReason, str]] = {
    "requested": "all slices, as requested",
    "models": "all slices, because models are new, changed or missing",
    "most": "all slices, because most of them changed, which is faster than replacing them one by one",
}


def refresh(
    session: Session,
    opened: Warehouse,
    *,
    dbt: DbtProcess,
    all_tests: bool = False,
    run_tests: bool = True,
) -> RefreshResult:
    """Brings the marts up to date; waits while another refresh runs. `dbt` comes from `dbt_at_hand`."""
    from myi_pipeline.marts.dbt_runner import project
    from myi_pipeline.marts.refresh import refresh_marts
    from myi_pipeline.postgres.disk_space import disk_guard

    environment = environment_of_dbt(session, opened)
    with node_progress(session.output, "marts", len(project().relations)) as listener:
        return refresh_marts(
            opened,
            dbt=dbt,
            environment=environment,
            run_tests=run_tests,
            all_tests=all_tests,
            correlation_id=correlation_id(),
            on_node=listener,
            on_work=lambda: dbt.start(environment),
            disk=disk_guard(session.settings),
        )


@contextmanager
def dbt_at_hand(session: Session, *, is_sure: bool) -> Iterator[DbtProcess]:
    """A dbt process for `refresh` and `test_later`, which starts in parallel while the warehouse is opened.

    A warm one is woken only if it `is_sure` that there will be work."""
    from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_options

    settings = session.settings
    with DbtProcess(warm=settings.dbt_socket) as dbt:
        if is_sure or not settings.dbt_socket.exists():
            dbt.start(dbt_options(target=settings.dbt_target, logs=settings.dbt_logs))
        yield dbt


def test_later(session: Session, opened: Warehouse, result: RefreshResult, *, dbt: DbtProcess) -> RefreshResult:
    """Runs the tests of a refresh that ran none."""
    from myi_pipeline.marts.refresh import run_tests_later

    with node_progress(session.output, "tests", None) as listener:
        return run_tests_later(
            opened, result, dbt=dbt, environment=environment_of_dbt(session, opened), on_node=listener
        )


def verify(session: Session, opened: Warehouse, *, examples: int) -> VerifyResult:
    """Refreshes, rebuilds every mart next to the live ones and compares; waits while a refresh runs."""
    from myi_pipeline.marts.dbt_runner import DbtProcess, project
    from myi_pipeline.marts.verify import verify_marts
    from myi_pipeline.postgres.disk_space import disk_guard

    # It builds every mart a second time.
    disk_guard(session.settings).check()

    environment = environment_of_dbt(session, opened)
    with DbtProcess() as dbt, node_progress(session.output, "verify", 2 * len(project().relations)) as listener:
        return verify_marts(
            opened,
            dbt=dbt,
            environment=environment,
            examples=examples,
            correlation_id=correlation_id(),
            on_node=listener,
        )


def environment_of_dbt(session: Session, opened: Warehouse) -> dict[str, str]:
    """The settings that the dbt process needs. Secret."""
    from myi_pipeline.marts.dbt_runner import dbt_environment

    return dbt_environment(opened, target=session.settings.dbt_target, logs=session.settings.dbt_logs)


@contextmanager
def node_progress(output: Output, label: str, total: int | None) -> Iterator[NodeListener]:
    """A listener for dbt's nodes; its output disappears when the context ends."""
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
            # Data tests follow the models; only dbt knows how many.
            progress.update(task, completed=done, total=None if total is not None and done > total else total)

        yield listen


def refresh_document(result: RefreshResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "status": result.status,
        "run_id": result.run_id,
        "is_rebuild": result.is_rebuild,
        "rebuild_reason": result.rebuild_reason,
        "changed_days": result.changed_days,
        "changed_contents": result.changed_contents,
        "changed_users": result.changed_users,
        "error": result.error,
        "held_back": list(result.held_back),
        "models": len(result.models),
        "models_skipped": result.models_skipped,
        "model_times": [
            {"name": node.name, "seconds": round(node.seconds, 3), "rows": node.rows, "status": node.status}
            for node in result.models
        ],
        "tests": len(result.tests),
        "tests_skipped": result.tests_skipped,
        "failed_tests": [{"name": test.name, "message": test.message} for test in result.failed_tests],
        "seconds": {stage: round(value, 3) for stage, value in (result.seconds or {}).items()},
    }


def render_refresh(console: Console, result: RefreshResult, *, are_tests_due: bool = False) -> None:
    for sentence in result.held_back:
        console.print(Text(plain(sentence)), soft_wrap=True)
    if result.status == "nothing" and not result.tests:
        console.print("The marts are up to date; nothing changed since the last refresh.")
        return
    what = _REBUILDS[result.rebuild_reason] if result.rebuild_reason else _changed(result)
    seconds = (result.seconds or {}).get("total")
    console.print(
        facts(
            (
                ("marts", f"{result.status}" + (f", run {result.run_id}" if result.run_id else "")),
                ("recomputed", what if result.run_id else None),
                ("models", _models(result) if result.run_id else None),
                ("tests", None if are_tests_due else tests_sentence(result)),
                ("took", f"{seconds:.1f} s" if seconds is not None else None),
                ("error", result.error),
            )
        )
    )
    render_failed_tests(console, result)


def render_failed_tests(console: Console, result: RefreshResult) -> None:
    if result.failed_tests:
        console.print()
        console.print(
            table("Failed tests", ("test", "what it found"), ((t.name, t.message) for t in result.failed_tests))
        )


def render_tests(console: Console, result: RefreshResult) -> None:
    """The results of a refresh's tests that ran after it was shown."""
    console.print(facts((("tests", tests_sentence(result)),)))
    render_failed_tests(console, result)


def _models(result: RefreshResult) -> str:
    slowest = max(result.models, key=lambda node: node.seconds, default=None)
    skipped = f"; {result.models_skipped} skipped as unaffected" if result.models_skipped else ""
    named = f", the slowest {slowest.name} in {slowest.seconds:.1f} s" if slowest else ""
    return f"{len(result.models)} built{named}{skipped}"


def tests_sentence(result: RefreshResult) -> str:
    passed = f"{len(result.tests) - len(result.failed_tests)} of {len(result.tests)} passed"
    if not result.tests_skipped:
        return passed
    return f"{passed}; {result.tests_skipped} others are left for the daily tests (or: myi refresh --all-tests)"


def _changed(result: RefreshResult) -> str:
    return (
        f"{counted(result.changed_days, 'user-day')}, {counted(result.changed_contents, 'content')},"
        f" {counted(result.changed_users, 'user')}"
    )
