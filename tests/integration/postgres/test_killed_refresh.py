"""A refresh that is killed in the middle of a statement does not hold up the next one."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from myi_pipeline.marts.runs import mart_lock
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings

# Ten minutes of work for a client that is gone: without a look at the connection Postgres would finish it first.
HOLDER = """
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.settings import load_settings
from myi_pipeline.marts.runs import mart_lock

with open_warehouse(load_settings(), migrate=False) as warehouse, mart_lock(warehouse) as connection:
    print("held", flush=True)
    connection.execute("select pg_sleep(600)")
"""


@pytest.mark.timeout(120)
def test_the_lock_on_marts_goes_with_its_holder_even_in_the_middle_of_a_statement(
    warehouse: Warehouse, settings_for_tests: Settings, environment_for_tests: dict[str, str]
) -> None:
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, env=environment_for_tests, stdout=subprocess.PIPE, encoding="utf-8") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with warehouse.connect(Role.OWNER, autocommit=True) as connection:
            _wait_for_sleep(connection)
        holder.kill()
    with mart_lock(warehouse):
        pass


def _wait_for_sleep(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    sleeping = "select from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(600)'"
    while connection.execute(sleeping).fetchone() is None:
        connection.execute("select pg_sleep(0.05)")
