"""`myi demo`, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from myi_pipeline.cli.demo.live import POLLED_AT, SIGN_OF_A_LOGIN
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url
from myi_pipeline.settings import Settings
from tests.integration.credentials.conftest import free_port
from tests.searching import files_with, tables_with

COMMAND = [sys.executable, "-c", "from myi_pipeline.cli import main; main()"]


def _demo(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "demo", *arguments], env=environment, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_demo_goes_the_whole_way_and_its_figures_are_the_truth(
    environment_for_tests: dict[str, str], settings_for_tests: Settings, warehouse: Warehouse
) -> None:
    # The page of Dagster is another installation's, if one runs on this machine.
    environment_for_tests = {**environment_for_tests, "MYI_DAGSTER_PORT": str(free_port())}
    first = _demo(environment_for_tests, "--plays", "1200", "--json")
    assert first.returncode == 0, first.stderr[-3000:]
    document = json.loads(first.stdout)
    assert document["is_good"] is True
    assert [run["job"] for run in document["runs"]] == [
        *["poll_users"] * len(POLLED_AT),
        *("import_uploads", "import_uploads", "refresh_marts", "import_uploads", "refresh_marts"),
    ]  # fmt: skip
    assert all(run["succeeded"] for run in document["runs"])
    assert all(figure["is_equal"] for figure in document["truth"])
    assert sum(each["summary"]["rows_loaded"] for each in document["imports"]) > 1200
    assert document["past"]["scrobbles_alone"] > document["past"]["confirmed"] > 0
    people = document["live"]["people"]
    assert [person["before"]["polled_only"] for person in people] == [person["after"]["confirmed"] for person in people]
    assert [person["after"]["plays"] for person in people] == [person["true_plays"] for person in people]
    assert sum(person["before"]["gaps"] for person in people) >= 1
    assert sum(person["after"]["gaps"] for person in people) == 0
    playlists = document["playlists"]
    assert playlists["is_good"] is True
    assert all(each["entries"] == each["right"] == each["truth"] > 0 for each in playlists["found"])
    assert len(playlists["in_doubt"]) == 1
    assert all(Path(path).is_relative_to(settings_for_tests.home) for path in playlists["files"])
    assert len([path for path in playlists["files"] if Path(path).stat().st_size > 0]) == 3

    # Every code and token bore a sign; logs, compute logs, dbt's files and both databases do not, and no login is left.
    assert SIGN_OF_A_LOGIN not in first.stdout + first.stderr
    assert files_with("poll_users", settings_for_tests.home)
    assert files_with(SIGN_OF_A_LOGIN, settings_for_tests.home) == []
    for url in (warehouse.url(Role.OWNER), compose_url(parse_url(warehouse.dagster_url()))):
        assert tables_with("poll_users" if "dagster" in url else "demo-skipper", url)
        assert tables_with(SIGN_OF_A_LOGIN, url) == []
    with warehouse.connect(Role.OWNER) as connection:
        assert connection.execute("select count(*) from app.credentials").fetchone() == (0,)
        assert connection.execute("select count(*) from app.account_credentials").fetchone() == (0,)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_second_demo_finds_what_the_first_one_left_and_ends_as_well(environment_for_tests: dict[str, str]) -> None:
    environment_for_tests = {**environment_for_tests, "MYI_DAGSTER_PORT": str(free_port())}
    assert _demo(environment_for_tests, "--plays", "1200", "--json").returncode == 0
    again = _demo(environment_for_tests, "--plays", "1200")
    assert again.returncode == 0, again.stderr[-3000:]
    assert "The marts and the truth" in again.stdout
    assert "Playlists gathered, moved to a simulated TIDAL" in again.stdout
    assert "NO" not in again.stdout
    assert "myi up" in again.stdout


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_demo_leaves_a_user_alone_that_it_did_not_make(environment_for_tests: dict[str, str]) -> None:
    made = subprocess.run(
        [*COMMAND, "user", "add", "demo"], env=environment_for_tests, capture_output=True, timeout=60, check=False
    )
    assert made.returncode == 0
    ran = _demo(environment_for_tests, "--plays", "200")
    assert ran.returncode == 1
    assert "left alone" in ran.stderr
