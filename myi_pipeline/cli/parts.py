"""`myi webserver`, `myi daemon`, `myi code` and `myi worker`: parts of `myi up`, each alone on some host."""

from __future__ import annotations

import os
import socket
import sys
from typing import Annotated

import typer

from myi_pipeline.cli.session import Session, WrongUsage, open_session, warehouse
from myi_pipeline.settings import LogLevel
from myi_pipeline.settings.kinds import LOOPBACK


def _session() -> Session:
    # Someone who runs a service in the foreground wants to see what it does.
    return open_session(log_level=LogLevel.INFO)


def webserver_command() -> None:
    """Serve Dagster's pages, behind the sign-in, until Ctrl-C."""
    from myi_pipeline.operations import parts
    from myi_pipeline.operations.supervisor import refuse_used_port

    settings = _session().settings
    parts.refuse_embedded(settings)
    refuse_used_port(settings.dagster_port, host=settings.dagster_host)
    family = socket.AF_INET6 if ":" in settings.dagster_host else socket.AF_INET
    place = (settings.dagster_host, settings.dagster_port)
    listening = socket.create_server(place, family=family, backlog=parts.BACKLOG)
    os.set_inheritable(listening.fileno(), True)
    parts.become(settings, parts.pages(parts.alone_workspace(settings), listening, alone=True))


def daemon_command() -> None:
    """Run Dagster's daemon until Ctrl-C: schedules, sensors, the queue. There is one for each database."""
    from myi_pipeline.operations import parts

    settings = _session().settings
    parts.become(settings, parts.daemon(settings, parts.alone_workspace(settings), alone=True))


def code_command() -> None:
    """Serve Dagster's definitions at MYI_CODE_HOST and MYI_CODE_PORT until Ctrl-C, for the daemon and the webserver.

    It asks nobody for a password: let nobody else reach it.
    """
    from myi_pipeline.operations import parts
    from myi_pipeline.operations.maintenance import forget_left_copies
    from myi_pipeline.operations.supervisor import refuse_used_port

    session = _session()
    settings = session.settings
    refuse_used_port(settings.code_port, host=settings.code_host, variable="MYI_CODE_PORT")
    if settings.code_host not in LOOPBACK:
        session.output.note(f"whoever reaches {settings.code_host}:{settings.code_port} can start and read everything")
    forget_left_copies(settings)
    parts.become(settings, parts.code_server(settings))


def worker_env_command() -> None:
    """Print the variables of a worker on another host, with every password that it needs: keep them secret."""
    from myi_pipeline.operations import parts

    session = _session()
    parts.refuse_embedded(session.settings)
    if sys.stdout.isatty():
        raise WrongUsage("this prints every password: send it to a file, as in `(umask 077; myi worker-env > FILE)`")
    with warehouse(session) as opened:
        values = parts.variables_for_a_worker(session.settings, opened)
    sys.stdout.write("".join(f"{name}={value}\n" for name, value in values.items()))


def worker_command(
    queue: Annotated[list[str], typer.Option("--queue", metavar="NAME", help="Do runs of this queue; repeatable.")],
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=256, help="How many runs at once.")
    ] = 1,
) -> None:
    """Do runs that come by Celery until Ctrl-C, which lets those under way end; a second one ends them."""
    from myi_pipeline.operations import parts
    from myi_pipeline.operations.celery_workers import Queue
    from myi_pipeline.operations.maintenance import forget_left_copies

    unknown = [name for name in queue if name not in [each.value for each in Queue]]
    if unknown:
        raise WrongUsage(f"there is no queue {unknown[0]!r}: choose {', '.join(Queue)}")
    settings = _session().settings
    if settings.celery_broker_url is None:
        raise WrongUsage("MYI_CELERY_BROKER_URL is not set: a worker gets its runs from there")
    forget_left_copies(settings)
    parts.become(settings, parts.celery_worker(list(dict.fromkeys(queue)), concurrency=concurrency))
