"""Two `myi up` never work on one database, and one that died bars nobody."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from myi_pipeline.errors import Busy
from myi_pipeline.operations.sole_supervisor import LOCK, SoleSupervisor, sole_supervisor
from myi_pipeline.postgres.connections import Role, Warehouse, statement
from myi_pipeline.settings import Settings
from tests.conftest import TestServer, free_port

HOLDER = """
import time
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.sole_supervisor import sole_supervisor
from myi_pipeline.settings import load_settings

settings = load_settings()
with open_warehouse(settings, migrate=False) as warehouse, sole_supervisor(settings, warehouse):
    print("held", flush=True)
    time.sleep(600)
"""


def cut(connection: psycopg.Connection[tuple[Any, ...]]) -> int:
    """End the connections that hold the lock, as a restart of the server does; how many there were."""
    return connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and application_name like 'myi up %'"
    ).rowcount


def left_behind(warehouse: Warehouse, name: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection with the lock under another name, as of a host that lost its power."""
    connection = psycopg.connect(warehouse.url(Role.OWNER), autocommit=True, application_name=name)
    assert connection.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone() == (True,)
    return connection


@pytest.mark.both_servers
@pytest.mark.timeout(120)
def test_a_second_myi_up_of_another_home_is_refused_before_it_starts_anything(
    warehouse: Warehouse, settings_for_tests: Settings, environment_for_tests: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "second"
    ports = {name: str(free_port()) for name in ("MYI_DAGSTER_PORT", "MYI_API_PORT")}
    second = environment_for_tests | {"MYI_HOME": str(home)} | ports
    with sole_supervisor(settings_for_tests, warehouse):
        done = subprocess.run(
            [Path(sys.executable).with_name("myi"), "up"], env=second, capture_output=True, encoding="utf-8"
        )
    assert done.returncode == 1
    assert "another `myi up` uses this database on " in done.stderr
    assert "Stop that one first" in done.stderr
    assert "Traceback" not in done.stderr
    assert "starting" not in done.stdout
    # Dagster's storage was not touched.
    assert not (home / "dagster").exists()


@pytest.mark.timeout(120)
def test_a_myi_up_that_was_killed_or_has_ended_bars_nobody(
    warehouse: Warehouse, settings_for_tests: Settings, environment_for_tests: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = settings_for_tests.model_copy(update={"home": tmp_path / "elsewhere"})
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, env=environment_for_tests, stdout=subprocess.PIPE, encoding="utf-8") as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "held"
        with pytest.raises(Busy), sole_supervisor(elsewhere, warehouse):
            pass
        holder.kill()
    with sole_supervisor(elsewhere, warehouse):
        pass
    with sole_supervisor(settings_for_tests, warehouse):
        pass


def test_what_a_power_cut_left_on_the_server_is_ended_by_its_own_host_alone(
    warehouse: Warehouse, settings_for_tests: Settings, tmp_path: Path
) -> None:
    settings_for_tests.home.mkdir()
    own = SoleSupervisor(settings_for_tests, warehouse)
    *installation, boot, process = own.name.split(" ")
    number = process.partition(":")[0]
    for name in (f"{boot} {number}:1", f"another1 {process}"):
        with closing(left_behind(warehouse, " ".join([*installation, name]))) as ghost:
            own.take()
            own.release()
            with pytest.raises(psycopg.OperationalError):
                ghost.execute("select 1")
    # It is there, on another host, or it is not known whether it is.
    elsewhere = SoleSupervisor(settings_for_tests.model_copy(update={"home": tmp_path}), warehouse)
    for name in (own.name, elsewhere.name, "myi up by hand"):
        with closing(left_behind(warehouse, name)) as held:
            with pytest.raises(Busy):
                own.take()
            held.execute("select 1")


def test_the_lock_is_taken_again_when_the_server_was_restarted_unless_another_was_quicker(
    warehouse: Warehouse, settings_for_tests: Settings, tmp_path: Path
) -> None:
    elsewhere = settings_for_tests.model_copy(update={"home": tmp_path / "elsewhere"})
    now = 0.0
    sole = SoleSupervisor(settings_for_tests, warehouse, clock=lambda: now)
    sole.take()
    sole.keep()
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        assert cut(connection)
        sole.keep()
        with pytest.raises(Busy), sole_supervisor(elsewhere, warehouse):
            pass

        now += 60
        assert cut(connection)
        with sole_supervisor(elsewhere, warehouse), pytest.raises(Busy):
            sole.keep()


def test_while_the_server_is_away_it_is_only_asked_now_and_then(
    server_for: Callable[[str], TestServer], warehouse: Warehouse, settings_for_tests: Settings
) -> None:
    now = 0.0
    sole = SoleSupervisor(settings_for_tests, warehouse, clock=lambda: now)
    sole.take()
    held = []
    with psycopg.connect(server_for("embedded").admin_url, autocommit=True) as admin:
        admin.execute(statement("alter database {} with allow_connections false", warehouse.database))
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", (warehouse.database,)
        )
        sole.keep()
        held.append(sole.is_held)
        admin.execute(statement("alter database {} with allow_connections true", warehouse.database))
    for wait in (0, 5):
        now += wait
        sole.keep()
        held.append(sole.is_held)
    assert held == [False, False, True]
    sole.release()
