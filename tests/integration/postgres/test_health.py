"""What `myi doctor` finds, and that it says how to mend it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from myi_pipeline.operations.doctor import machine, places, run
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Role, Warehouse, with_parameters
from myi_pipeline.postgres.embedded import accounts
from myi_pipeline.settings import Settings


def found(settings: Settings, name: str, environ: dict[str, str] | None = None) -> Check:
    (check,) = [check for check in run_checks(settings, environ or {}) if check.name == name]
    return check


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", dagster_port=free_port())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_sound_installation_has_nothing_to_mend(settings_for_tests: Settings) -> None:
    with open_warehouse(settings_for_tests):
        pass
    checks = run_checks(settings_for_tests.model_copy(update={"dagster_port": free_port()}), {})
    assert [check for check in checks if check.status is not Status.OK] == []
    assert {"database", "roles", "schema"} <= {check.name for check in checks}


def test_looking_changes_nothing(settings: Settings) -> None:
    assert all(check.status is not Status.FAIL for check in run_checks(settings, {}))
    assert not settings.home.exists()


@pytest.mark.slow
def test_an_embedded_database_is_looked_at(embedded_home: Path) -> None:
    settings = Settings(home=embedded_home)
    with open_warehouse(settings):
        pass
    assert found(settings, "schema").status is Status.OK
    assert found(settings, "roles").status is Status.OK


def test_an_unknown_variable_is_named_with_what_was_meant(settings: Settings) -> None:
    check = found(settings, "settings", {"MYI_UPLODS": "x"})
    assert check.status is Status.WARN
    assert "MYI_UPLOADS instead of MYI_UPLODS" in check.mend


def test_a_port_in_use_is_told_with_its_holder(settings: Settings) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        busy = settings.model_copy(update={"dagster_port": holder.getsockname()[1]})
        check = found(busy, "Dagster's port")
    assert check.status is Status.WARN
    assert f"process {os.getpid()}" in check.found
    assert "MYI_DAGSTER_PORT" in check.mend
    assert found(settings, "Dagster's port").status is Status.OK


def test_a_home_that_others_can_read_is_told(settings: Settings) -> None:
    settings.home.mkdir()
    settings.home.chmod(0o755)
    assert found(settings, "home").mend == f"chmod go-rw {settings.home}"
    settings.home.chmod(0o711)
    assert found(settings, "home").status is Status.OK


def test_a_home_that_is_a_file_is_told(settings: Settings) -> None:
    settings.home.write_text("")
    assert found(settings, "home").status is Status.FAIL


def test_uploads_that_are_a_file_are_told(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "uploads").write_text("")
    check = found(settings.model_copy(update={"uploads": tmp_path / "uploads"}), "uploads")
    assert check.status is Status.FAIL


def test_doctor_warns_of_a_filling_disk_before_anything_stops(settings: Settings) -> None:
    def disk(free: int, floor_mb: int = 1024) -> Check:
        here = settings.model_copy(update={"disk_floor_mb": floor_mb})
        return next(each for each in run_checks(here, {}, free=lambda _: free) if each.name == "disk")

    assert disk(10**12).status is Status.OK
    assert disk(3 * 10**9).status is Status.WARN
    assert disk(10**9).status is Status.FAIL
    assert "MYI_DISK_FLOOR_MB" in disk(10**9).mend
    assert disk(10**9, floor_mb=500).status is Status.WARN
    assert disk(20 * 10**9, floor_mb=15_000).status is Status.WARN
    assert disk(0, floor_mb=0).status is Status.FAIL


def test_doctor_looks_at_the_fullest_of_the_disks_that_are_used(settings: Settings, tmp_path: Path) -> None:
    full = tmp_path / "full"
    here = settings.model_copy(update={"uploads": full})
    (check,) = [each for each in run_checks(here, {}, free=lambda f: 0 if f == full else 10**12) if each.name == "disk"]
    assert check.status is Status.FAIL
    assert str(full) in check.found


def test_a_python_that_is_too_old_or_too_new_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, status in (((3, 10, 9), Status.FAIL), ((3, 13, 0), Status.OK), ((3, 14, 0), Status.FAIL)):
        monkeypatch.setattr(sys, "version_info", version)
        check = machine.python()
        monkeypatch.undo()
        assert check.status is status
        assert check.found == ".".join(map(str, version))
    assert sys.version_info >= (3, 11)


def test_root_without_an_account_for_postgres_is_told_what_to_install(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "can_make_account", lambda: False)
    for account, status in (
        (None, Status.FAIL),
        (accounts.Account("nobody", 65534, 65534), Status.WARN),
        (accounts.Account(accounts.ACCOUNT, 999, 999), Status.OK),
    ):
        monkeypatch.setattr(accounts, "existing_account", lambda account=account: account)
        check = found(settings, "Postgres")
        assert check.status is status
        assert ("useradd" in check.mend) == (status is not Status.OK)


def test_a_database_that_does_not_answer_is_told(settings: Settings) -> None:
    url = SecretStr("postgresql://somebody:hunter2@127.0.0.1:1/myi")
    check = found(settings.model_copy(update={"database_url": url}), "database")
    assert check.status is Status.FAIL
    assert "MYI_DATABASE_URL" in check.mend
    assert "hunter2" not in check.found


def test_a_role_with_a_wrong_password_is_named(settings_for_tests: Settings, warehouse: Warehouse) -> None:
    wrong = SecretStr(with_parameters(warehouse.url(Role.API), password="wrong"))
    check = found(settings_for_tests.model_copy(update={"database_url_api": wrong}), "roles")
    assert check.status is Status.FAIL
    assert check.found == "the server refuses api"


def test_a_schema_behind_or_ahead_is_told(settings_for_tests: Settings, warehouse: Warehouse) -> None:
    with warehouse.connect(Role.OWNER) as connection:
        connection.execute("update ops.alembic_version set version_num = '9999'")
    assert found(settings_for_tests, "schema").mend == "upgrade MYI"
    with warehouse.connect(Role.OWNER) as connection:
        connection.execute("delete from ops.alembic_version")
    assert found(settings_for_tests, "schema").mend == "run `myi migrate`"


def test_a_check_that_breaks_is_itself_a_finding(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(places, "disk", breaks)
    monkeypatch.setattr(run, "_check_the_warehouse", breaks)
    assert found(settings, "disk").status is Status.FAIL
    assert found(settings, "database").found == "ZeroDivisionError"
