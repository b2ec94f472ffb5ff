"""Runs whose process is gone: told from living ones, failed for Dagster's retries, and named by doctor and a check."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
from dagster._core.events import EngineEventData

from myi_pipeline.defs.commands import prepare_instance
from myi_pipeline.defs.run_jobs import Jobs, Order
from myi_pipeline.defs.runs import RecordingRunLauncher
from myi_pipeline.operations import run_workers
from myi_pipeline.operations.checks import runs_have_processes
from myi_pipeline.operations.doctor import Status, run_checks
from myi_pipeline.operations.run_workers import (
    LAUNCH_TAG,
    WORKER_TAG,
    Launch,
    new_launch,
    process_mark,
    worker_of,
    worker_tag,
)
from myi_pipeline.postgres.connections import compose_url, parse_url
from tests.dagster.conftest import Setup

Run = dg.DagsterRun
STARTED, STARTING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING
CANCELING = dg.DagsterRunStatus.CANCELING
WAITS = (
    "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(7)); print(flush=True); time.sleep(99)"
)


@contextmanager
def process(setup: Setup) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this home that stands for a worker."""
    environment = {**os.environ, "DAGSTER_HOME": str(setup.settings.dagster_home)}
    with subprocess.Popen([sys.executable, "-c", WAITS], env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            yield child
        finally:
            child.kill()


def dead(setup: Setup) -> str:
    """The mark of a process that has ended."""
    with process(setup) as child:
        mark = process_mark(child.pid)
    assert mark is not None
    return mark


def make_run(
    setup: Setup, status: dg.DagsterRunStatus, *, worker: str | None = None, launch: Launch | None = None, **fields: str
) -> Run:
    """A run of import_uploads as the launcher records it; `fields` change the record of who launched it."""
    job = setup.definitions.resolve_job_def("import_uploads")
    run = setup.instance.create_run_for_job(job, status=status, tags={"dagster/partition": "ana"})
    values = {**vars(new_launch(setup.settings, run_id=run.run_id)), **fields}
    tags = {LAUNCH_TAG: (launch or Launch(**values)).as_tag()}
    if worker is not None:
        tags[WORKER_TAG] = worker_tag(worker, run_id=run.run_id)
    setup.instance.add_run_tags(run.run_id, tags)
    return run


def enqueued(setup: Setup) -> Run:
    """A run that waits for a place; without a daemon Dagster makes none."""
    run = make_run(setup, dg.DagsterRunStatus.NOT_STARTED)
    with psycopg.connect(compose_url(parse_url(setup.warehouse.dagster_url())), autocommit=True) as connection:
        connection.execute("update runs set status = 'QUEUED' where run_id = %s", (run.run_id,))
    return run


def status_of(setup: Setup, run: Run) -> str:
    found = setup.instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


def say_pid(setup: Setup, run: Run, message: str, pid: int) -> None:
    setup.instance.report_engine_event(message, run, EngineEventData.in_process(pid))


def test_a_run_that_lost_its_process_is_failed_and_retried_and_nobody_elses_is_touched(setup: Setup) -> None:
    gone = dead(setup)
    with process(setup) as worker:
        alive = process_mark(worker.pid)
        assert alive is not None
        used_again = f"{worker.pid}:1"
        lost = {
            "killed": make_run(setup, STARTED, worker=gone),
            "its id is another process's by now": make_run(setup, STARTED, worker=used_again),
            "before the machine was restarted": make_run(setup, STARTED, worker=alive, boot="before"),
            "not yet seen when the machine was restarted": make_run(setup, STARTING, boot="before"),
        }
        canceled = make_run(setup, CANCELING, worker=gone)
        said_so, by_hand = make_run(setup, STARTED), make_run(setup, STARTED, launcher=gone)
        say_pid(setup, said_so, f"Started process for run (pid: {worker.pid}).", worker.pid)
        say_pid(setup, by_hand, f"Executing steps in process (pid: {worker.pid})", worker.pid)
        left = {
            "alive": make_run(setup, STARTED, worker=alive),
            "alive, and its mark was never written": said_so,
            "executed by hand": by_hand,
            "being launched by this process": make_run(setup, STARTING),
            "just launched by one that was killed": make_run(setup, STARTING, launcher=gone),
            "another host's": make_run(setup, STARTED, worker=gone, installation="attic-0123"),
            "a retry that still has the tags of what it repeats": make_run(
                setup, STARTING, launch=new_launch(setup.settings, run_id="another")
            ),
        }
        queued = enqueued(setup)

        found = runs_have_processes(setup.settings, setup.warehouse)
        assert not found.passed
        assert found.figures["lost_runs"] == len(lost) + 1
        assert found.figures["queued_runs"] == 1
        assert all(run.run_id[:8] in found.text for run in lost.values()), found.text
        doctor = {check.name: check for check in run_checks(setup.settings, {})}["Dagster's runs"]
        assert doctor.status is Status.FAIL
        assert "without a process: import_uploads" in doctor.found
        assert "1 waiting in the queue" in doctor.found
        assert "myi up" in doctor.mend

        told = setup.sensor("lost_runs").skip_message

    assert {what: status_of(setup, run) for what, run in lost.items()} == dict.fromkeys(lost, "FAILURE")
    for run in lost.values():
        failed = setup.instance.get_run_by_id(run.run_id)
        assert failed is not None
        assert failed.tags["dagster/will_retry"] == "true"
        assert run.run_id[:8] in told
    assert status_of(setup, canceled) == "CANCELED"
    expected = {what: run.status.value for what, run in left.items()}
    assert {what: status_of(setup, run) for what, run in left.items()} == expected
    # Their worker has ended meanwhile, and a launch takes no hours. The other's host may be gone for good: after an
    # hour it is named, and still not judged.
    setup.instance.delete_run(queued.run_id)
    seen = run_workers.look_at_runs(setup.settings, setup.warehouse, now=datetime.now(UTC) + timedelta(hours=2))
    assert any(each.describe().endswith("launched by attic-0123") for each in seen.overdue_elsewhere)
    lost_now = {*left} - {"another host's", "being launched by this process"}
    lost_now.discard("a retry that still has the tags of what it repeats")
    assert {each.run.run_id for each in seen.lost} == {left[what].run_id for what in lost_now}


def test_myi_up_begins_with_failing_what_the_last_one_left_behind(setup: Setup) -> None:
    lost = make_run(setup, STARTED, worker=dead(setup))
    prepare_instance(setup.instance, setup.settings)
    assert status_of(setup, lost) == "FAILURE"
    assert runs_have_processes(setup.settings, setup.warehouse).passed


def test_terminate_answers_whether_the_worker_is_dead_or_only_its_code_server(setup: Setup) -> None:
    launcher = setup.instance.run_launcher
    assert isinstance(launcher, RecordingRunLauncher)
    nowhere = json.dumps({"host": "localhost", "socket": str(setup.settings.home / "no.sock")})
    lost = make_run(setup, STARTED, worker=dead(setup))
    setup.instance.add_run_tags(lost.run_id, {".dagster/grpc_info": nowhere})

    assert launcher.terminate(lost.run_id)

    assert status_of(setup, lost) == "CANCELED"
    assert not launcher.terminate(lost.run_id)

    with process(setup) as worker:
        alive = make_run(setup, STARTED, worker=process_mark(worker.pid))
        setup.instance.add_run_tags(alive.run_id, {".dagster/grpc_info": nowhere})
        assert launcher.terminate(alive.run_id)
        # Interrupted as its code server would have done it, so that it reports its own end.
        assert worker.wait(timeout=20) == 7
    assert status_of(setup, alive) == "CANCELING"
    assert "CANCELED" in _after_sensor(setup, alive)


def _after_sensor(setup: Setup, run: Run) -> str:
    setup.sensor("lost_runs")
    return status_of(setup, run)


def test_a_run_that_a_command_executes_by_itself_knows_its_process_too(setup: Setup) -> None:
    setup.add_users("ana")
    done = Jobs(setup.instance, setup.settings).run(Order("import_uploads", first="ana"))
    assert done.succeeded
    run = setup.instance.get_run_by_id(done.run_id)
    assert run is not None
    assert worker_of(run.tags[WORKER_TAG], run_id=run.run_id) == process_mark(os.getpid())
    launch = Launch.from_tag(run.tags[LAUNCH_TAG], run_id=run.run_id)
    assert launch is not None
    assert launch.installation == run_workers.installation_name(setup.settings)
