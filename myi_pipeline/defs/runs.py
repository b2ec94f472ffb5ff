"""Runs and their processes: the launcher, what a run's process does beside its work, and who finds the lost.

dagster.yaml names the launcher. On one machine it launches runs as Dagster's default launcher does; where
MYI_CELERY_BROKER_URL is set, it is the one of celery_runs. Whoever launched it, the process of a run holds the run by
its heartbeats (operations/heartbeats). A lost run is failed, so that Dagster's retries apply and its place in the queue
is free again. That happens in a sensor because a sensor runs only while the daemon reaches the code server: Dagster
gives up a retry for which it cannot reach it.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable

import dagster as dg
from dagster import DagsterInstance, DagsterRun, DefaultRunLauncher, InitResourceContext

# A launcher is an extension of Dagster, but these have no public name.
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._serdes import ConfigurableClassData

from myi_pipeline.defs.resources import Installation
from myi_pipeline.errors import Transient
from myi_pipeline.operations import heartbeats
from myi_pipeline.operations.active_runs import ActiveRun, look_at_runs
from myi_pipeline.operations.heartbeats import AlreadyBegun, beating
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.settings import Settings, load_settings

ACTIVE = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_UNFINISHED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, *ACTIVE]
# Woken every quarter of a minute while a run is active, and when one was given up (wake_ups).
_TICK_EVERY_S = 300
# Sensors are evaluated in the process of the code server.
_SERVES_SINCE = datetime.now(UTC)
# The daemon calls a run STARTING before it gives it to a cluster or a broker, and may be at that for a while.
_LAUNCHED_WITHIN = timedelta(minutes=1)
_LOST = "Nothing was heard of the process of this run: its host or the process was ended, or cut off from the database."
_NEVER_BEGUN = "No process began this run: its code server or the machine was ended before it could."
_LOST_BUT_DONE = "Nothing was heard of the process of this run, but all of its steps had succeeded."
_GONE = "Canceled; the process of this run no longer exists."
# In looks, of which there is one every ten seconds: a minute.
_INTERRUPTED_AGAIN_AFTER = 6
# Runs whose process this is.
_held: set[str] = set()


def unfinished_runs(
    instance: DagsterInstance, job_name: str | None = None, *, most: int | None = None
) -> Sequence[DagsterRun]:
    """Runs of a job, or of all, that wait or go on; up to `most`."""
    return instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=_UNFINISHED), limit=most)


@runtime_checkable
class LaunchesAgain(Protocol):
    """A launcher whose runs may wait for a process as long as they must, and are then launched once more."""

    def launch_again(self, run: DagsterRun) -> str | None:
        """A line for the log, if it did. Raises Transient when it cannot at present."""


class MyiRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, or Celery's, as the settings say; it also terminates runs that no code server reaches."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Any:
        settings = load_settings()
        if settings.celery_broker_url is None:
            return cls(inst_data=inst_data)
        from myi_pipeline.defs.celery_runs import CeleryLauncher

        return CeleryLauncher(settings, inst_data=inst_data)

    def terminate(self, run_id: str) -> bool:
        """As Dagster does, by the code server; a run without a process ends at once, and one whose code server was
        replaced is told by its own heartbeat."""
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        if run is None or run.is_finished:
            return False
        if end_if_gone(self._instance, load_settings(), run, may_be_waiting=False):
            return True
        try:
            if super().terminate(run_id):  # type: ignore[no-untyped-call]
                return True
        except DagsterUserCodeUnreachableError:
            pass
        return ask_to_end(self._instance, run_id)


# The name in copies of dagster.yaml that were made for the version before (MYI_DAGSTER_YAML); to go with the next one.
RecordingRunLauncher = MyiRunLauncher


def end_if_gone(instance: DagsterInstance, settings: Settings, run: DagsterRun, *, may_be_waiting: bool) -> bool:
    """Cancel a run that has no living process, or, `may_be_waiting`, that none has begun yet and now none will."""
    with (
        open_warehouse(settings, migrate=False) as warehouse,
        closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi runs")) as connection,
    ):
        process = heartbeats.processes_of(connection, [run.run_id]).get(run.run_id)
        if process is None:
            is_gone = may_be_waiting and heartbeats.refuse_to_begin(connection, run.run_id)
        else:
            is_gone = process.is_silent
    if is_gone:
        instance.report_run_canceled(run, message=_GONE)
    return is_gone


def ask_to_end(instance: DagsterInstance, run_id: str) -> bool:
    """The run's own process sees it within seconds, wherever it is (_CancellationWatch). False if it has ended."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if run.status is not dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run)
    return True


class _CancellationWatch:
    """In the process of a run: whether others have canceled or ended it. Called every ten seconds."""

    def __init__(self, instance: DagsterInstance, run_id: str) -> None:
        self._instance, self._run_id = instance, run_id
        # The first look at a wish is let pass: its code server has just interrupted it, if it could.
        self._seen_finished, self._looks_until_next = 0, 1

    def __call__(self, is_over: threading.Event) -> None:
        run = self._instance.get_run_by_id(self._run_id)
        if is_over.is_set():
            return
        if run is None or run.is_finished:
            # Seen once, its own end may just have been reported by this process.
            self._seen_finished += 1
            if self._seen_finished > 1:
                heartbeats.end_process(f"run {self._run_id} was ended by somebody else")
        elif run.status is dg.DagsterRunStatus.CANCELING:
            if self._looks_until_next == 0:
                # As its code server would do it: interrupted, the run reports its own end.
                os.kill(os.getpid(), signal.SIGINT)
            self._looks_until_next = (self._looks_until_next - 1) % _INTERRUPTED_AGAIN_AFTER


