"""Alerts and dashboard against what /metrics really offers, and failed steps against what is reported of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import promql_parser
import psycopg
import pytest
import yaml
from dagster._daemon.types import DaemonHeartbeat
from prometheus_client.parser import text_string_to_metric_families

from myi_pipeline.operations import monitoring
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url
from tests.architecture.repository import ROOT
from tests.dagster.conftest import Setup
from tests.error_receiver import Receiver
from tests.integration.api.conftest import site_maker
from tests.integration.api.test_health import figures_of

# What Prometheus itself adds to a scrape.
OF_PROMETHEUS = {"up": {"job", "instance"}}
CANARY = "canary0of0runs"


def offered(page: str) -> dict[str, set[str]]:
    """Names of samples, each with the names of its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, {"job", "instance"}).update(sample.labels)
    return found


def wrong_in(expression: str, known: dict[str, set[str]]) -> list[str]:
    """What an expression asks for that is not offered. Raises ValueError when it is not PromQL."""
    wrong = []

    def look(part: Any) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            labels = {matcher.name for matcher in part.matchers.matchers}
            if part.name not in known:
                wrong.append(part.name)
            elif labels - known[part.name]:
                wrong.append(f"{part.name}{sorted(labels - known[part.name])}")

    promql_parser.walk(promql_parser.parse(expression), look)
    return wrong


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(monitoring.rules())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for rule in alerts():
        yield rule["expr"]
    for panel in json.loads(monitoring.dashboard())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$instance", ".*")


def as_everything_happened(setup: Setup) -> None:
    """Rows for each figure that is only there once something has happened."""
    setup.add_users("ana")
    setup.sql(
        "insert into app.credentials (user_id, client_id, account_key, refresh_token, authorised_at, refreshed_at)"
        " select user_id, 'abc', 'id:a', decode(repeat('ab', 40), 'hex'), now(), now() from app.users"
    )
    setup.sql(
        "insert into ops.circuits (user_id, state, opened_at, open_until, reason)"
        " select user_id, 'open', now(), now() + interval '1 hour', 'of ana' from app.users"
    )
    setup.sql("insert into ops.poll_states (user_id, polled_at) select user_id, now() from app.users")
    setup.sql("insert into ops.quota_calls values ('abc', now(), 'polls', 50)")
    setup.sql("insert into ops.quota_blocks values ('abc', 'polls', now(), now() + interval '1 hour', 1)")
    setup.sql("insert into ops.changed_days (user_id, utc_day) select user_id, '2024-01-01' from app.users")
    setup.sql(
        "insert into app.imports (user_id, kind, archive_name, sha256, status)"
        " select user_id, 'extended_history', 'a.zip', sha256('a'), 'failed' from app.users"
    )
    setup.sql(
        "with run as (insert into ops.mart_runs (status, fingerprint, finished_at)"
        " values ('completed', 'x', now()) returning run_id),"
        " model as (insert into ops.mart_run_models (run_id, model, seconds, status)"
        " select run_id, 'fct_plays', 1, 'success' from run)"
        " update ops.mart_state set completed_at = now(), completed_run_id = (select run_id from run)"
    )
    setup.sql("insert into ops.musicbrainz_queue (artist_mbid, due_at) values (gen_random_uuid(), now())")
    setup.sql(
        "insert into ops.backups (place, name, is_scheduled, state, started_at, finished_at, bytes)"
        " values ('/b', 'a', true, 'completed', now() - interval '2 days', now() - interval '2 days', 5),"
        " ('/b', 'b', true, 'failed', now(), now(), null)"
    )
    setup.instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - 30, "SENSOR", "one", []))


def page_of(setup: Setup, home: Path) -> str:
    # The database itself, under another name.
    warehouse = Warehouse(
        urls={role: setup.warehouse.url(role) for role in Role}, dagster_url=setup.warehouse.dagster_url(),
        replicas={Role.API: setup.warehouse.url(Role.API)},
    )  # fmt: skip
    with site_maker(warehouse, home) as make:
        site = make(youtube_client_id="123-abc.apps.googleusercontent.com", backup=str(home / "backups"))
        visitor = site.visitor()
        # A request that is counted.
        assert visitor.get("/healthz").status_code == 200
        deadline = time.monotonic() + 60
        while "myi_replica_lag_bytes" not in (text := visitor.get("/metrics").text):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return text


