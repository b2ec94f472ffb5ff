"""What every command begins with: settings, logs, a correlation id, and the warehouse.

A child process gets the same settings and the same correlation id through `Session.settings.environment()`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from myi_pipeline.cli.output import Output
from myi_pipeline.errors import MyiError
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.settings import LogLevel, Settings, load_settings, unknown_variables

if TYPE_CHECKING:
    from myi_pipeline.postgres.connections import Warehouse

log = structlog.get_logger(__name__)

# Set by the root command's --debug, read where commands start and end.
debug_wanted: ContextVar[bool] = ContextVar("myi_debug_wanted", default=False)

JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, all else on standard error.")
]
UserFilter = Annotated[str | None, typer.Option("--user", metavar="KEY", help="Only this user.")]


class WrongUsage(MyiError):
    """The command line asks for something that makes no sense; exit code 2."""


@dataclass(frozen=True)
class Session:
    settings: Settings
    output: Output


def open_session(*, as_json: bool = False, log_level: LogLevel | None = None) -> Session:
    """Raises SettingsError. `log_level` is the command's own default, where the settings do not say."""
    settings = load_settings()
    settings = settings.model_copy(update={"correlation_id": start_correlation(settings.correlation_id)})
    configure_logs(level=_level(settings, log_level), layout=settings.log_format.value)
    for name, closest in unknown_variables():
        log.warning("setting_without_effect", variable=name, perhaps_meant=closest)
    return Session(settings=settings, output=Output(as_json=as_json))


def _level(settings: Settings, wanted: LogLevel | None) -> str:
    if debug_wanted.get():
        return LogLevel.DEBUG
    if "log_level" in settings.model_fields_set:
        return settings.log_level
    if wanted is not None:
        return wanted
    # Beside a progress bar only what went wrong is shown, not every step.
    return LogLevel.WARNING if sys.stderr.isatty() else settings.log_level


@contextmanager
def warehouse(session: Session) -> Iterator[Warehouse]:
    """The open warehouse; the import is late, so that --help needs no driver."""
    from myi_pipeline.cli.audit import record
    from myi_pipeline.operations.open_warehouse import open_warehouse

    with open_warehouse(session.settings) as opened:
        try:
            yield opened
        except typer.Exit:
            record(opened)
            raise
        record(opened)
