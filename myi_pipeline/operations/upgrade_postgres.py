"""`myi upgrade`: the embedded Postgres brought to its newest major version, and its roles and statistics after it."""

from __future__ import annotations

from contextlib import closing

from myi_pipeline.errors import Permanent
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.embedded import upgrade
from myi_pipeline.postgres.embedded.places import make_home
from myi_pipeline.postgres.embedded.upgrade import OnStep, Upgraded
from myi_pipeline.settings import Settings


def upgrade_postgres(settings: Settings, *, by_dump: bool = False, on_step: OnStep = lambda _: None) -> Upgraded | None:
    """None if it is the newest already. Raises Busy while anybody uses it, DiskFull, Permanent."""
    _refuse_external(settings)
    make_home(settings.home)
    done = upgrade.upgrade_cluster(settings.home, by_dump=by_dump, on_step=on_step)
    if done is not None:
        on_step("statistics")
        # Rights on Postgres's own functions belong to a cluster, and are given again in the new one.
        with (
            open_warehouse(settings, repair=True) as warehouse,
            closing(warehouse.connect(Role.OWNER, autocommit=True)) as connection,
        ):
            connection.execute("analyze")
    return done


def forget_old_data(settings: Settings) -> int:
    """Delete the data of older versions; returns the bytes that were freed. Raises Busy, Permanent."""
    _refuse_external(settings)
    return upgrade.forget_old(settings.home)


def _refuse_external(settings: Settings) -> None:
    if settings.database_url is not None:
        raise Permanent(
            "the server of MYI_DATABASE_URL is not MYI's to upgrade: see 'External servers' in docs/backup.md"
        )
