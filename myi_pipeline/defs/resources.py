"""What assets, checks, sensors and schedules share: this installation as a resource, tags, and how checks are built.

Settings are not Dagster configuration, because the UI shows that: they never enter run config, metadata or the event
log.
"""

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
import psycopg
from dagster import DagsterInstance, DagsterRun

from myi_pipeline.errors import MyiError
from myi_pipeline.logs import start_correlation
from myi_pipeline.operations.checks import Finding, logins_are_good
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings

# Ties a run's log lines to those of the process that asked for it; a run without one starts its own.
CORRELATION_TAG = "myi/correlation_id"
# The state of the change ledger at which a refresh was asked for.
LEDGER_TAG = "myi/ledger_state"
# Here and not with the marts, so that a process which only sets its limit does not import dbt.
DBT_POOL = "dbt"


_ERROR = dg.AssetCheckSeverity.ERROR
# The operator of the installation; Dagster knows people by e-mail and teams by name.
OWNERS = ["team:operator"]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Installation:
    """This installation: its settings, and the clock that polls go by."""

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


def has_logins(settings: Settings) -> bool:
    """Whether anybody is signed in to Spotify; no, when that cannot be known now."""
    try:
        with open_warehouse(settings, migrate=False) as warehouse:
            return bool(logins_are_good(warehouse).figures["logins"])
    except (MyiError, psycopg.Error):
        return False


@contextmanager
def dagster_instance(settings: Settings) -> Iterator[DagsterInstance]:
    """This installation's instance, in a process that was not started with Dagster's environment."""
    with open_warehouse(settings) as warehouse:
        os.environ.update(prepare_dagster(settings, warehouse))
        with DagsterInstance.get() as instance:
            yield instance


def start_run_correlation(run: DagsterRun) -> str:
    """The correlation id of this run, for its log lines and for the code that it calls."""
    return start_correlation(run.tags.get(CORRELATION_TAG) or f"run-{run.run_id[:8]}")


Question = Callable[[Installation, Warehouse], Finding]


def build_check(
    key: dg.AssetKey, name: str, description: str, ask: Question, *, is_urgent: Callable[[Finding], bool] | None = None
) -> dg.AssetChecksDefinition:
    """`is_urgent` says whether a failure is an error; without it every one is."""

    @dg.asset_check(asset=key, name=name, description=description)
    def check(installation: dg.ResourceParam[Installation]) -> dg.AssetCheckResult:
        with installation.open() as warehouse:
            finding = ask(installation, warehouse)
        return dg.AssetCheckResult(
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.ERROR
            if is_urgent is None or is_urgent(finding)
            else dg.AssetCheckSeverity.WARN,
            description=finding.text,
            metadata=dict(finding.figures),
        )

    return check


def ask_warehouse(ask: Callable[[Warehouse], Finding]) -> Question:
    """A question that needs nothing but the warehouse."""
    return lambda _, warehouse: ask(warehouse)
