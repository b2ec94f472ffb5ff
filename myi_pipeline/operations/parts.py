"""The programs that Dagster and MYI's runs are made of: how each is started, by `myi up` or alone.

Alone (`myi webserver`, `myi daemon`, `myi code`, `myi worker`) a part needs nothing but the environment: an empty
MYI_HOME is filled with what Dagster wants, and may be thrown away afterwards.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from pydantic import SecretStr

from myi_pipeline.archives.reading_settings import account_names_key
from myi_pipeline.errors import Permanent
from myi_pipeline.isolation import children_environment
from myi_pipeline.notices.targets import settings_addresses
from myi_pipeline.operations.backup.make import given_passphrase
from myi_pipeline.operations.child_processes import Fork
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url
from myi_pipeline.providers.encryption_keys import keys_as_setting, require_keys
from myi_pipeline.settings import PREFIX, ROLES_WITH_A_URL, LogFormat, Settings, path_settings

LOCATION = "myi"
# The code server that forks a daemon first.
CODE_SERVER = "myi_pipeline.defs.code_server"
BACKLOG = 128
# As the last argument of the pages and the daemon: nobody else looks after them.
ALONE = "alone"
# glibc keeps a heap for each thread, and Dagster has dozens of threads that do little.
_LEAN = {"MALLOC_ARENA_MAX": "2", "MALLOC_TRIM_THRESHOLD_": "131072"}
_WORKSPACE = """\
load_from:
  - grpc_server:
      host: "{host}"
      {where}
      location_name: {location}
"""


def part_environment(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """What every part gets, once Dagster's home is prepared. Secret. Raises Permanent when the settings need more."""
    if settings.celery_broker_url is not None and find_spec("dagster_celery") is None:
        raise Permanent("MYI_CELERY_BROKER_URL is set, and Celery is not installed: pip install 'myi-pipeline[celery]'")
    return _LEAN | children_environment() | settings.environment() | prepare_dagster(settings, warehouse)


def write_workspace(file: Path, *, code_socket: Path | None = None, place: tuple[str, int] | None = None) -> Path:
    """Where the pages and the daemon find the code server: a socket, or a host and a port."""
    host, port = place or ("localhost", 0)
    where = f"socket: {code_socket}" if code_socket is not None else f"port: {port}"
    text = _WORKSPACE.format(host=host, where=where, location=LOCATION)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
    return file


def code_server(settings: Settings, *, code_socket: Path | None = None) -> list[str]:
    """Dagster's code server on a socket, or on MYI_CODE_HOST and MYI_CODE_PORT."""
    return [program("dagster"), *_serving_code(settings, code_socket)]


def code_server_and_daemon(settings: Settings, workspace: Path, fork: Fork, *, code_socket: Path) -> list[str]:
    """The arguments of CODE_SERVER, which inherits the fork's file."""
    return [str(fork.file.fileno()), *_daemon_words(settings, workspace), *_serving_code(settings, code_socket)]


def _serving_code(settings: Settings, code_socket: Path | None) -> list[str]:
    where = ["--host", settings.code_host, "--port", str(settings.code_port)]
    if code_socket is not None:
        where = ["--socket", str(code_socket)]
    return [
        "api", "grpc", *where, "--location-name", LOCATION,
        "--module-name", "myi_pipeline.definitions", "--use-python-environment-entry-point", *_logging(settings),
    ]  # fmt: skip


def pages(workspace: Path, listening: socket.socket, *, alone: bool = False) -> list[str]:
    """Dagster's webserver behind our guard; its own command lets everybody in. It inherits the socket."""
    module = "myi_pipeline.web.dagster_pages.server"
    return [sys.executable, "-m", module, str(workspace), str(listening.fileno()), *([ALONE] if alone else [])]


