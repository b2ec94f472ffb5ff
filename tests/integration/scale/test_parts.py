"""Each part of `myi up` alone, with nothing but its environment."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import httpx
import pytest
import yaml
from pydantic import SecretStr
from typer.testing import CliRunner

from myi_pipeline.cli.app import app
from myi_pipeline.defs.runs import MyiRunLauncher
from myi_pipeline.notices.targets import settings_addresses
from myi_pipeline.operations.backup.make import given_passphrase
from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.parts import variables_for_a_worker
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings, SettingsError, load_settings, path_settings
from tests.integration.scale.fleet import Fleet

NOWHERE = "redis://:geheim@127.0.0.1:1/0"


@pytest.fixture
def fleet(settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(settings_for_tests, warehouse, tmp_path / "fleet", broker=NOWHERE)
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_code_daemon_and_pages_run_alone_and_a_second_daemon_is_refused(fleet: Fleet) -> None:
    fleet.control()
    pages = fleet.start("pages", "webserver")
    url = f"http://127.0.0.1:{fleet.settings.dagster_port}"
    with httpx.Client(trust_env=False, timeout=60) as client:

        def answers() -> bool:
            try:
                return client.get(f"{url}/server_info").is_success
            except httpx.TransportError:
                return False

        fleet.wait_until(answers, what="Dagster's pages do not answer")
        assert client.post(f"{url}/graphql", json={"query": "{ version }"}).status_code in (401, 403)
    fleet.wait_until(
        lambda: fleet.sql("select from pg_stat_activity where application_name = 'myi wake-ups'"),
        what="the daemon does not run",
    )

    second = fleet.start("second", "daemon")
    assert second.child.wait(240) == 1
    assert "another `myi up` uses this database" in second.text

    pages.child.terminate()
    assert pages.child.wait(60) == 0


def test_a_part_refuses_the_embedded_server_and_a_broker_refuses_it_too(tmp_path: Path) -> None:
    home = {"MYI_HOME": str(tmp_path / "home")}
    for command in (["webserver"], ["daemon"], ["code"], ["worker-env"]):
        result = CliRunner().invoke(app, command, env=home)
        assert "MYI_DATABASE_URL is not set" in str(result.exception), command
    with pytest.raises(SettingsError, match="MYI_CELERY_BROKER_URL: needs MYI_DATABASE_URL"):
        load_settings(home | {"MYI_CELERY_BROKER_URL": NOWHERE})


def test_what_a_worker_is_given_opens_the_same_warehouse_from_an_empty_home(
    settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None, tmp_path: Path
) -> None:
    with open_warehouse(settings_for_tests) as opened:
        given = variables_for_a_worker(settings_for_tests, opened)
    there = load_settings(given | {"MYI_HOME": str(tmp_path / "worker")})

    with open_warehouse(there, migrate=False) as opened:
        assert opened.database == warehouse.database
        prepare_dagster(there, opened)
    assert there.encryption_key_bytes()
    assert there.account_names_key is not None
    # Secrets of its own it made none; Dagster's password lies where only its owner can read.
    (passfile,) = (tmp_path / "worker" / "secrets").iterdir()
    assert passfile.suffix == ".pgpass"
    assert passfile.stat().st_mode & 0o077 == 0
    assert str(settings_for_tests.home) not in str(given)


def test_a_worker_is_given_no_path_of_the_control_host(
    settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None, tmp_path: Path
) -> None:
    """The list of what stays was kept by hand, and files that were added later went along: a worker looked for the
    operator's addresses and MusicBrainz' dump at paths that it does not have."""
    here = {name: str(tmp_path / name) for name in (*path_settings(), "backup", "uploads", "artifacts")}
    assert here.keys() >= {"home", "dagster_yaml", "notices_urls_file", "musicbrainz_dump", "backup_passphrase_file"}
    for name, text in HELD.items():
        (tmp_path / name).write_text(text)
    here["home"] = str(settings_for_tests.home)
    environment = settings_for_tests.environment() | {"MYI_NOTICES_URLS": "json://first.example"}
    settings = load_settings(environment | {f"MYI_{name.upper()}": path for name, path in here.items()})
    with open_warehouse(settings_for_tests) as opened:
        given = variables_for_a_worker(settings, opened)
    assert not given.keys() & {f"MYI_{name.upper()}" for name in here}
    assert not [name for name, value in given.items() if str(tmp_path) in value or here["home"] in value]

    there = load_settings(given | {"MYI_HOME": str(tmp_path / "worker")})
    assert settings_addresses(there) == settings_addresses(settings)
    assert len(settings_addresses(there)) == 3
    assert given_passphrase(there) == given_passphrase(settings) == "a passphrase of some length"


HELD = {
    "backup_passphrase_file": "a passphrase of some length\n",
    "notices_urls_file": "# mine\njson://second.example\n\njson://third.example/a?b=c\n",
}


def test_a_worker_is_given_the_buckets_of_the_control_host(
    settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None
) -> None:
    places = {
        f"MYI_{name}": f"s3://music/{name.lower()}" for name in ("BACKUP", "UPLOADS", "ARTIFACTS", "COMPUTE_LOGS")
    }
    settings = load_settings(settings_for_tests.environment() | places)
    with open_warehouse(settings_for_tests) as opened:
        assert places.items() <= variables_for_a_worker(settings, opened).items()


def test_the_instance_file_holds_max_runs_and_a_persons_own_is_left_alone(
    settings_for_tests: Settings, warehouse: Warehouse, dagster_storage: None, tmp_path: Path
) -> None:
    prepare_dagster(settings_for_tests.model_copy(update={"max_runs": 17}), warehouse)
    file = settings_for_tests.dagster_home / "dagster.yaml"
    assert "    max_concurrent_runs: 17\n" in file.read_text()
    own = tmp_path / "own.yaml"
    own.write_text("    max_concurrent_runs: 4\n")
    prepare_dagster(settings_for_tests.model_copy(update={"max_runs": 17, "dagster_yaml": own}), warehouse)
    assert file.read_text() == own.read_text()


BEFORE = """\
run_launcher:
  module: myi_pipeline.defs.runs
  class: RecordingRunLauncher
run_monitoring:
  enabled: true
  start_timeout_seconds: 180
"""


def test_a_copy_of_the_version_before_still_runs_and_doctor_says_what_it_lacks(
    settings_for_tests: Settings, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(BEFORE)
    named = yaml.safe_load(BEFORE)["run_launcher"]
    assert getattr(import_module(named["module"]), named["class"]) is MyiRunLauncher

    def said(**update: object) -> tuple[Status, str]:
        checks = run_checks(settings_for_tests.model_copy(update={"dagster_yaml": own, **update}), {})
        (check,) = [each for each in checks if each.name == "dagster.yaml"]
        return check.status, check.found

    assert said() == (Status.OK, str(own))
    status, found = said(celery_broker_url=SecretStr(NOWHERE), compute_logs="s3://logs/of/runs")
    assert status is Status.WARN
    assert "no compute_logs" in found
    assert "wait for a worker longer than 180 s" in found
    assert "run_launcher" not in found
    own.write_text("run_launcher: {module: dagster, class: DefaultRunLauncher}\n")
    status, found = said(celery_broker_url=SecretStr(NOWHERE))
    assert status is Status.WARN
    assert "MYI_CELERY_BROKER_URL has no effect" in found
    assert "longer than 180 s" in found
    assert said(dagster_yaml=None, celery_broker_url=SecretStr(NOWHERE), compute_logs="s3://logs")[0] is Status.OK
