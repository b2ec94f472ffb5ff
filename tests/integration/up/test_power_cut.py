"""The plug is pulled in the middle of a run: `myi up` alone brings everything back."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from myi_pipeline.operations.checks import runs_have_processes
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people.manage_access import TokenScope, make_token
from myi_pipeline.people.manage_users import add_user, set_user
from myi_pipeline.postgres.connections import Role, compose_url, parse_url
from myi_pipeline.settings import Settings
from tests.conftest import free_port
from tests.hostile import decoys
from tests.integration.up.test_up import UP

REFRESH, BACKFILL_RUN = "refresh_marts", "__ASSET_JOB"
LAUNCH_BACKFILL = """
mutation ($users: [String!]!) {
  launchPartitionBackfill(
    backfillParams: {assetSelection: [{path: ["listening_history"]}], partitionNames: $users, fromFailure: false}
  ) { ... on LaunchBackfillSuccess { backfillId } }
}
"""
BACKFILLS = "{ partitionBackfillsOrError { ... on PartitionBackfills { results { id status } } } }"
RUNS = r"""
select
    run_id,
    status,
    (select json_object_agg(key, value) from run_tags as t where t.run_id = r.run_id),
    (
        select max(substring(event from 'Started process for run \(pid: ([0-9]+)')::int)
        from event_logs as e where e.run_id = r.run_id
    )
