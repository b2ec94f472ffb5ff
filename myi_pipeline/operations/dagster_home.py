"""What Dagster needs before any of its processes starts: its home, its settings file, its environment.

No variable holds a password: the one for Dagster's storage is in a file that only its owner can read, and the URL names
that file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

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


def prepare_dagster(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """Make the folders and files, and return the variables for every process of Dagster. None of them is secret."""
    private = (settings.dagster_home, settings.home / "dbt", settings.dbt_target, settings.dbt_logs)
    for folder in private:
        private_folder(folder)
    # Not made tighter when it is there: somebody may let others put archives into it.
    require_folder(settings.uploads_folder, setting="MYI_UPLOADS")
    settings.uploads_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _copy_when_different(package_data("dagster.yaml"), settings.dagster_home / "dagster.yaml")
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


def _copy_when_different(source: Path, target: Path) -> None:
    """Replaced in one step: another process may be reading it."""
    if target.is_file() and target.read_bytes() == source.read_bytes():
        return
    made = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, made)
    made.replace(target)


def _storage_url(settings: Settings, warehouse: Warehouse) -> str:
    given = parse_url(warehouse.dagster_url())
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
