"""Runs and their processes: the launcher of `myi up`, and the sensor that fails runs which lost their process.

dagster.yaml names the launcher. It launches runs as Dagster's default launcher does and records who launched them and
in which process, so that operations/run_workers can recognise a dead worker; Dagster's own launcher has no
health check. A lost run is failed, so that Dagster's retries apply and its place in the queue is free again. That
happens in a sensor because a sensor runs only while the daemon reaches the code server: Dagster gives up a retry for
which it cannot reach it. `myi up` does the same once before the daemon starts.
"""

import os
import signal
import time
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DefaultRunLauncher

# A launcher is an extension of Dagster, but these two have no public name.
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import LaunchRunContext

from myi_pipeline.defs.resources import Installation
from myi_pipeline.operations.run_workers import (
    LAUNCH_TAG,
    WORKER_TAG,
    Launch,
    is_alive,
    is_own,
    look_at_runs,
    new_launch,
    process_mark,
    this_boot,
    worker_of,
    worker_tag,
)
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.settings import Settings, load_settings

# A worker says its process id right after it has reported to the code server that it runs.
_WORKER_SHOWS_WITHIN_S = 3.0
_LOOK_EVERY_S = 0.1
ACTIVE = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
# Woken every quarter of a minute while a run is active (wake_ups).
_TICK_EVERY_S = 300
_LOST = (
    "The process of this run no longer exists, and no code server was left to report its end: the machine was"
    " restarted, or both were killed."
)


class RecordingRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher; its runs are tagged with the installation, the boot and the processes they belong to."""

    def launch_run(self, context: LaunchRunContext) -> None:
        run_id = context.dagster_run.run_id
        launch = new_launch(load_settings(), run_id=run_id)
        self._instance.add_run_tags(run_id, {LAUNCH_TAG: launch.as_tag()})
        super().launch_run(context)
        deadline = time.monotonic() + _WORKER_SHOWS_WITHIN_S
        while (pid := self._pid_of(run_id)) is None and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
        mark = process_mark(pid) if pid is not None else None
        if mark is not None:
            self._instance.add_run_tags(run_id, {WORKER_TAG: worker_tag(mark, run_id=run_id)})

    def terminate(self, run_id: str) -> bool:
        """As Dagster does, by the code server; a run without a process ends at once, and a worker whose code server
        was replaced is interrupted directly."""
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        if run is None or run.is_finished:
            return False
        worker = self._recorded_worker(run)
        if worker == "":
            self._instance.report_run_canceled(run, message="Canceled; the process of this run no longer exists.")
            return True
        try:
            if super().terminate(run_id):  # type: ignore[no-untyped-call]
                return True
        except DagsterUserCodeUnreachableError:
            if worker is None:
                raise
        if worker is None or not is_alive(worker):
            return False
        # What the code server itself would make the worker do.
        os.kill(int(worker.partition(":")[0]), signal.SIGINT)
        return True

    def _recorded_worker(self, run: DagsterRun) -> str | None:
        """The mark of the run's living process on this host; "" when it has ended, None when nothing is known of it."""
        launch = Launch.from_tag(run.tags.get(LAUNCH_TAG), run_id=run.run_id)
        worker = worker_of(run.tags.get(WORKER_TAG), run_id=run.run_id)
        if launch is None or not is_own(launch, load_settings()):
            return None
        if launch.boot != this_boot():
            return ""
        if worker is None:
            return None
        return worker if is_alive(worker) else ""

    def _pid_of(self, run_id: str) -> int | None:
        """The process of the run's newest worker."""
        found: int | None = None
        for entry in self._instance.all_logs(run_id, of_type=DagsterEventType.ENGINE_EVENT):
            metadata: Any = entry.get_dagster_event().engine_event_data.metadata
            if "pid" in metadata:
                found = int(metadata["pid"].value)
        return found


def end_lost_runs(instance: DagsterInstance, settings: Settings, warehouse: Warehouse) -> list[str]:
    """Fail the runs of this installation whose process is gone; canceled is what was being canceled. Returns a line
    for each."""
    told: list[str] = []
    for lost in look_at_runs(settings, warehouse).lost:
        # Its worker may have ended by itself between the two looks; of a dead worker nothing more can come.
        run = instance.get_run_by_id(lost.run.run_id)
        if run is None or run.status not in ACTIVE:
            continue
        if run.status is dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _LOST)
        else:
            instance.report_run_failed(run, _LOST)
        told.append(lost.describe())
    return told


@dg.sensor(
    name="lost_runs",
    target=None,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails the runs whose process died together with its code server, so that they are retried.",
)
def lost_runs_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SkipReason:
    if not context.instance.get_runs(dg.RunsFilter(statuses=ACTIVE), limit=1):
        return dg.SkipReason("no run is active")
    with installation.open() as warehouse:
        told = end_lost_runs(context.instance, installation.settings, warehouse)
    for line in told:
        context.log.warning(f"{line} has lost its process and is failed")
    return dg.SkipReason("; ".join(told) if told else "every active run has its process")