from runs as r
where pipeline_name = %s
order by id
"""


class Setup:
    """A home with an embedded server; what Dagster stored is asked of its database."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home, dagster_port=free_port(), api_port=free_port(), time_zone="UTC")
        self.log = home.parent / "log"
        self._url = ""

    @contextmanager
    def up(self) -> Iterator[psutil.Process]:
        """`myi up` until the context ends, with whatever it started."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-c", UP],
                env=inherited | self.settings.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        process = psutil.Process(child.pid)
        try:
            yield process
        finally:
            self.kill_all(process)
            child.wait()

    def kill_all(self, up: psutil.Process) -> None:
        """As a power cut does: at once, Postgres included, nobody is asked."""
        doomed = [up, *up.children(recursive=True)] if up.is_running() else []
        doomed += self._postgres()
        for process in doomed:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(doomed, timeout=20)

    def _postgres(self) -> list[psutil.Process]:
        record = self.settings.home / "postgres" / "places.json"
        if not record.exists():
            return []
        found = json.loads(record.read_text(encoding="utf-8"))
        title, data = f"postgres: myi-{found['server_id']}: ", str(record.parent / found["area"] / "data")
        server = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if data in words or " ".join(words).startswith(title):
                    server.append(process)
        return server

    def runs(self, job: str = REFRESH) -> list[dict[str, Any]]:
        """Runs of a job, oldest first, with their tags and the process that they said they have."""
        with contextlib.suppress(psycopg.OperationalError, psycopg.errors.UndefinedTable):
            with psycopg.connect(self._storage(), autocommit=True) as connection:
                rows = connection.execute(RUNS, (job,)).fetchall()
            return [dict(zip(("id", "status", "tags", "pid"), row, strict=True)) for row in rows]
        return []

    def _storage(self) -> str:
        """Asked for once: opening the warehouse starts a server that is not there, which is left to `myi up`."""
        if not self._url:
            with open_warehouse(self.settings, migrate=False) as warehouse:
                self._url = compose_url(parse_url(warehouse.dagster_url()))
        return self._url

    def status(self, run_id: str) -> str:
        return next((str(run["status"]) for run in self.runs() if run["id"] == run_id), "")

    def graphql(self, query: str, *, token: str, **variables: object) -> dict[str, Any]:
        """What Dagster's webserver answers; nothing while it is not there."""
        url, told = f"http://127.0.0.1:{self.settings.dagster_port}/graphql", {"authorization": f"Bearer {token}"}
        with contextlib.suppress(httpx.TransportError), httpx.Client(trust_env=False, timeout=60) as client:
            answer = client.post(url, json={"query": query, "variables": variables}, headers=told)
            found = answer.json() if answer.is_success else {}
            return dict(found.get("data") or {})
        return {}

    def process_of(self, run_id: str) -> int | None:
        return next((run["pid"] for run in self.runs() if run["id"] == run_id), None)

    def retries_of(self, run_id: str) -> list[str]:
        return [run["id"] for run in self.runs() if (run["tags"] or {}).get("dagster/parent_run_id") == run_id]

    def wait_for(self, status: str, *, at_most_s: float = 150) -> dict[str, Any]:
        """A refresh in this status whose process is known."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [run for run in self.runs() if run["status"] == status and run["pid"]]
            return bool(found)

        self.wait_until(is_there, at_most_s=at_most_s, what=f"no refresh is {status}")
        return found[0]

    def wait_until(self, condition: Callable[[], bool], *, at_most_s: float, what: str) -> float:
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > at_most_s:
                end = self.log.read_text(encoding="utf-8", errors="replace")[-6000:]
                pytest.fail(f"{what}; {self.runs()}\n{end}")
            time.sleep(0.1)
        return time.monotonic() - began


@pytest.fixture
def setup(embedded_home: Path) -> Setup:
    return Setup(embedded_home)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_after_a_power_cut_myi_up_alone_brings_a_refresh_back(setup: Setup) -> None:
    with setup.up() as up:
        # With no marts yet, the sensor on the ledger asks for a refresh, which takes dbt half a minute.
        setup.wait_until(lambda: "starting Dagster" in setup.log.read_text(), at_most_s=60, what="no server")
        first = setup.wait_for("STARTED")
        setup.kill_all(up)
    with setup.up() as up:
        setup.wait_until(lambda: setup.status(first["id"]) == "FAILURE", at_most_s=120, what="it is not failed")
        setup.wait_until(lambda: bool(setup.retries_of(first["id"])), at_most_s=60, what="it is not retried")
        (retry,) = setup.retries_of(first["id"])

        # The worker of the retry and the code server die while it is still STARTING; or, on a fast machine, STARTED.
        second = setup.wait_for("STARTING", at_most_s=60)
        assert second["id"] == retry
        # The daemon is a fork of it, with the same arguments.
        serving = [each for each in up.children() if "myi_pipeline.definitions" in " ".join(each.cmdline())]
        (code_server,) = (each for each in serving if each.name() != "dagster-daemon")
        for process in (code_server, psutil.Process(second["pid"])):
            process.kill()
        # It is failed, and there is another retry; or Dagster had not been told yet that it was launched, and launches
        # it again.
        setup.wait_until(
            lambda: bool(setup.retries_of(retry)) or setup.process_of(retry) not in (None, second["pid"]),
            at_most_s=90,
            what="it is neither failed nor launched again",
        )
        setup.wait_until(
            lambda: setup.runs()[-1]["status"] == "SUCCESS", at_most_s=240, what="the last retry does not end"
        )
        with open_warehouse(setup.settings, migrate=False) as warehouse:
            assert runs_have_processes(warehouse).passed


@pytest.mark.long
@pytest.mark.timeout(900)
def test_after_a_power_cut_backfills_go_on_to_their_end(setup: Setup) -> None:
    """One whose run died, and one whose run waits for the dead one's place."""
    with setup.up() as up:
        setup.wait_until(lambda: "starting Dagster" in setup.log.read_text(), at_most_s=60, what="no server")
        with open_warehouse(setup.settings, migrate=False) as warehouse:
            with warehouse.connect(Role.INGEST, autocommit=True) as connection:
                # Of different years: what another person has waits for confirmation.
                for key, year in (("ana", "2020"), ("ben", "2021")):
                    add_user(connection, user_key=key, time_zone="UTC")
                    path = setup.settings.uploads_folder / key / "one.zip"
                    path.parent.mkdir(parents=True)
                    rows = decoys.good_json().replace(b'"2020-', f'"{year}-'.encode())
                    decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", rows))
            with warehouse.connect(Role.OWNER, autocommit=True) as connection:
                user = set_user(connection, user_key="ben", is_operator=True)
            with warehouse.connect(Role.APP, autocommit=True) as connection:
                token = make_token(connection, user_id=user.user_id, name="test", scope=TokenScope.OPERATE).token
        begun: list[str] = []

        def is_begun(*users: str) -> bool:
            found = setup.graphql(LAUNCH_BACKFILL, token=token, users=users).get("launchPartitionBackfill") or {}
            begun.extend(found.values())
            return bool(found)

        setup.wait_until(lambda: is_begun("ana", "ben"), at_most_s=150, what="the first backfill is not begun")
        setup.wait_until(lambda: is_begun("ben"), at_most_s=10, what="the second backfill is not begun")
        setup.wait_until(
            lambda: any(run["status"] == "STARTED" for run in setup.runs(BACKFILL_RUN)), at_most_s=120, what="no run"
        )
        setup.kill_all(up)
    with setup.up():

        def are_done() -> bool:
            found = setup.graphql(BACKFILLS, token=token).get("partitionBackfillsOrError") or {}
            each = {backfill["id"]: backfill["status"] for backfill in found.get("results", [])}
            return [each.get(backfill) for backfill in begun] == ["COMPLETED_SUCCESS"] * 2

        setup.wait_until(are_done, at_most_s=300, what="the backfills do not end")
