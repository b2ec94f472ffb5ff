"""What Dagster needs before any of its processes starts: its home, its settings file, its environment.

No variable holds a password: the one for Dagster's storage is in a file that only its owner can read, and the URL names
that file.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from myi_pipeline.errors import Permanent
from myi_pipeline.package_data import package_data
from myi_pipeline.postgres.connections import Warehouse, compose_url, parse_url
from myi_pipeline.postgres.folders import require_folder
from myi_pipeline.postgres.role_passwords import private_folder, write_private
from myi_pipeline.settings import Settings

# Measured with 1,000 partitions in one run: 1.8 s with these two, 41-51 s without.
_FEW_EVENTS = {"DAGSTER_EVENT_BATCH_SIZE": "1000", "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1"}
# How often the daemon looks whether assets became stale, which takes hours, and whether a crashed run is to be
# repeated; by default every 30 and 5 s.
_SLOW_LOOKS = {"FRESHNESS_DAEMON_INTERVAL_SECONDS": "600", "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "15"}

log = logging.getLogger(__name__)

_LAUNCHERS = {("myi_pipeline.defs.runs", name) for name in ("MyiRunLauncher", "RecordingRunLauncher")}
# Dagster fails a run that has not begun by then, and by itself waits this long.
_START_TIMEOUT = timedelta(seconds=180)
_WORKERS_MAY_BE_BUSY = timedelta(days=1)
_MAX_RUNS = re.compile(r"(?m)^(    max_concurrent_runs: )[0-9]+$")


def prepare_dagster(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """Make the folders and files, and return the variables for every process of Dagster. None of them is secret."""
    private = (settings.dagster_home, settings.home / "dbt", settings.dbt_target, settings.dbt_logs)
    for folder in private:
        private_folder(folder)
    # Not made tighter when it is there: somebody may let others put archives into it.
    require_folder(settings.uploads_folder, setting="MYI_UPLOADS")
    settings.uploads_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for remark in remarks_on_instance(settings):
        log.warning("MYI_DAGSTER_YAML: %s", remark)
    _write_when_different(_instance_text(settings), settings.dagster_home / "dagster.yaml")
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_POSTGRES_URL": _storage_url(settings, warehouse),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # Its remarks about forks, once a sensor tick, help no one.
        "GRPC_VERBOSITY": "ERROR",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "MYI_HOME": str(settings.home),
        # Only when it was chosen: in a shell with these variables another MYI_HOME must not meet this home's uploads.
        **({} if settings.uploads is None else {"MYI_UPLOADS": str(settings.uploads)}),
        **_FEW_EVENTS,
        **_SLOW_LOOKS,
    }


def _instance_text(settings: Settings) -> str:
    """A person's own file as it is, else ours with MYI_MAX_RUNS in it, which Dagster reads from no variable. Raises
    Permanent when a person's own is not there."""
    if settings.dagster_yaml is None:
        shipped = package_data("dagster.yaml").read_text(encoding="utf-8")
        return _MAX_RUNS.sub(rf"\g<1>{settings.max_runs}", shipped)
    if not settings.dagster_yaml.is_file():
        raise Permanent(f"MYI_DAGSTER_YAML: there is no file {settings.dagster_yaml}")
    return settings.dagster_yaml.read_text(encoding="utf-8")


def remarks_on_instance(settings: Settings) -> Iterator[str]:
    """What a person's own dagster.yaml leaves without effect, or makes fail; a copy of an older version does. Raises
    Permanent."""
    if settings.dagster_yaml is None:
        return
    given = _instance_of(settings)
    if settings.compute_logs is not None and "compute_logs" not in given:
        yield "it has no compute_logs: MYI_COMPUTE_LOGS has no effect"
    if settings.celery_broker_url is None:
        return
    launcher = _section(given, "run_launcher")
    if (launcher.get("module"), launcher.get("class")) not in _LAUNCHERS:
        yield "its run_launcher is not MyiRunLauncher of myi_pipeline.defs.runs: MYI_CELERY_BROKER_URL has no effect"
    timeout_s = _section(given, "run_monitoring").get("start_timeout_seconds", _START_TIMEOUT.total_seconds())
    if isinstance(timeout_s, int | float) and timeout_s < _WORKERS_MAY_BE_BUSY.total_seconds():
        yield (
            f"Dagster fails runs that wait for a worker longer than {timeout_s:.0f} s: set start_timeout_seconds of"
            " run_monitoring to 2592000"
        )


def _instance_of(settings: Settings) -> dict[str, Any]:
    try:
        given = yaml.safe_load(_instance_text(settings))
    except yaml.YAMLError as error:
        raise Permanent(f"MYI_DAGSTER_YAML: {settings.dagster_yaml} is not YAML") from error
    return given if isinstance(given, dict) else {}


def _section(given: dict[str, Any], name: str) -> dict[str, Any]:
    found = given.get(name)
    return found if isinstance(found, dict) else {}


def _write_when_different(text: str, target: Path) -> None:
    """Replaced in one step: another process may be reading it."""
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return
    made = target.with_name(f".{target.name}.{os.getpid()}")
    made.write_text(text, encoding="utf-8")
    made.replace(target)


def _storage_url(settings: Settings, warehouse: Warehouse) -> str:
    given = parse_url(warehouse.dagster_storage_url())
    password = given.pop("password", "")
    if password:
        place = "\0".join(given.get(name, "") for name in ("host", "port", "dbname", "user"))
        digest = hashlib.sha256(place.encode()).hexdigest()[:12]
        passfile = private_folder(settings.secrets_folder) / f"dagster-{digest}.pgpass"
        entry = f"*:*:{_escaped(given.get('dbname', '*'))}:{_escaped(given.get('user', '*'))}:{_escaped(password)}\n"
        if not passfile.is_file() or passfile.read_text(encoding="utf-8") != entry:
            write_private(passfile, entry)
        given["passfile"] = str(passfile)
    return compose_url(given, scheme="postgresql+psycopg2")


def _escaped(field: str) -> str:
    """A field of libpq's password file."""
    return field.replace("\\", "\\\\").replace(":", "\\:")