@pytest.fixture
def page(setup: Setup, tmp_path: Path) -> str:
    as_everything_happened(setup)
    job = setup.definitions.resolve_job_def("import_uploads")
    setup.instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE)
    waits = setup.instance.create_run_for_job(job)
    with psycopg.connect(compose_url(parse_url(setup.warehouse.dagster_url())), autocommit=True) as connection:
        connection.execute(
            "update runs set status = 'QUEUED', update_timestamp = now() at time zone 'UTC' - interval '2 hours'"
            " where run_id = %s",
            (waits.run_id,),
        )
    return page_of(setup, tmp_path / "home")


@pytest.mark.slow
def test_alerts_and_dashboard_ask_for_figures_that_there_are_and_the_figures_are_right(page: str) -> None:
    known = offered(page) | OF_PROMETHEUS
    assert {expression: wrong for expression in expressions() if (wrong := wrong_in(expression, known))} == {}

    found = figures_of(page)
    assert found["myi_dagster_storage_up"] == 1
    assert found["myi_dagster_runs_failed_1h"] == 1
    assert found["myi_dagster_runs_queued"] == 1
    assert found["myi_dagster_runs_active"] == 0
    assert 7_200 <= found["myi_dagster_queue_age_seconds"] < 7_300
    assert 30 <= found["myi_dagster_heartbeat_age_seconds"] < 130
    assert found["myi_disk_floor_bytes"] == 1024 * 1024**2
    assert found["myi_disk_free_bytes"] > 0
    assert found["myi_backup_failed"] == 1
    assert found["myi_backup_bytes"] == 5
    assert 172_800 <= found["myi_backup_age_seconds"] < 172_900
    assert found["myi_backup_age_limit_seconds"] == 50 * 3600
    assert (found["myi_replica_up"], found["myi_replica_lag_seconds"]) == (1, 0)
    assert "ana" not in page

    documented = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")
    # The client library tells besides when each series began.
    names = {family.name.removesuffix("_created") for family in text_string_to_metric_families(page)}
    assert [name for name in sorted(names) if f"`{name}" not in documented] == []


def test_every_alert_is_described_and_a_figure_that_is_not_there_would_be_found() -> None:
    operations = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    for rule in alerts():
        assert rule["alert"] in operations
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
    assert wrong_in("sum(rate(myi_no_such_figure[5m])) > 1", {"up": set()}) == ["myi_no_such_figure"]
    assert wrong_in('up{place="x"} == 0', OF_PROMETHEUS) == ["up['place']"]
    with pytest.raises(ValueError, match="unclosed"):
        wrong_in("sum(rate(up[5m]) > 1", OF_PROMETHEUS)


@pytest.mark.slow
def test_a_step_that_fails_is_reported_with_its_run_and_without_whom_it_was_for(setup: Setup) -> None:
    setup.add_users("listenerana")
    # A bug, as far as the run can tell: a column that the program knows is not there.
    setup.sql("alter table app.imports rename column sha256 to gone")
    setup.put("listenerana/history.zip")
    order = {
        "job": "import_uploads",
        "first": "listenerana",
        "run_config": {"ops": {"listening_history": {"config": {"archives": ["listenerana/history.zip"]}}}},
    }
    with Receiver() as receiver:
        child = subprocess.run(
            [sys.executable, "-m", "myi_pipeline.defs.run_jobs"],
            input=json.dumps(order) + "\n",
            env=os.environ | {"MYI_SENTRY_DSN": receiver.dsn, "MYI_SPOTIFY_CLIENT_SECRET": CANARY},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert child.returncode == 1, child.stderr[-2000:]
        receiver.wait_for(1)
    failed = [each for each in receiver.events if each.get("message") == "step_failed"]
    assert len(failed) == 1, child.stderr[-2000:]
    assert failed[0]["tags"]["run_id"] == json.loads(child.stdout)["run_id"]
    assert failed[0]["tags"]["part"] == "dagster-run"
    sent = b"".join(receiver.bodies).decode()
    assert "listenerana" not in sent
    assert CANARY not in sent
    assert str(setup.settings.home) not in sent
