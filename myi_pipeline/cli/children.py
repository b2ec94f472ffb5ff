"""What a command leaves to child processes, because it needs dagster or dbt in memory.

Belongs here: starting such a child, telling it what to do, waiting for it. Not here: its work.
Invariants: a child gets this command's settings and correlation id through its environment and secrets by no other way;
no child outlives the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from myi_pipeline.cli.session import Session
from myi_pipeline.settings import Settings

if TYPE_CHECKING:
    from myi_pipeline.services.import_results import ImportResult
    from myi_pipeline.warehouse.connections import Warehouse

log = structlog.get_logger(__name__)

# Importing dagster takes 7 CPU seconds; on a slow machine under load that has been a minute.
REPORT_TIMEOUT_S = 180.0


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with the settings in it."""
    return {**os.environ, **settings.environment()}


@dataclass
class Report:
    """Whether Dagster knows; set when the context of reporting_to_dagster has ended."""

    succeeded: bool = False


def dagster_environment(session: Session, opened: Warehouse) -> dict[str, str]:
    """What every process of Dagster gets: the settings, and where Dagster's home and storage are."""
    from myi_pipeline.services.prepare_dagster import prepare_dagster

    return child_environment(session.settings) | prepare_dagster(session.settings, opened)


@contextmanager
def reporting_to_dagster(session: Session, opened: Warehouse, results: Sequence[ImportResult]) -> Iterator[Report]:
    """Tells Dagster about imports while the context runs, and waits for that at its end."""
    report = Report()
    import_ids = [str(result.import_id) for result in results if result.import_id is not None]
    child = subprocess.Popen(
        [sys.executable, "-m", "myi_pipeline.defs.report_import", *import_ids],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dagster_environment(session, opened),
        encoding="utf-8",
        errors="replace",
        # Ctrl-C reaches the whole group: this process decides, and ends its child.
        start_new_session=True,
    )
    said: list[str] = []
    # A thread drains the pipe, so that a talkative child never waits for the refresh.
    talker = threading.Thread(target=lambda: said.append(child.communicate()[1]), daemon=True)
    talker.start()
    try:
        yield report
        talker.join(REPORT_TIMEOUT_S)
        report.succeeded = child.poll() == 0
        if not report.succeeded:
            log.warning("report_to_dagster_failed", exit_code=child.poll(), output=_tail(said))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(10)
        talker.join(5)


def _tail(said: Sequence[str]) -> str:
    return "\n".join("".join(said).strip().splitlines()[-5:])