def daemon(settings: Settings, workspace: Path, *, alone: bool = False) -> list[str]:
    words = _daemon_words(settings, workspace)
    return [sys.executable, "-m", "myi_pipeline.defs.daemon", *words, *([ALONE] if alone else [])]


def _daemon_words(settings: Settings, workspace: Path) -> list[str]:
    _, level, _, layout = _logging(settings)
    return [str(workspace), level, layout]


def celery_worker(queues: Sequence[str], *, concurrency: int) -> list[str]:
    return [sys.executable, "-m", "myi_pipeline.defs.celery_worker", ",".join(queues), str(concurrency)]


def become(settings: Settings, command: Sequence[str]) -> NoReturn:
    """This process as a part that runs alone: signals reach it, and its end is the command's. Raises MyiError.

    The embedded server belongs to `myi up`: what ends this process would leave it without anybody who stops it.
    """
    refuse_embedded(settings)
    with open_warehouse(settings, migrate=False) as warehouse:
        environment = part_environment(settings, warehouse)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], list(command), environment)


def refuse_embedded(settings: Settings) -> None:
    """Raises Permanent without a Postgres that every part reaches."""
    if settings.database_url is None:
        raise Permanent("MYI_DATABASE_URL is not set: `myi up` runs all of MYI with the embedded Postgres")


# What another host decides for itself.
_OF_THIS_HOST = frozenset(
    {
        "correlation_id", "api_host", "api_port", "metrics_port",
        "dagster_host", "dagster_port", "docs_port", "code_host", "code_port", "sql_port", "log_format", "log_level",
    }
)  # fmt: skip
# A folder, unlike a bucket, is not the same there.
_PLACES = ("MYI_UPLOADS", "MYI_ARTIFACTS", "MYI_BACKUP", "MYI_COMPUTE_LOGS")


def variables_for_a_worker(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """The environment of a worker on another host: the settings that were made here, what their files hold, and the
    secrets that this MYI_HOME keeps. It goes by the same poolers and replicas. Raises MyiError. Secret."""
    require_keys(settings, warehouse)
    urls = {
        f"database_url_{role}": warehouse.replica_url(Role(role)) or warehouse.url(Role(role))
        for role in ROLES_WITH_A_URL
    }
    update = {
        **urls,
        "database_url": warehouse.url(Role.OWNER),
        "dagster_database_url": compose_url(parse_url(warehouse.dagster_storage_url())),
        "encryption_keys": keys_as_setting(settings) or "",
        "account_names_key": account_names_key(settings).hex(),
        **_held_in_files(settings),
    }
    told = settings.model_copy(update={name: SecretStr(value) for name, value in update.items()})
    wanted = {
        PREFIX + name.upper() for name in (settings.model_fields_set | update.keys()) - _OF_THIS_HOST - path_settings()
    }
    given = {name: value for name, value in sorted(told.environment().items()) if name in wanted}
    return {name: value for name, value in given.items() if name not in _PLACES or "://" in value}


def _held_in_files(settings: Settings) -> dict[str, str]:
    """Settings whose values are in files here, where another host has none. Raises MyiError. Secret."""
    found = {}
    if settings.notices_urls_file is not None:
        found["notices_urls"] = " ".join(settings_addresses(settings).values())
    if settings.backup_passphrase_file is not None:
        found["backup_passphrase"] = given_passphrase(settings) or ""
    return found


def alone_workspace(settings: Settings) -> Path:
    settings.dagster_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return write_workspace(settings.dagster_home / "workspace.yaml", place=settings.code_place)


def program(name: str) -> str:
    """A console script beside this interpreter."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise Permanent(f"{name} is not installed beside this Python: install MYI with its dependencies")
    return found


def _logging(settings: Settings) -> list[str]:
    is_json = settings.log_format is LogFormat.JSON or (
        settings.log_format is LogFormat.AUTO and not sys.stderr.isatty()
    )
    return ["--log-level", settings.log_level.value, "--log-format", "json" if is_json else "colored"]
