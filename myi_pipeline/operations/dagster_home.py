"""What Dagster needs before any of its processes starts: its home, its settings file, its environment.

Belongs here: the files below MYI_HOME/dagster and the variables that Dagster's processes get. Not here: starting them
(supervisor), importing Dagster. Invariant: no variable holds a password; the one for Dagster's storage lies in a file
that its owner alone can read, and the URL names that file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from myi_pipeline.core.errors import Permanent
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Warehouse, compose_url, parse_url
from myi_pipeline.warehouse.role_passwords import private_folder, write_private

# Measured with 1,000 partitions in one run: 1.8 s with these two, 41-51 s without.
_FEW_EVENTS = {"DAGSTER_EVENT_BATCH_SIZE": "1000", "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1"}


def project_root() -> Path:
    """The folder of this clone. Raises Permanent when MYI is not installed from one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "dagster.yaml").is_file():
        raise Permanent("dagster.yaml is missing: MYI runs from a clone of its repository, installed with -e")
    return root


def prepare_dagster(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    """Make the folders and files, and return the variables for every process of Dagster. None of them is secret."""
    for folder in (settings.dagster_home, settings.uploads_folder, settings.dbt_target, settings.dbt_logs):
        folder.mkdir(parents=True, exist_ok=True)
    _copy_when_different(project_root() / "dagster.yaml", settings.dagster_home / "dagster.yaml")
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_POSTGRES_URL": _storage_url(settings, warehouse),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # Its remarks about forks, once a sensor tick, help nobody.
        "GRPC_VERBOSITY": "ERROR",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "MYI_HOME": str(settings.home),
        "MYI_UPLOADS": str(settings.uploads_folder),
        **_FEW_EVENTS,
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
