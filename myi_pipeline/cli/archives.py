"""`myi imports` and `myi quarantine`: what was imported, and what was refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import day, facts, moment, number, size, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse

if TYPE_CHECKING:
    from myi_pipeline.archives.list_imports import ImportDetail, ImportSummary

imports_app = typer.Typer(help="Archives that were imported.", no_args_is_help=True, rich_markup_mode=None)
quarantine_app = typer.Typer(help="Rows that could not be plays.", no_args_is_help=True, rich_markup_mode=None)

Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="Show at most N.")]


@imports_app.command("list")
def list_command(user: UserFilter = None, limit: Limit = 50, as_json: JsonOption = False) -> None:
    """List imports, newest first."""
    from myi_pipeline.archives import list_imports
    from myi_pipeline.people import manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        if user is not None:
            manage_users.get_user(connection, user_key=user)
        found = list_imports.list_imports(connection, user_key=user, limit=limit)

    def render(console: Console) -> None:
        if not found:
            console.print("No imports yet. Begin with: myi import PATH --user KEY")
            return
        columns = (
            "import", "user", "archive", "kind", "status", ">attempt",
            ">read", ">new", ">present", ">identical", ">quarantined", "covers", "why",
        )  # fmt: skip
        rows = (
            (
                i.import_id, i.user_key, i.archive_name, i.kind, _state(i), number(i.attempt),
                number(i.rows_read), number(i.rows_loaded), number(i.rows_present), number(i.rows_identical),
                number(i.rows_quarantined), f"{day(i.covered_from)} - {day(i.covered_to)}" if i.covered_from else "",
                _why(i),
            )
            for i in found
        )  # fmt: skip
        console.print(table(None, columns, rows))

    session.output.result({"imports": found}, render)


def _state(summary: ImportSummary) -> str:
    return "waiting for confirmation" if summary.needs_confirmation else summary.status


def _why(summary: ImportSummary) -> str:
    """Why an import is not complete, and when it is tried again."""
    if summary.status not in ("failed", "pending") or summary.error is None:
        return ""
    again = f" (next try {moment(summary.next_try_at)})" if summary.next_try_at else ""
    return f"{summary.error}{again}"


@imports_app.command("retry")
def retry_command(
    import_id: Annotated[int, typer.Argument(metavar="ID", help="The import's id.", min=1)],
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm that it belongs to this user, although another user has imported it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Retry a failed import, or confirm one that is waiting for confirmation."""
    from myi_pipeline.archives.uploads.upload_log import retry_import
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        summary = retry_import(connection, import_id=import_id, is_confirmed=yes)

    def render(console: Console) -> None:
        if summary.upload_name is None:
            console.print(f"Import {import_id} can be retried: run `myi import` on the archive again.")
        else:
            console.print(f"Import {import_id} is queued: `myi up` imports it within a minute.")

    session.output.result(summary, render)


@imports_app.command("show")
def show_command(
    import_id: Annotated[int, typer.Argument(metavar="ID", help="The import's id.", min=1)],
    as_json: JsonOption = False,
) -> None:
    """Show one import: its files, their accounting, and the reasons for quarantined rows."""
    from myi_pipeline.archives import list_imports
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        detail = list_imports.get_import(connection, import_id=import_id)
    session.output.result(detail, lambda console: _render_detail(console, detail))


def _render_detail(console: Console, detail: ImportDetail) -> None:
    i = detail.summary
    unknown = ", ".join(f"{key} ({number(count)})" for key, count in i.unknown_keys.items())
    pairs = (
        ("import", i.import_id),
        ("user", i.user_key),
        ("archive", i.archive_name),
        ("sha256", i.sha256),
        ("kind", i.kind),
        ("status", f"{_state(i)} (attempt {i.attempt})"),
        ("next try", moment(i.next_try_at) if i.next_try_at else None),
        ("Dagster run", i.run_id),
        ("error", i.error),
        *(("warning", warning) for warning in i.warnings),
        ("plays", f"{moment(i.covered_from)} - {moment(i.covered_to)} UTC" if i.covered_from else None),
        ("read", f"{number(i.rows_read)} rows, {size(i.bytes_read)}"),
        ("started", moment(i.started_at)),
        ("finished", moment(i.finished_at)),
        ("left out", unknown),
        ("correlation id", i.correlation_id),
    )
    console.print(facts(pairs))
    console.print()
    columns = ("file", "status", ">read", ">new", ">present", ">identical", ">quarantined", "broke at")
    rows = [
        (
            f.file_name, f.status, number(f.rows_read), number(f.rows_loaded), number(f.rows_present),
            number(f.rows_identical), number(f.rows_quarantined),
            f"byte {number(f.error_offset)}: {f.error}" if f.error and f.error_offset is not None else f.error,
        )
        for f in detail.files
    ]  # fmt: skip
    console.print(table(None, columns, rows))
    if detail.quarantine:
        console.print()
        reasons = ((q.reason, number(q.rows), q.example) for q in detail.quarantine)
        console.print(table("Quarantined rows", ("reason", ">rows", "for example"), reasons))
        console.print(f"See them with: myi quarantine list --import {i.import_id}")


@quarantine_app.command("list")
def quarantine_command(
    user: UserFilter = None,
    import_id: Annotated[int | None, typer.Option("--import", metavar="ID", min=1, help="Only this import.")] = None,
    reason: Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Only this reason.")] = None,
    limit: Limit = 50,
    as_json: JsonOption = False,
) -> None:
    """List rows that could not be plays: position, reason and content (without personal fields)."""
    from myi_pipeline.archives import list_imports
    from myi_pipeline.people import manage_users
    from myi_pipeline.postgres.connections import Role

    session = open_session(as_json=as_json)
    with warehouse(session) as opened, opened.connect(Role.INGEST, autocommit=True) as connection:
        if user is not None:
            manage_users.get_user(connection, user_key=user)
        if import_id is not None:
            list_imports.get_import(connection, import_id=import_id)
        found = list_imports.list_quarantine(connection, user_key=user, import_id=import_id, reason=reason, limit=limit)
        reasons = list_imports.quarantine_reasons(connection) if reason and not found else ()

    def render(console: Console) -> None:
        if not found:
            known = ", ".join(reasons)
            console.print(
                f"No rows with reason {reason!r}; reasons in quarantine: {known}"
                if reason and known
                else "No rows in quarantine."
            )
            return
        columns = (">import", "user", "file", ">row", "reason", "what is wrong", "the row")
        rows = (
            (q.import_id, q.user_key, q.file_name, q.row_index, q.reason, q.detail, _short(q.row_content))
            for q in found
        )
        console.print(table(None, columns, rows))

    session.output.result({"rows": found}, render)


def _short(row: object) -> str:
    text = "" if row is None else json.dumps(row, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
