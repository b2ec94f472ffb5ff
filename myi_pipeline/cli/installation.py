"""`myi migrate` and `myi psql`: the database itself."""

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

from myi_pipeline.cli.session import JsonOption, open_session, warehouse
from myi_pipeline.core.errors import Permanent

if TYPE_CHECKING:
    from myi_pipeline.warehouse.connections import ConnectionParts

# libpq's options that have a variable of their own; the rest of a URL's options psql does not need.
_LIBPQ_VARIABLES = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "options": "PGOPTIONS",
    "hostaddr": "PGHOSTADDR",
    "service": "PGSERVICE",
}


def migrate_command(as_json: JsonOption = False) -> None:
    """Bring the database's roles, rights and schema to this program's version. Every command does so when it must."""
    from myi_pipeline.services.open_warehouse import open_warehouse
    from myi_pipeline.warehouse.migrations import schema_state

    session = open_session(as_json=as_json)
    with open_warehouse(session.settings, migrate=True, repair=True) as opened:
        state = schema_state(opened)
        document = {"database": opened.database, "embedded": opened.embedded, "schema_version": state.current}

    def render(console: Console) -> None:
        console.print(f"Database {document['database']} is at version {state.current}; roles and rights are in order.")

    session.output.result(document, render)


def psql_command(
    commands: Annotated[
        list[str] | None, typer.Option("--command", "-c", metavar="SQL", help="Run this and leave; may be repeated.")
    ] = None,
    owner: Annotated[bool, typer.Option("--owner", help="As the owner: every schema, reading and writing.")] = False,
    url: Annotated[bool, typer.Option("--url", help="Only print the connection's URL, password included.")] = False,
) -> None:
    """Open psql on the warehouse, as analyst: every user's marts, reading only."""
    from myi_pipeline.services.sql_access import connection_url
    from myi_pipeline.warehouse.connections import Role

    session = open_session()
    role = Role.OWNER if owner else Role.ANALYST
    with warehouse(session) as opened:
        if url:
            sys.stdout.write(connection_url(session.settings, opened, role=role) + "\n")
            return
        parts = opened.parts(role)
        arguments = [psql_program(), *(("--no-psqlrc", "-v", "ON_ERROR_STOP=1") if commands else ())]
        arguments += [part for command in commands or () for part in ("-c", command)]
        child = subprocess.Popen(arguments, env={**os.environ, **libpq_environment(parts)})
        # Ctrl-C belongs to psql while it runs: it cancels a query and does not end the session.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = child.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    raise typer.Exit(0 if code == 0 else 1)


def psql_program() -> str:
    """psql from PATH, else the one that comes with the embedded Postgres. Raises Permanent when there is neither."""
    found = shutil.which("psql")
    if found is not None:
        return found
    from myi_pipeline.warehouse.embedded.binaries import find_binaries

    bundled = find_binaries().path("psql")
    if not os.access(bundled, os.X_OK):
        raise Permanent("there is no psql on this machine; on Debian: apt-get install postgresql-client")
    return bundled


def libpq_environment(parts: ConnectionParts) -> Mapping[str, str]:
    """The connection as libpq's variables: nothing of it appears in the list of processes. Secret."""
    values = {
        "PGHOST": parts.host,
        "PGPORT": str(parts.port),
        "PGUSER": parts.user,
        "PGDATABASE": parts.database,
        "PGAPPNAME": "myi psql",
        **({"PGPASSWORD": parts.password} if parts.password else {}),
    }
    return values | {_LIBPQ_VARIABLES[name]: value for name, value in parts.options.items() if name in _LIBPQ_VARIABLES}
