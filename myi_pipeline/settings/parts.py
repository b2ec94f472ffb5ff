"""Settings: the parts of MYI on machines of their own, and Celery, which spreads runs over workers."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import BaseSettings

from myi_pipeline.settings.kinds import IpAddress, Port, Positive

_BROKER = re.compile(r"(amqps?|pyamqp|rediss?)://\S+\Z")
_BACKEND = re.compile(r"rediss?://\S+\Z")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})\Z")


def _broker(url: SecretStr) -> SecretStr:
    if not _BROKER.match(url.get_secret_value()):
        raise ValueError("must be a URL such as amqp://user:password@host:5672/myi or redis://:password@host:6379/0")
    return url


def _backend(url: SecretStr) -> SecretStr:
    # What rpc:// keeps can be read by the process alone that sent the task.
    if not _BACKEND.match(url.get_secret_value()):
        raise ValueError("must be a URL such as redis://:password@host:6379/1")
    return url


def _place(text: str) -> str:
    found = _PLACE.match(text)
    if found is None or not 1 <= int(found[2]) <= 65535:
        raise ValueError("must be a host and a port, such as code.example.org:4266")
    return text


class PartSettings(BaseSettings):
    """Where the parts find each other, and who runs Dagster's runs."""

    code_host: IpAddress = Field(
        default="127.0.0.1", description="Address on which `myi code` listens. It asks for no password."
    )
    code_port: Port = Field(default=4266, description="Port of `myi code`.")
    code_server: Annotated[str, AfterValidator(_place)] | None = Field(
        default=None,
        description="Where `myi webserver` and `myi daemon` find `myi code`, as host:port; 127.0.0.1:MYI_CODE_PORT.",
    )
    dagster_host: IpAddress = Field(default="127.0.0.1", description="Address on which `myi webserver` listens.")
    max_runs: Positive = Field(default=4, description="How many of Dagster's runs may be under way at once.")
    celery_broker_url: Annotated[SecretStr, AfterValidator(_broker)] | None = Field(
        default=None,
        description="RabbitMQ or Redis, through which runs are given to `myi worker`; runs are processes of this"
        " machine.",
    )
    celery_result_backend: Annotated[SecretStr, AfterValidator(_backend)] | None = Field(
        default=None,
        description="Redis in which Celery keeps what became of a run's task: a worker that breaks down is seen at"
        " once instead of within a minute.",
    )

    @property
    def code_place(self) -> tuple[str, int]:
        """Host and port of the code server."""
        host, _, port = (self.code_server or f"127.0.0.1:{self.code_port}").rpartition(":")
        return host.strip("[]"), int(port)
