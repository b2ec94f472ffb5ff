"""Every Postgres that this machine has: migrations, an import, a refresh, verify, and what a site reads."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.marts.dbt_runner import DbtProcess, dbt_environment
from myi_pipeline.marts.refresh import refresh_marts
from myi_pipeline.marts.verify import verify_marts
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people import manage_users
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.postgres.roles import NEWEST, OLDEST
from myi_pipeline.settings import Settings
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.pools import Pools
from tests.conftest import free_port
from tests.postgres_servers import running_server

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_200)]
PLAYS = 2_000


@pytest.mark.parametrize("major", range(OLDEST, NEWEST + 1))
def test_migrate_import_refresh_verify_and_read(major: int, tmp_path: Path) -> None:
    with running_server(major) as server:
        settings = Settings.model_validate(
            {"home": tmp_path / "home", "database_url": server.url("myi"), "time_zone": "UTC", "api_port": free_port()}
        )
        spec = ArchiveSpec(
            seed=major, listener="ada", first_day=date(2022, 1, 1), last_day=date(2024, 12, 31), plays=PLAYS
        )
        archive = tmp_path / "archive.zip"
        write_extended_archive(archive, build_listener(spec))
        with open_warehouse(settings, make_roles=True) as warehouse:
            with warehouse.connect(Role.INGEST, autocommit=True) as connection:
                assert connection.info.server_version // 10_000 == major
                user_id = manage_users.add_user(connection, user_key="ada", time_zone="Europe/Berlin").user_id
            import_history(
                warehouse, paths=archive, user_key="ada", limits=archive_limits(settings),
                hash_account=account_hasher(settings),
            )  # fmt: skip
            environment = dbt_environment(warehouse, target=settings.dbt_target, logs=settings.dbt_logs)
            with DbtProcess() as dbt:
                refreshed = refresh_marts(warehouse, dbt=dbt, environment=environment)
                assert (refreshed.status, refreshed.is_good) == ("completed", True), refreshed.error
                assert asyncio.run(_count(settings, warehouse, user_id)) > PLAYS * 0.9
                assert verify_marts(warehouse, dbt=dbt, environment=environment).is_good


async def _count(settings: Settings, warehouse: Warehouse, user_id: int) -> int:
    async def read(marts: Marts) -> int:
        (row,) = await marts.fetch(SimpleNamespace, b"select count(*)::int as n from marts.fct_plays")
        return int(row.n)

    pools = Pools(settings, warehouse)
    await pools.open()
    try:
        return await pools.read(user_id, read)
    finally:
        await pools.close()
