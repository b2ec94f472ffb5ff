"""`myi refresh`, `myi verify` and `myi docs`: updating the marts, comparing them with a rebuild, describing them."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import counted, number, plain
from myi_pipeline.cli.refreshing import dbt_at_hand, refresh, refresh_document, render_refresh, verify
from myi_pipeline.cli.session import DAY, JsonOption, Session, WrongUsage, a_day, open_session, warehouse
from myi_pipeline.errors import Permanent

if TYPE_CHECKING:
    from myi_pipeline.marts.verify import VerifyResult


def refresh_command(
    user: Annotated[str | None, typer.Option("--user", metavar="KEY", help="Rebuild this user's days.")] = None,
    first: Annotated[
        date | None,
        typer.Option("--from", metavar=DAY, parser=a_day, help="With --user: from this day on (UTC)."),
    ] = None,
    last: Annotated[
        date | None,
        typer.Option("--to", metavar=DAY, parser=a_day, help="With --user: up to this day (UTC)."),
    ] = None,
    all_tests: Annotated[
        bool, typer.Option("--all-tests", help="Run every data test even if nothing has changed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the marts up to date with all changes; with --user, also rebuild that user's days."""
    if user is None and (first or last):
        raise WrongUsage("--from and --to need --user: everything that changed is refreshed anyway")
    if first and last and first > last:
        raise WrongUsage("--from must not be later than --to")
    session = open_session(as_json=as_json)
    marked = None
    with dbt_at_hand(session, is_sure=False) as dbt, warehouse(session) as opened:
        if user is not None:
            from myi_pipeline.marts.runs import mark_changed
            from myi_pipeline.people import manage_users
            from myi_pipeline.postgres.connections import Role

            with opened.connect(Role.INGEST, autocommit=True) as connection:
                manage_users.get_user(connection, user_key=user)
            marked = mark_changed(opened, user_key=user, first_day=first, last_day=last)
            session.output.note(f"{counted(marked, 'day')} of {user} will be recomputed.")
        result = refresh(session, opened, dbt=dbt, all_tests=all_tests)
    session.output.result(
        {**(refresh_document(result) or {}), "marked_days": marked}, lambda console: render_refresh(console, result)
    )
    raise typer.Exit(0 if result.is_good else 1)


