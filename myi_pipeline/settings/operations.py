"""Settings: operation, logs and retention."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import Natural, Origin, Port, Positive


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def machine_time_zone() -> str:
    """The machine's IANA zone name, else UTC."""
    known = available_timezones()
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    try:
        _, _, after = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
        candidates.append(after)
        candidates.append(Path("/etc/timezone").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):
        pass
    return next((zone for zone in candidates if zone in known and zone != "localtime"), "UTC")


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError("is no IANA time zone, such as Europe/Berlin") from None
    return zone


class OperationsSettings(BaseSettings):
    """Ports beside the site's, logs, and how long things are kept."""

    docs_port: Port = Field(
        default=8899, description="Port of the description of the marts, on 127.0.0.1; Dagster's pages link to it."
    )
    dagster_port: Port = Field(default=3000, description="Port of Dagster's web pages, on 127.0.0.1.")
    dagster_public_url: Origin | None = Field(
        default=None, description="Where browsers reach Dagster's pages, if a proxy passes requests on to them."
    )
    event_log_days: Positive = Field(
        default=30, description="Dagster's finished runs and their events are forgotten after this many days."
    )
    quarantine_days: Positive = Field(
        default=365,
        description="Rows stay in quarantine for this many days after their import; its figures stay for good.",
    )
    disk_floor_mb: Natural = Field(
        default=1024,
        description="Uploads, imports and refreshes stop while less than this many MiB are free, so that Postgres never"
        " runs out of disk; 0: never.",
    )
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        default=LogLevel.INFO, description="debug, info, warning or error."
    )
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = Field(
        default=LogFormat.AUTO, description="json, console, or auto: json unless on a terminal."
    )
    correlation_id: str | None = Field(
        default=None, description="Ties the log lines of a child process to its parent's; generated when not set."
    )
    time_zone: Annotated[str, AfterValidator(_known_zone)] | None = Field(
        default=None, description="Zone of new users, such as Europe/Berlin; the machine's, else UTC."
    )

    @property
    def docs_url(self) -> str:
        return f"http://127.0.0.1:{self.docs_port}/"

    @property
    def new_user_time_zone(self) -> str:
        return self.time_zone or machine_time_zone()
