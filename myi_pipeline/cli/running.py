"""`myi up` and `myi env`: what keeps this installation running."""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated

import typer

from myi_pipeline.cli.session import Session, open_session, warehouse
from myi_pipeline.settings import LogLevel


def up_command(
    sql_port: Annotated[
        int | None,
        typer.Option(
            "--sql-port", metavar="N", min=1024, max=65535, help="Let BI tools in as analyst, at 127.0.0.1:N."
        ),
    ] = None,
) -> None:
    """Run everything until Ctrl-C: Postgres (if embedded), Dagster's pages and its daemon."""
    from myi_pipeline.supervisor import run_up

    # Who runs a service in the foreground wants to see what it does.
    session = open_session(log_level=LogLevel.INFO)
    given = {} if sql_port is None else {"sql_port": sql_port}
    raise typer.Exit(run_up(session.settings.model_copy(update=given)))


def keep_running(session: Session) -> int:
    """The same after another command; on standard error, so that its answer stays one document."""
    from myi_pipeline.supervisor import run_up

    return run_up(session.settings, announce=session.output.note)


def env_command() -> None:
    """Print shell commands after which bare `dagster` commands find this installation: eval "$(myi env)"."""
    from myi_pipeline.cli.hold_database import hold_for_parent
    from myi_pipeline.services.prepare_dagster import prepare_dagster

    session = open_session()
    with warehouse(session) as opened:
        values = prepare_dagster(session.settings, opened)
        if opened.embedded:
            hold_for_parent(session.settings, dict(os.environ))
    sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
