"""`myi doctor`, `myi migrate` and `myi psql`: looking after an installation and its database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from myi_pipeline.cli.output import plain
from myi_pipeline.cli.session import JsonOption, open_session, warehouse
from myi_pipeline.errors import Permanent

if TYPE_CHECKING:
    from myi_pipeline.operations.doctor.check import Check
    from myi_pipeline.postgres.connections import ConnectionParts


def doctor_command(
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="First take over an embedded database that belongs to another MYI_HOME."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check this installation for problems and show how to fix them. Only --adopt changes anything."""
    from myi_pipeline.operations.doctor.check import Status
    from myi_pipeline.operations.doctor.run import run_checks

    session = open_session(as_json=as_json)
    if adopt:
        from myi_pipeline.operations.open_warehouse import adopt_database

        session.output.note(f"The database in {adopt_database(session.settings)} now belongs to this MYI_HOME.")
    checks = run_checks(session.settings)
    failed = sum(check.status == Status.FAIL for check in checks)
    session.output.result({"healthy": not failed, "checks": checks}, lambda console: _render(console, checks))
    raise typer.Exit(1 if failed else 0)


def _render(console: Console, checks: list[Check]) -> None:
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    widest = max((len(check.name) for check in checks), default=0)
    for check in checks:
        line = Text(f"{check.status.value:<5}", style=styles[check.status.value])
        line.append(f"{check.name:<{widest}}  {plain(check.found)}", style="default")
        console.print(line, soft_wrap=True)
        if check.mend:
            console.print(Text(f"{'':<{widest + 5}}  -> {plain(check.mend)}"), soft_wrap=True)


def migrate_command(
    make_roles: Annotated[
        bool,
        typer.Option(
            "--make-roles",
            help="On your own server: create the roles and databases, or give existing roles new passwords.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Bring the database's roles, rights and schema to this program's version. Every command does so when necessary."""
    from myi_pipeline.cli.audit import record
    from myi_pipeline.operations.open_warehouse import open_warehouse
    from myi_pipeline.postgres.migrations import schema_state

    session = open_session(as_json=as_json)
    with open_warehouse(session.settings, migrate=True, repair=True, make_roles=make_roles) as opened:
        state = schema_state(opened)
        document = {"database": opened.database, "embedded": opened.embedded, "schema_version": state.current}
        record(opened)

    def render(console: Console) -> None:
        console.print(
            f"Database {document['database']} is at version {state.current}; roles and rights are up to date."
        )

    session.output.result(document, render)


def psql_command(
    commands: Annotated[
        list[str] | None,
        typer.Option("--command", "-c", metavar="SQL", help="Run this command and exit; can be repeated."),
    ] = None,
    owner: Annotated[
        bool, typer.Option("--owner", help="Connect as the owner: every schema, reading and writing.")
    ] = False,
    url: Annotated[bool, typer.Option("--url", help="Only print the connection's URL, password included.")] = False,
) -> None:
    """Open a SQL prompt (psql) with the read-only analyst role, which sees every user's marts."""
    from myi_pipeline.operations.sql_access import connection_url
    from myi_pipeline.postgres.connections import Role, url_parts

    session = open_session()
    role = Role.OWNER if owner else Role.ANALYST
    with warehouse(session) as opened:
        if url:
            sys.stdout.write(connection_url(session.settings, opened, role=role) + "\n")
            return
        parts = url_parts(opened.replica_url(role) or opened.url(role))
        arguments = [psql_program(), *(("--no-psqlrc", "-v", "ON_ERROR_STOP=1") if commands else ())]
        arguments += [part for command in commands or () for part in ("-c", command)]
        child = subprocess.Popen(arguments, env={**os.environ, **libpq_environment(parts)})
        # Ctrl-C goes to psql while it runs: it cancels a query and does not end the session.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = child.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    raise typer.Exit(0 if code == 0 else 1)


def psql_program() -> str:
    """psql from PATH, or else from the embedded Postgres. Raises Permanent if there is neither."""
    found = shutil.which("psql")
    if found is not None:
        return found
    from myi_pipeline.postgres.embedded.binaries import find_binaries

    bundled = find_binaries().path("psql")
    if not os.access(bundled, os.X_OK):
        raise Permanent("there is no psql on this machine; on Debian: apt-get install postgresql-client")
    return bundled


def libpq_environment(parts: ConnectionParts) -> Mapping[str, str]:
    """The connection as libpq variables, so that none of it appears in the process list. Secret."""
    from myi_pipeline.postgres.connections import libpq_options

    values = {
        "PGHOST": parts.host,
        "PGPORT": str(parts.port),
        "PGUSER": parts.user,
        "PGDATABASE": parts.database,
        "PGAPPNAME": "myi psql",
        **({"PGPASSWORD": parts.password} if parts.password else {}),
    }
    return values | libpq_options(parts)
