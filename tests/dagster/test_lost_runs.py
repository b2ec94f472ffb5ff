"""Runs whose process is gone: told from living ones, failed for Dagster's retries, and named by doctor and a check."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from dagster import DagsterInstance, DefaultRunLauncher
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.execution.plan.objects import StepSuccessData

from myi_pipeline.defs import runs as runs_module
from myi_pipeline.defs.run_jobs import Jobs, Order
from myi_pipeline.defs.runs import MyiRunLauncher, holding
from myi_pipeline.operations.active_runs import look_at_runs
from myi_pipeline.operations.checks import runs_have_processes
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.heartbeats import AlreadyBegun, begin
from myi_pipeline.postgres.connections import Connection, Role, compose_url, parse_url
from tests.dagster.conftest import Setup

Run = dg.DagsterRun
STARTED, STARTING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING
CANCELING = dg.DagsterRunStatus.CANCELING


def make_run(setup: Setup, status: dg.DagsterRunStatus, *, silent_s: float | None = 0, age_s: float = 0) -> Run:
    """A run of import_uploads that has been so for `age_s`; of its process nothing was heard for `silent_s`, or no
    process has begun it (None)."""
    job = setup.definitions.resolve_job_def("import_uploads")
    run = setup.instance.create_run_for_job(job, status=status, tags={"dagster/partition": "ana"})
    with psycopg.connect(compose_url(parse_url(setup.warehouse.dagster_url())), autocommit=True) as connection:
        connection.execute(
            "update runs set update_timestamp = update_timestamp - make_interval(secs => %s) where run_id = %s",
            (age_s, run.run_id),
        )
    if silent_s is not None:
        with ingest(setup) as connection:
            assert begin(connection, run.run_id)
    silence(setup, run, silent_s or 0)
    return run


@contextmanager
def ingest(setup: Setup) -> Iterator[Connection]:
    with closing(setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        yield connection


def silence(setup: Setup, run: Run, seconds: float) -> None:
    """As if nothing had been heard of its process for so much longer."""
    query = (
        "update ops.run_heartbeats set seen_at = seen_at - make_interval(secs => %s),"
        " doubted_at = doubted_at - make_interval(secs => %s) where run_id = %s"
    )
    with ingest(setup) as connection:
        connection.execute(query, (seconds, seconds, run.run_id))


def enqueued(setup: Setup) -> Run:
    """A run that waits for a place; without a daemon Dagster makes none."""
    run = make_run(setup, dg.DagsterRunStatus.NOT_STARTED, silent_s=None)
    with psycopg.connect(compose_url(parse_url(setup.warehouse.dagster_url())), autocommit=True) as connection:
        connection.execute("update runs set status = 'QUEUED' where run_id = %s", (run.run_id,))
    return run


def report_steps(setup: Setup, run: Run, *, are_done: bool) -> None:
    """As the run's process does for each of its steps."""
    assert run.execution_plan_snapshot_id is not None
    data: dict[dg.DagsterEventType, StepSuccessData | None] = {dg.DagsterEventType.STEP_START: None}
    if are_done:
        data[dg.DagsterEventType.STEP_SUCCESS] = StepSuccessData(duration_ms=1.0)  # type: ignore[no-untyped-call]
    for key in setup.instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id).step_keys_to_execute:
        for kind, of_kind in data.items():
            event = dg.DagsterEvent(kind.value, run.job_name, step_key=key, event_specific_data=of_kind)
            setup.instance.report_dagster_event(event, run_id=run.run_id)


def status_of(setup: Setup, run: Run) -> str:
    found = setup.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


