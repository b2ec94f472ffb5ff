"""What assets, checks, sensors and schedules are handed: this installation, as plain domain objects.

Belongs here: the way from settings to an open warehouse. Not here: Dagster's configuration of resources, because what
is configured there is shown in the UI. Invariant: settings never enter run config, metadata or the event log.
"""

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dagster import DagsterInstance, DagsterRun

from myi_pipeline.logs import start_correlation
from myi_pipeline.services.open_warehouse import Warehouse, open_warehouse
from myi_pipeline.services.prepare_dagster import prepare_dagster
from myi_pipeline.settings import Settings

# Ties a run's log lines to those of whoever asked for it; a run without one is its own reason.
CORRELATION_TAG = "myi/correlation_id"


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Installation:
    """The door of this machine's MYI: its settings, and what follows from them. The clock says when it is for polls."""

    settings: Settings = field(repr=False)
    clock: Callable[[], datetime] = utc_now

    @contextmanager
    def open(self) -> Iterator[Warehouse]:
        """The warehouse, with a lease on the embedded server meanwhile. An older schema is refused, not migrated."""
        with open_warehouse(self.settings, migrate=False) as warehouse:
            yield warehouse


_held = ExitStack()


def hold_server(settings: Settings) -> None:
    """Keep the embedded server for as long as this process lives: the shell that began it may be gone before it."""
    if settings.database_url is None:
        _held.close()
        _held.enter_context(open_warehouse(settings, migrate=False))


atexit.register(_held.close)


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """This installation's instance, in a process that was not started with Dagster's environment."""
    with open_warehouse(settings) as warehouse:
        os.environ.update(prepare_dagster(settings, warehouse))
        with DagsterInstance.get() as instance:
            yield instance


def start_run_correlation(run: DagsterRun) -> str:
    """The correlation id of this run, for its log lines and for the services that it calls."""
    return start_correlation(run.tags.get(CORRELATION_TAG) or f"run-{run.run_id[:8]}")
