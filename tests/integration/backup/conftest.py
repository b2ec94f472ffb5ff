"""A small installation with an embedded server of its own, for a whole module: two users, one with plays and marts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.marts.verify import VerifyResult, verify_marts
from myi_pipeline.operations.backup.make import MadeBackup, make_backup
from myi_pipeline.operations.backup.restore import Restored, restore_backup
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.providers.encryption_keys import put_new_key_into_file
from myi_pipeline.settings import Settings
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from myi_pipeline.storage.backups import FolderBackups
from tests.conftest import end_outside

PASSPHRASE = "correct horse battery staple"
PLAYS = 300


@dataclass(frozen=True)
class Installation:
    """Settings, and what is done with them; the server runs while somebody uses it."""

    settings: Settings
    store: FolderBackups

    def sql(self, query: str, *arguments: object, role: Role = Role.OWNER) -> list[tuple[Any, ...]]:
        with open_warehouse(self.settings) as warehouse:
            return ask(warehouse, query, *arguments, role=role)

    def back_up(self, **options: Any) -> MadeBackup:
        with open_warehouse(self.settings) as warehouse:
            return make_backup(self.settings, warehouse, self.store, **({"passphrase": PASSPHRASE} | options))

    def restore(self, name: str, **options: Any) -> Restored:
        return restore_backup(self.settings, self.store, name, **({"passphrase": PASSPHRASE} | options))

    def verify(self) -> VerifyResult:
        with open_warehouse(self.settings) as warehouse, DbtProcess() as dbt:
            return verify_marts(warehouse, dbt=dbt, environment=environment_of(self.settings, warehouse))

    def elsewhere(self, home: Path, **changes: Any) -> Installation:
        """Another installation that finds the same backups."""
        return replace(self, settings=Settings(home=home, time_zone="UTC", **changes))


def ask(warehouse: Warehouse, query: str, *arguments: object, role: Role = Role.OWNER) -> list[tuple[Any, ...]]:
    with warehouse.connect(role, autocommit=True) as connection:
        cursor = connection.execute(query.encode(), arguments or None)
        return cursor.fetchall() if cursor.description else []


def environment_of(settings: Settings, warehouse: Warehouse) -> dict[str, str]:
    return dbt_environment(warehouse, target=settings.dbt_target, logs=settings.dbt_logs)


def fill(settings: Settings, folder: Path) -> None:
    """Plays of one user and their marts, a second user, an archive in the uploads folder, an export, and keys."""
    spec = ArchiveSpec(seed=9, plays=PLAYS, first_day=date(2023, 1, 1), last_day=date(2024, 3, 1), time_zone="UTC")
    archive = folder / "archive.zip"
    write_extended_archive(archive, build_listener(spec))
    with open_warehouse(settings) as warehouse, DbtProcess() as dbt:
        with warehouse.connect(Role.INGEST, autocommit=True) as connection:
            for key in ("ana", "ben"):
                add_user(connection, user_key=key, time_zone="UTC")
        ask(
            warehouse,
            "insert into app.sessions (user_id, reference_hash, method, device)"
            " select user_id, sha256('')::bytea, 'link', 'a browser' from app.users where user_key = 'ana'",
        )
        import_history(warehouse, paths=archive, user_key="ana", limits=Limits(), hash_account=account_hasher(settings))
        environment = environment_of(settings, warehouse)
        assert refresh_marts(warehouse, dbt=dbt, environment=environment, run_tests=False).is_good
    put_new_key_into_file(settings)
    for place in (settings.uploads_folder / "ana", settings.home / "artifacts" / "1"):
        place.mkdir(parents=True)
        (place / "archive.zip").write_bytes(archive.read_bytes())


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("kept")
    settings = Settings(home=folder / "home", time_zone="UTC")
    try:
        fill(settings, folder)
        yield Installation(settings, FolderBackups(folder / "backups"))
    finally:
        end_outside(settings.home)


@pytest.fixture(scope="module")
def backup(installation: Installation) -> MadeBackup:
    """A backup that no test changes."""
    return installation.back_up()


@pytest.fixture
def new_home(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Homes by name; whatever they leave is ended and removed."""
    homes: list[Path] = []

    def make(name: str) -> Path:
        homes.append(tmp_path / name)
        return homes[-1]

    yield make
    for home in homes:
        end_outside(home)
