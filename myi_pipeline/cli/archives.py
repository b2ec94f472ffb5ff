"""`myi imports` and `myi quarantine`: what was handed in, and what of it was refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from myi_pipeline.cli.output import day, facts, moment, number, size, table
from myi_pipeline.cli.session import JsonOption, UserFilter, open_session, warehouse

if TYPE_CHECKING:
    from myi_pipeline.services.list_imports import ImportDetail

imports_app = typer.Typer(help="Archives that were imported.", no_args_is_help=True, rich_markup_mode=None)
quarantine_app = typer.Typer(help="Rows that could not be plays.", no_args_is_help=True, rich_markup_mode=None)

Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")]


@imports_app.command("list")
def list_command(user: UserFilter = None, limit: Limit = 50, as_json: JsonOption = False) -> None:
    """List imports, the newest first."""
    from myi_pipeline.services import list_imports, manage_users
    from myi_pipeline.warehouse.connections import Role

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
            ">read", ">new", ">present", ">identical", ">quarantined", "covers",
        )  # fmt: skip
        rows = (
            (
                i.import_id, i.user_key, i.archive_name, i.kind, i.status, number(i.attempt),
                number(i.rows_read), number(i.rows_loaded), number(i.rows_present), number(i.rows_identical),
                number(i.rows_quarantined), f"{day(i.covered_from)} - {day(i.covered_to)}" if i.covered_from else "",
            )
            for i in found
        )  # fmt: skip
        console.print(table(None, columns, rows))

    session.output.result({"imports": found}, render)


@imports_app.command("show")
def show_command(
    import_id: Annotated[int, typer.Argument(metavar="ID", help="The import's number.", min=1)],
    as_json: JsonOption = False,
) -> None:
    """Show one import: its files, their accounting, and why rows are in quarantine."""
    from myi_pipeline.services import list_imports
    from myi_pipeline.warehouse.connections import Role

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
        ("status", f"{i.status} (attempt {i.attempt})"),
        ("error", i.error),
        *(("warning", warning) for warning in i.warnings),
        ("covers", f"{moment(i.covered_from)} - {moment(i.covered_to)} UTC" if i.covered_from else None),
        ("read", f"{number(i.rows_read)} rows, {size(i.bytes_read)}"),
        ("started", moment(i.started_at)),
        ("finished", moment(i.finished_at)),
        ("unknown keys", unknown),
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
    """List rows that could not be plays: where they stood, why, and what they held (less personal fields)."""
    from myi_pipeline.services import list_imports, manage_users
    from myi_pipeline.warehouse.connections import Role

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
                f"No rows of reason {reason!r}; in quarantine there are: {known}"
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