@pytest.mark.slow
def test_a_run_that_lost_its_process_is_failed_and_retried_and_nobody_elses_is_touched(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "_SERVES_SINCE", datetime.now(UTC) - timedelta(hours=1))
    lost = {
        "silent": make_run(setup, STARTED, silent_s=40),
        "silent since it began": make_run(setup, STARTING, silent_s=40),
        "started, and no process ever held it": make_run(setup, STARTED, silent_s=None, age_s=300),
        "started when the power was cut": make_run(setup, STARTED, silent_s=None, age_s=40),
        "launched, and no process began it": make_run(setup, STARTING, silent_s=None, age_s=400),
    }
    canceled = make_run(setup, CANCELING, silent_s=40)
    left = {
        "alive": make_run(setup, STARTED),
        "heard of a moment ago": make_run(setup, STARTED, silent_s=15),
        "being launched": make_run(setup, STARTING, silent_s=None),
        "just started": make_run(setup, STARTED, silent_s=None),
        "being launched on a slow machine": make_run(setup, STARTING, silent_s=None, age_s=120),
    }
    queued = enqueued(setup)

    found = runs_have_processes(setup.warehouse)
    assert not found.passed
    # Where the runs' hosts and their clocks are is not known here: neither that which may still be begun, nor that
    # which was just started by a clock that may be behind; but the canceled one.
    assert found.figures["lost_runs"] == len(lost) - 2 + 1
    assert found.figures["queued_runs"] == 1
    doctor = {check.name: check for check in run_checks(setup.settings, {})}["Dagster's runs"]
    assert doctor.status is Status.FAIL
    assert "without a process: import_uploads" in doctor.found
    assert socket.gethostname() in doctor.found
    assert "1 waiting in the queue" in doctor.found

    # One look doubts, the next one acts.
    setup.sensor("lost_runs")
    assert status_of(setup, lost["silent"]) == "STARTED"
    for run in (*lost.values(), canceled):
        silence(setup, run, 11)
    setup.sensor("lost_runs")

    assert {what: status_of(setup, run) for what, run in lost.items()} == dict.fromkeys(lost, "FAILURE")
    for run in lost.values():
        failed = setup.instance.get_run_by_id(run.run_id)
        assert failed is not None
        assert failed.tags["dagster/will_retry"] == "true"
        # What comes late, out of a broker or after a launch that hung, finds the door closed.
        with ingest(setup) as connection:
            assert not begin(connection, run.run_id)
    assert status_of(setup, canceled) == "CANCELED"
    expected = {what: run.status.value for what, run in left.items()}
    assert {what: status_of(setup, run) for what, run in left.items()} == expected
    setup.instance.delete_run(queued.run_id)
    assert runs_have_processes(setup.warehouse).passed


def test_a_run_that_lost_its_process_after_its_last_step_has_succeeded(setup: Setup) -> None:
    """Dagster retries no run that has no step left, and would leave it failed for ever."""
    done, under_way = make_run(setup, STARTED, silent_s=40), make_run(setup, STARTED, silent_s=40)
    report_steps(setup, done, are_done=True)
    report_steps(setup, under_way, are_done=False)
    setup.sensor("lost_runs")
    for run in (done, under_way):
        silence(setup, run, 11)
    setup.sensor("lost_runs")
    assert (status_of(setup, done), status_of(setup, under_way)) == ("SUCCESS", "FAILURE")


def test_a_run_that_an_earlier_code_server_launched_is_not_waited_for(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "_SERVES_SINCE", datetime.now(UTC) - timedelta(seconds=60))
    late = make_run(setup, STARTING, silent_s=None, age_s=50)
    of_another = make_run(setup, STARTING, silent_s=None, age_s=70)
    setup.sensor("lost_runs")
    assert (status_of(setup, late), status_of(setup, of_another)) == ("STARTING", "FAILURE")


def test_a_run_of_another_host_has_as_long_as_clocks_may_be_apart_to_be_held(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DagsterInstance, "run_launcher", property(lambda _: DefaultRunLauncher()))
    behind = make_run(setup, STARTED, silent_s=None, age_s=120)
    lost = make_run(setup, STARTED, silent_s=None, age_s=200)
    setup.sensor("lost_runs")
    assert (status_of(setup, behind), status_of(setup, lost)) == ("STARTED", "FAILURE")


