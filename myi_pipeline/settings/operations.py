"""Settings: operation, logs and retention."""

from __future__ import annotations

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import Folder, Natural, Origin, Port, Positive, listed

_DSN = re.compile(r"https?://[0-9A-Za-z]+(:[0-9A-Za-z]+)?@[^\s/@]+(/[^\s?#]*)?/[0-9]+\Z")


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
    """The machine's IANA zone name, or UTC."""
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
        raise ValueError("is not an IANA time zone, such as Europe/Berlin") from None
    return zone


def pool_limits_in(text: str) -> dict[str, int]:
    """`name=number`, separated by commas. Raises ValueError."""
    limits: dict[str, int] = {}
    for part in listed(text):
        name, _, number = (each.strip() for each in part.partition("="))
        if (
            not name
            or not number.isascii()
            or not number.isdecimal()
            or not 1 <= int(number) <= 1_000
            or name in limits
        ):
            raise ValueError("must be pools with their limits from 1 to 1000, such as warehouse_load=4,spotify_api=8")
        limits[name] = int(number)
    return limits


def _pools(text: str) -> str:
    pool_limits_in(text)
    return text


def _sentry_dsn(dsn: SecretStr) -> SecretStr:
    if not _DSN.match(dsn.get_secret_value()):
        raise ValueError("must be a Sentry DSN, such as https://key@sentry.example.org/1")
    return dsn


class OperationsSettings(BaseSettings):
    """Ports other than the site's, logs, and retention."""

    docs_port: Port = Field(
        default=8899, description="Port of the description of the marts, on 127.0.0.1; Dagster's pages link to it."
    )
    dagster_port: Port = Field(default=3000, description="Port of Dagster's web pages, on 127.0.0.1.")
    dagster_public_url: Origin | None = Field(
        default=None,
        description="Address at which browsers reach Dagster's pages, if a proxy forwards requests to them.",
    )
    dagster_yaml: Folder | None = Field(
        default=None, description="Dagster's instance settings: your own dagster.yaml instead of MYI's."
    )
    pool_limits: Annotated[str, AfterValidator(_pools)] = Field(
        default="",
        description="How many runs of a pool may execute at once, such as warehouse_load=4,spotify_api=8.",
    )
    event_log_days: Positive = Field(
        default=30, description="Dagster's finished runs and their events are deleted after this many days."
    )
    quarantine_days: Positive = Field(
        default=365,
        description="Rows stay in quarantine for this many days after their import; the import's figures stay forever.",
    )
    erasure_grace_days: Natural = Field(
        default=0,
        description="Days during which a user can withdraw a request for erasure; 0: it is carried out at once.",
    )
    disk_floor_mb: Natural = Field(
        default=1024,
        description="Uploads, imports and refreshes pause while less than this many MiB are free, so that Postgres"
        " never runs out of disk space; 0: never.",
    )
    log_level: Annotated[LogLevel, BeforeValidator(_lower)] = Field(
        default=LogLevel.INFO, description="debug, info, warning or error."
    )
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] = Field(
        default=LogFormat.AUTO, description="json, console, or auto: json unless on a terminal."
    )
    sentry_dsn: Annotated[SecretStr, AfterValidator(_sentry_dsn)] | None = Field(
        default=None, description="Where errors are reported: a project's DSN at Sentry or a compatible server."
    )
    correlation_id: str | None = Field(
        default=None, description="Ties the log lines of a child process to its parent's; generated when not set."
    )
    time_zone: Annotated[str, AfterValidator(_known_zone)] | None = Field(
        default=None, description="Time zone of new users, such as Europe/Berlin; default: the machine's, or UTC."
    )

    @property
    def docs_url(self) -> str:
        return f"http://127.0.0.1:{self.docs_port}/"

    @property
    def new_user_time_zone(self) -> str:
        return self.time_zone or machine_time_zone()
