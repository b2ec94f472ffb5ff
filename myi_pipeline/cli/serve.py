"""`myi up` and `myi api`, which run until Ctrl-C."""

from __future__ import annotations

import logging
import runpy
import signal
import sys
from typing import Annotated

import typer

from myi_pipeline.cli.session import Session, open_session, warehouse
from myi_pipeline.settings import LogLevel


def up_command(
    sql_port: Annotated[
        int | None,
        typer.Option(
            "--sql-port",
            metavar="N",
            min=1024,
            max=65535,
            help="Let BI tools connect with the analyst role, at 127.0.0.1:N.",
        ),
    ] = None,
) -> None:
    """Run everything until Ctrl-C: Postgres (if embedded), Dagster, the API and its pages."""
    from myi_pipeline.operations.parts import CODE_SERVER
    from myi_pipeline.operations.supervisor import Forks, run_up

    # A person who runs a service in the foreground wants to see what it does.
    session = open_session(log_level=LogLevel.INFO)
    given = {} if sql_port is None else {"sql_port": sql_port}
    forks = Forks()
    # What all of them import is in memory once, as far as none writes to it.
    if forks.api.fork(name="myi api", others=[forks.daemon, forks.code_server]) is not None:
        api_command()
        return
    words = forks.code_server.fork(name="code server", others=[forks.daemon, forks.api])
    if words is not None:
        # As in a program that begins: Dagster handles signals and writes its lines itself.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        logging.getLogger().handlers.clear()
        # The words name it, so it has another owner.
        forks.daemon.file.detach()
        # As its command does, and not by an import: no command imports Dagster.
        sys.argv = [CODE_SERVER, *words]
        runpy.run_module(CODE_SERVER, run_name="__main__", alter_sys=True)
        return
    raise typer.Exit(run_up(session.settings.model_copy(update=given), forks=forks))


def keep_running(session: Session) -> int:
    """The same after another command; logs go to standard error, so that the answer stays one document."""
    from myi_pipeline.operations.supervisor import run_up

    return run_up(session.settings, announce=session.output.note)


def api_command() -> None:
    """Serve the API and its pages until Ctrl-C; `myi up` does that too."""
    from myi_pipeline.operations.maintenance import forget_left_copies
    from myi_pipeline.web.server import run_api

    session = open_session(log_level=LogLevel.INFO)
    forget_left_copies(session.settings)
    with warehouse(session) as opened:
        session.output.note(f"MYI: {session.settings.site_url} (stop with Ctrl-C)")
        run_api(session.settings, opened)