@pytest.mark.slow
def test_terminate_answers_whether_the_worker_is_dead_or_only_its_code_server(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = setup.instance.run_launcher
    assert isinstance(launcher, MyiRunLauncher)
    nowhere = json.dumps({"host": "localhost", "socket": str(setup.settings.home / "no.sock")})
    lost = make_run(setup, STARTED, silent_s=40)

    assert launcher.terminate(lost.run_id)

    assert status_of(setup, lost) == "CANCELED"
    assert not launcher.terminate(lost.run_id)

    # Its own heartbeat interrupts it as its code server would have done, so that it reports its own end.
    interrupted = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    monkeypatch.setattr("myi_pipeline.operations.heartbeats._ASKS_EVERY_S", 0.5)
    try:
        alive = make_run(setup, STARTED, silent_s=None)
        setup.instance.add_run_tags(alive.run_id, {".dagster/grpc_info": nowhere})
        with holding(setup.instance, setup.settings, alive.run_id):
            assert launcher.terminate(alive.run_id)
            assert interrupted.wait(60)
    finally:
        signal.signal(signal.SIGINT, before)
    assert status_of(setup, alive) == "CANCELING"


def test_a_run_that_ends_while_its_code_server_is_asked_keeps_its_end(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(setup, STARTED)

    def ends_meanwhile(self: DefaultRunLauncher, run_id: str) -> bool:
        ended = setup.instance.get_run_by_id(run_id)
        assert ended is not None
        setup.instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, ended.job_name), run_id=run_id
        )
        raise DagsterUserCodeUnreachableError("it does not answer")

    monkeypatch.setattr(DefaultRunLauncher, "terminate", ends_meanwhile)
    assert not setup.instance.run_launcher.terminate(run.run_id)
    assert status_of(setup, run) == "SUCCESS"


def test_a_run_that_its_code_server_has_just_interrupted_is_not_interrupted_at_once_again(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, sent = make_run(setup, CANCELING), list[int]()
    monkeypatch.setattr(runs_module.os, "kill", lambda _, what: sent.append(what))
    look = runs_module._CancellationWatch(setup.instance, run.run_id)
    told = []
    for _ in range(8):
        look(threading.Event())
        told.append(len(sent))
    assert told == [0, 1, 1, 1, 1, 1, 1, 2]


@pytest.mark.slow
def test_a_run_that_a_command_executes_by_itself_holds_it_too_and_a_second_process_does_not_begin_it(
    setup: Setup,
) -> None:
    setup.add_users("ana")
    done = Jobs(setup.instance, setup.settings).run(Order("import_uploads", first="ana"))
    assert done.succeeded
    ((process,),) = setup.sql("select process from ops.run_heartbeats where run_id = %s", done.run_id)
    assert process.partition(":")[0] == str(os.getpid())
    assert not runs_module._held
    with pytest.raises(AlreadyBegun), holding(setup.instance, setup.settings, done.run_id):
        pytest.fail("it began again")
    assert not look_at_runs(setup.warehouse).active


def test_every_job_uses_the_installation_by_which_its_runs_are_held(setup: Setup) -> None:
    repository = setup.definitions.get_repository_def()
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            assert "installation" in job.resource_defs, job.name
            assert any("installation" in node.required_resource_keys for node in _ops(job)), job.name


def _ops(job: dg.JobDefinition) -> list[dg.OpDefinition]:
    return [node for node in job.all_node_defs if isinstance(node, dg.OpDefinition)]


@pytest.mark.slow
def test_every_job_of_ours_has_a_queue_and_no_queue_names_a_job_that_is_gone(setup: Setup) -> None:
    from myi_pipeline.defs.queues import QUEUE_TAG, QUEUES, queue_of

    jobs = {job.name: job for job in setup.definitions.get_repository_def().get_all_jobs()}
    assert {name for name in jobs if not name.startswith("__")} == set(QUEUES)
    for name, queue in QUEUES.items():
        assert jobs[name].run_tags[QUEUE_TAG] == queue.value
    by_hand = setup.instance.create_run_for_job(jobs["refresh_marts"], asset_selection=None, tags={QUEUE_TAG: ""})
    assert queue_of(by_hand) == "dbt"
