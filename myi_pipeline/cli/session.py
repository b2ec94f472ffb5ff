"""What every command starts with: settings, logs, a correlation id, and the warehouse.

A child process gets the same settings and correlation id through `Session.settings.environment()`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from myi_pipeline.cli.output import Output
from myi_pipeline.error_reports import start_error_reports
from myi_pipeline.errors import BadInput, MyiError, UnknownUser
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.settings import LogLevel, Settings, load_settings, unknown_variables

if TYPE_CHECKING:
    from myi_pipeline.postgres.connections import Warehouse

log = structlog.get_logger(__name__)

# Set by the root command's --debug; read where commands start and end.
debug_wanted: ContextVar[bool] = ContextVar("myi_debug_wanted", default=False)

JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON document on standard output, everything else on standard error.")
]
UserFilter = Annotated[str | None, typer.Option("--user", metavar="KEY", help="Only this user.")]


class WrongUsage(MyiError):
    """The command line asks for something that makes no sense; exit code 2."""


@contextmanager
def checking_options() -> Iterator[None]:
    """For checks of what was typed: what they refuse is wrong usage. Elsewhere BadInput is input that was refused."""
    try:
        yield
    except UnknownUser:
        raise
    except BadInput as error:
        raise WrongUsage(str(error)) from error


# Names of options for typer: `formats` would show them as strptime's.
DAY, MOMENT = "YYYY-MM-DD", "YYYY-MM-DD[THH:MM]"


def a_day(text: str) -> date:
    """The parser of options that are days."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day of the calendar, written {DAY}.") from None


def a_moment(text: str) -> datetime:
    """The parser of options that are a day, or a minute of it; UTC."""
    for form in ("%Y-%m-%d", "%Y-%m-%dT%H:%M"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise typer.BadParameter(f"{text!r} is not a day or a minute, written {MOMENT}.")


@dataclass(frozen=True)
class Session:
    settings: Settings
    output: Output


def open_session(*, as_json: bool = False, log_level: LogLevel | None = None) -> Session:
    """Raises SettingsError. `log_level` is the command's own default if the settings have none."""
    settings = load_settings()
    settings = settings.model_copy(update={"correlation_id": start_correlation(settings.correlation_id)})
    configure_logs(level=_level(settings, log_level), layout=settings.log_format.value)
    start_error_reports(settings, part="command")
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
    # Next to a progress bar, only problems are logged, not every step.
    return LogLevel.WARNING if sys.stderr.isatty() else settings.log_level


@contextmanager
def warehouse(session: Session) -> Iterator[Warehouse]:
    """The open warehouse; imported late, so that --help needs no driver."""
    from myi_pipeline.cli.audit import record
    from myi_pipeline.operations.open_warehouse import open_warehouse

    with open_warehouse(session.settings) as opened:
        try:
            yield opened
        except typer.Exit:
            record(opened)
            raise
        record(opened)