def verify_command(
    rows: Annotated[
        int, typer.Option("--rows", min=0, max=1_000_000, help="Print at most N differing rows of each mart.")
    ] = 1000,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="EXPORT",
            exists=True,
            dir_okay=False,
            help="Instead, compare one user's marts with a file from `myi export`, by names and times.",
        ),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user", metavar="KEY", help="With --against: the user here; default: the user with the export's key."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Refresh, rebuild every mart next to the live ones, and print each row that differs.

    With --against, compare one user's marts with an export.
    """
    if user is not None and against is None:
        raise WrongUsage("--user needs --against: everybody's marts are compared with their rebuild")
    session = open_session(as_json=as_json)
    if against is not None:
        _verify_against(session, against, user=user, rows=rows)
    with warehouse(session) as opened:
        result = verify(session, opened, examples=rows)
    session.output.result(verify_document(result), lambda console: render_verify(console, result))
    raise typer.Exit(0 if result.is_good else 1)


def _verify_against(session: Session, path: Path, *, user: str | None, rows: int) -> None:
    from myi_pipeline.archives.reading_settings import archive_limits
    from myi_pipeline.operations.take_away.compare import compare_with_export

    with dbt_at_hand(session, is_sure=False) as dbt, warehouse(session) as opened:
        refreshed = refresh(session, opened, dbt=dbt, run_tests=False)
        if refreshed.status not in ("completed", "nothing"):
            raise Permanent(f"the marts could not be refreshed: {refreshed.error}")
        found = compare_with_export(
            opened, path=path, user_key=user, limits=archive_limits(session.settings), examples=rows
        )

    def render(console: Console) -> None:
        for each in found.differing:
            console.print(Text(f"{each.table}: {number(each.told)} rows in the export, {number(each.here)} here"))
            if each.error:
                console.print(Text(f"  {plain(each.error)}"))
            for sign, examples in (("export", each.only_told), ("here  ", each.only_here)):
                for row in examples:
                    console.print(Text(f"  {sign} {plain(row)}"), soft_wrap=True)
            if each.is_cut:
                console.print("  ... and more")
        verdict = f"{len(found.differing)} differ" if found.differing else "all equal"
        console.print(
            f"{len(found.tables)} tables of {found.user_key} compared with the export of {found.made_at}: {verdict}."
        )

    document = {
        "is_good": found.is_good, "user": found.user_key, "export_made_at": found.made_at, "tables": found.tables
    }  # fmt: skip
    session.output.result(document, render)
    raise typer.Exit(0 if found.is_good else 1)


def verify_document(result: VerifyResult) -> dict[str, Any]:
    return {
        "is_good": result.is_good,
        "error": result.error,
        "refresh": refresh_document(result.refresh),
        "marts": result.marts,
        "users_left_out": result.users_left_out,
        "contents_left_out": result.contents_left_out,
        "seconds": round(result.seconds, 3),
    }


def render_verify(console: Console, result: VerifyResult) -> None:
    for mart in result.differing:
        console.print(
            Text(f"{mart.mart}: {counted(mart.only_live, 'row')} only live, {number(mart.only_rebuilt)} only rebuilt")
        )
        if mart.error:
            console.print(Text(f"  {plain(mart.error)}"))
        for sign, count, examples in (
            ("live   ", mart.only_live, mart.examples_live),
            ("rebuilt", mart.only_rebuilt, mart.examples_rebuilt),
        ):
            for row in examples:
                console.print(Text(f"  {sign} {plain(row)}"), soft_wrap=True)
            if count > len(examples):
                console.print(f"  {sign} ... and {number(count - len(examples))} more")
    if result.error:
        console.print(Text(f"The marts could not be verified: {plain(result.error)}"), soft_wrap=True)
        return
    left_out = ""
    if result.users_left_out or result.contents_left_out:
        left_out = (
            f"; left out because they changed in the meantime: {counted(result.users_left_out, 'user')},"
            f" {counted(result.contents_left_out, 'content')}"
        )
    verdict = f"{len(result.differing)} differ from" if result.differing else "each equals"
    console.print(f"{len(result.marts)} marts compared in {result.seconds:.1f} s: {verdict} its rebuild{left_out}.")


docs_app = typer.Typer(help="The description of the marts.", no_args_is_help=True)


@docs_app.command("build")
def build_command(as_json: JsonOption = False) -> None:
    """Build a self-contained page that describes every mart, its columns and its lineage."""
    from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
    from myi_pipeline.marts.docs import build_docs

    session = open_session(as_json=as_json)
    page = session.settings.docs_page
    # A separate folder: a refresh may be using the usual one.
    target = page.parent / "target"
    session.output.note("dbt reads the project and the database; this takes about half a minute.")
    try:
        with warehouse(session) as opened, DbtProcess() as dbt:
            environment = dbt_environment(opened, target=target, logs=session.settings.dbt_logs)
            build_docs(dbt, environment=environment, page=page)
    finally:
        shutil.rmtree(target, ignore_errors=True)
    session.output.result(
        {"page": str(page), "url": session.settings.docs_url},
        lambda console: console.print(
            f"{page}\nWhile `myi up` runs also at {session.settings.docs_url}", soft_wrap=True
        ),
    )


@docs_app.command("serve")
def serve_command() -> None:
    """Serve that page on this machine until Ctrl-C; `myi up` does so automatically."""
    from myi_pipeline.errors import Permanent
    from myi_pipeline.marts.docs import docs_server

    session = open_session()
    settings = session.settings
    try:
        server = docs_server(settings.docs_page, settings.docs_port)
    except OSError as error:
        raise Permanent(f"port {settings.docs_port} cannot be used: {error.strerror}; set MYI_DOCS_PORT") from None
    session.output.note(f"{settings.docs_url}, until Ctrl-C")
    with server:
        server.serve_forever()