@contextmanager
def holding(instance: DagsterInstance, settings: Settings, run_id: str) -> Iterator[None]:
    """Holds the run for this process, by heartbeats. Reentrant. Raises AlreadyBegun if another process holds it."""
    if run_id in _held:
        yield
        return
    with beating(settings, run_id, look=_CancellationWatch(instance, run_id)):
        _held.add(run_id)
        try:
            yield
        finally:
            _held.discard(run_id)


def supervised(installation: Installation) -> dg.ResourceDefinition:
    """The installation as a resource: whoever uses it in a run holds the run by its heartbeats."""

    @dg.resource(description="This installation: its database and its settings.")
    def resource(context: InitResourceContext) -> Iterator[Installation]:
        # None in sensors and schedules.
        run, instance = context.run, context.instance
        if run is None or instance is None:
            yield installation
            return
        try:
            with holding(instance, installation.settings, run.run_id):
                yield installation
        except AlreadyBegun:
            # Reporting a failure would fail the run of the other process. Where both are children of one code server,
            # that fails it all the same, as it does with any child that ends before its run.
            sys.stderr.write(f"run {run.run_id} is done by another process\n")
            os._exit(0)

    return resource


def end_lost_runs(instance: DagsterInstance, warehouse: Warehouse) -> list[str]:
    """Fail the runs whose process is gone; canceled is what was being canceled. Launch again what Celery may have lost.
    Returns a line for each."""
    told: list[str] = []
    is_broker_away = False
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi runs")) as connection:
        heartbeats.give_up_silent(connection, [run.run_id for run in look_at_runs(warehouse).active])
        for seen in look_at_runs(warehouse).active:
            try:
                line = _judge(instance, seen, connection, is_broker_away=is_broker_away)
            except Transient as error:
                # An attempt takes half a minute where the network swallows it: the others wait for the next look.
                is_broker_away, line = True, str(error)
            except Exception as error:
                # One run that cannot be judged keeps no other from it.
                line = f"{seen.describe()} could not be judged: {type(error).__name__}: {error}"
            told += [] if line is None else [line]
    return told


def _judge(instance: DagsterInstance, seen: ActiveRun, connection: Connection, *, is_broker_away: bool) -> str | None:
    # It may have ended by itself since the others were looked at.
    run = instance.get_run_by_id(seen.run_id)
    if run is None or run.status not in ACTIVE:
        return None
    launcher = instance.run_launcher
    if seen.is_waiting and isinstance(launcher, LaunchesAgain):
        return None if is_broker_away or seen.waited <= _LAUNCHED_WITHIN else launcher.launch_again(run)
    reason = _why_lost(seen, connection, is_local=isinstance(launcher, MyiRunLauncher))
    if reason is None:
        return None
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, reason)
        return f"{seen.describe()} has lost its process and is canceled"
    if _has_done_all(instance, run):
        _report_succeeded(instance, run)
        return f"{seen.describe()} has lost its process after its last step, and has succeeded"
    instance.report_run_failed(run, reason)
    return f"{seen.describe()} has lost its process and is failed"


def _has_done_all(instance: DagsterInstance, run: DagsterRun) -> bool:
    if run.execution_plan_snapshot_id is None:
        return False
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    done = {dg.DagsterEventType.STEP_SUCCESS, dg.DagsterEventType.STEP_SKIPPED}
    ended = {event.step_key for event in instance.all_logs(run.run_id, of_type=done)}
    return bool(plan.step_keys_to_execute) and ended.issuperset(plan.step_keys_to_execute)


def _report_succeeded(instance: DagsterInstance, run: DagsterRun) -> None:
    """As the process of the run would have done next. For the other ends Dagster has methods of its own."""
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name, message=_LOST_BUT_DONE)
    instance.report_dagster_event(event, run_id=run.run_id)


def _why_lost(seen: ActiveRun, connection: Connection, *, is_local: bool) -> str | None:
    """Why the run is lost; None if it may still end by itself. Runs that a launcher other than ours gives to a cluster
    may wait for a place there for as long as Dagster's start_timeout_seconds says."""
    if seen.process is not None:
        return _LOST if seen.process.is_given_up else None
    is_overdue = seen.is_overdue(serves_since=_SERVES_SINCE if is_local else None)
    return _NEVER_BEGUN if is_overdue and heartbeats.refuse_to_begin(connection, seen.run_id) else None


@dg.sensor(
    name="lost_runs",
    target=None,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails the runs of whose process nothing is heard, on whatever host, so that they are retried.",
)
def lost_runs_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SkipReason:
    if not context.instance.get_runs(dg.RunsFilter(statuses=ACTIVE), limit=1):
        return dg.SkipReason("no run is active")
    with installation.open() as warehouse:
        told = end_lost_runs(context.instance, warehouse)
    for line in told:
        context.log.warning(line)
    return dg.SkipReason("; ".join(told) if told else "every active run has its process")
