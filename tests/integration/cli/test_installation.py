"""`myi doctor`, `migrate`, `psql` and `env`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings


def test_the_doctor_finds_nothing_on_a_sound_machine(myi: Callable) -> None:
    ran = myi("doctor", "--json")
    assert ran.code == 0, ran.out
    assert ran.document["healthy"] is True
    assert {"Python", "database", "schema"} <= {check["name"] for check in ran.document["checks"]}
    assert "Python" in myi("doctor").out


def test_the_doctor_says_how_to_mend_a_database_that_is_away(myi: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYI_DATABASE_URL", "postgresql://nobody:canary@127.0.0.1:9/none")
    ran = myi("doctor")
    assert ran.code == 1
    assert "fail" in ran.out
    assert "-> " in ran.out
    assert "canary" not in ran.out + ran.err


def test_migrating_what_is_up_to_date_says_so(myi: Callable, warehouse: Warehouse) -> None:
    document = myi("migrate", "--json").document
    assert document["database"] == warehouse.database
    assert document["schema_version"] is not None


def _psql(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from myi_pipeline.cli import main; main()", "psql", *arguments]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def test_psql_is_the_analyst_who_only_reads_and_the_owner_when_asked(
    environment_for_tests: dict[str, str], warehouse: Warehouse
) -> None:
    asked = _psql(environment_for_tests, "-c", "select session_user", "-c", "select 1 / 1 as one")
    assert asked.returncode == 0, asked.stderr
    assert warehouse.role_name(Role.ANALYST) in asked.stdout
    assert _psql(environment_for_tests, "-c", "create table marts.x (a int)").returncode == 1
    assert _psql(environment_for_tests, "-c", "select * from app.users").returncode == 1
    assert (
        warehouse.role_name(Role.OWNER) in _psql(environment_for_tests, "--owner", "-c", "select session_user").stdout
    )


def test_env_names_dagsters_home_and_no_password(myi: Callable, settings_for_tests: Settings) -> None:
    ran = myi("env")
    assert ran.code == 0, ran.err
    assert f"export DAGSTER_HOME={settings_for_tests.home}/dagster" in ran.out.replace("'", "")
    assert all(line.startswith(("export ", "unset PG")) for line in ran.out.splitlines())
    for role in Role:
        parts = settings_for_tests.role_urls().get(role.value, "")
        password = parts.partition("://")[2].partition("@")[0].partition(":")[2]
        assert not password or password not in ran.out
