"""After an erasure and a scrub, no file of the database holds a name of whoever was erased."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.scrub import scrub
from myi_pipeline.postgres.connections import Role, Warehouse, statement
from myi_pipeline.postgres.embedded import embedded_server
from myi_pipeline.settings import Settings
from tests.integration.uploads.conftest import Uploads
from tests.integration.uploads.test_erasing import KEY, NEEDLES, Erasing, erase_all, prepare
from tests.searching import files_with


def in_files(area: Path) -> set[str]:
    return {needle for needle in NEEDLES if files_with(needle, area)}


@pytest.mark.slow
def test_no_file_of_the_embedded_database_holds_what_was_erased(embedded_home: Path) -> None:
    settings = Settings(home=embedded_home, time_zone="UTC")
    with open_warehouse(settings) as warehouse, embedded_server(settings.home) as server:
        area = server.places.area
        erasing = Erasing(warehouse, settings)
        prepare(erasing)
        # Samples of columns, and statements that failed.
        with warehouse.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute("analyze")
            with pytest.raises(Exception, match=KEY):
                connection.execute("insert into app.users (user_key, time_zone) values (%s, 'UTC')", (KEY,))
        with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
            admin.execute("checkpoint")
        # Somebody reads since before, as autovacuum does, and goes on for a while.
        reader = warehouse.connect(Role.OWNER)
        reader.execute("set transaction isolation level repeatable read")
        reader.execute("select 1")
        erase_all(erasing)
        assert in_files(area) == set(NEEDLES), "without a scrub they are all still there"

        ending = threading.Timer(2, reader.close)
        ending.start()
        done = scrub(warehouse, settings, on_step=lambda _: None)
        ending.join()

        assert in_files(area) == set()
        assert done.tables > 100
        assert done.segments >= 1
        assert done.remarks == []
        # And what is deleted later goes with the next one; the setting is the usual again. What a killed restore left
        # goes as well, and what an upgrade kept is named.
        left = f"{warehouse.database}_restoring_old0"
        with psycopg.connect(server.url("postgres"), autocommit=True) as admin:
            admin.execute(statement("create database {}", left))
        (area / "data-of-15").mkdir()
        again = scrub(warehouse, settings, on_step=lambda _: None)
        assert again.tables == done.tables
        assert ["data-of-15" in remark for remark in again.remarks] == [True]
        assert erasing.sql("select count(*) from pg_database where datname = %s", left) == [(0,)]
        assert erasing.sql("show wal_recycle") == [("on",)]
        assert erasing.users() == []


def test_on_a_server_of_ones_own_the_tables_are_rewritten_and_the_rest_is_said(
    uploads: Uploads, warehouse: Warehouse, dagster_storage: None
) -> None:
    steps: list[str] = []
    done = scrub(warehouse, uploads.settings, on_step=steps.append)
    assert done.tables > 100
    assert len(steps) == 3
    assert "docs/erasure.md" in done.remarks[-1]
