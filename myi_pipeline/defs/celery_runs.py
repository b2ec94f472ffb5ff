"""Runs as tasks of Celery: the launcher, the application that both ends share, and the task of a worker.

A run is never lost and never begun twice, whatever the broker does. Who begins a run is decided by its row in
ops.run_heartbeats, so a task may come twice; and while no process has begun a run, the sensor `lost_runs` sends its
task again, so a task may be lost, with its broker. Tasks are acknowledged late for one reason: with one in hand, a
worker reserves no other, which would wait behind it while another worker is idle.
"""

import json
import time
from typing import Any

import dagster as dg
import structlog
from celery import Celery, Task
from celery.exceptions import Ignore
from dagster import DagsterInstance, DagsterRun
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, unpack_value
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.config import TASK_EXECUTE_JOB_NAME
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from dagster_celery.tasks import create_execute_job_task
from kombu.entity import Exchange
from kombu.entity import Queue as BrokerQueue
from kombu.exceptions import OperationalError

from myi_pipeline.defs.queues import QUEUE_TAG, queue_of
from myi_pipeline.defs.runs import ask_to_end, end_if_gone, holding
from myi_pipeline.errors import Transient
from myi_pipeline.operations.celery_workers import Queue
from myi_pipeline.operations.heartbeats import AlreadyBegun
from myi_pipeline.settings import Settings, load_settings

log = structlog.get_logger(__name__)

# The run, when its task was sent last, and how often.
SENT_TAG = "myi/sent"
# A task is sent again when nobody has begun its run for so long, then for twice as long, and so on up to an hour: it
# may only be waiting for a worker, and each copy stays in the queue.
_SEND_AGAIN_AFTER_S, _LONGEST_S = 120.0, 3_600.0
# Longer than any run (dagster.yaml: max_runtime_seconds), because both brokers give away again what was not
# acknowledged for so long. Nothing would come of it but a task that is refused.
_ACKNOWLEDGED_WITHIN_S = 7 * 3_600
_CONNECT_TIMEOUT_S, _PUBLISH_RETRIES = 10, 2
# A process of the pool is replaced after the run in which it grew beyond this.
_LARGEST_KB = 600_000


def celery_app(settings: Settings) -> Celery:
    """The application, as both ends know it. Raises KeyError where MYI_CELERY_BROKER_URL is not set."""
    if settings.celery_broker_url is None:
        raise KeyError("MYI_CELERY_BROKER_URL")
    broker, backend = settings.celery_broker_url.get_secret_value(), settings.celery_result_backend
    is_redis = broker.startswith("redis")
    options = {
        "visibility_timeout": _ACKNOWLEDGED_WITHIN_S,
        "socket_timeout": 30,
        "socket_connect_timeout": _CONNECT_TIMEOUT_S,
        "socket_keepalive": True,
    }
    app = make_app(  # type: ignore[no-untyped-call]
        {
            "broker": broker,
            "backend": None if backend is None else backend.get_secret_value(),
            "config_source": {
                "broker_transport_options": options if is_redis else {},
                "broker_connection_timeout": _CONNECT_TIMEOUT_S,
                "broker_connection_retry_on_startup": True,
                # For ever: a broker may be away for longer than a worker would wait.
                "broker_connection_max_retries": None,
                "task_publish_retry_policy": {
                    "max_retries": _PUBLISH_RETRIES, "interval_start": 0.5, "interval_step": 1, "interval_max": 2,
                },
                "task_default_queue": Queue.HOUSE.value,
                # A queue that nobody serves would swallow runs.
                "task_create_missing_queues": False,
                "task_serializer": "json",
                "accept_content": ["json"],
                "task_acks_late": True,
                # A pool process that is killed is known by the heartbeat of its run, which is failed and tried again.
                "task_reject_on_worker_lost": False,
                "task_ignore_result": backend is None,
                "worker_prefetch_multiplier": 1,
                # Whoever can write to the broker could end workers by it.
                "worker_enable_remote_control": False,
                # A run does not need the broker, and goes on without it.
                "worker_cancel_long_running_tasks_on_connection_loss": False,
                "worker_hijack_root_logger": False,
                # Dagster captures what runs print, by the descriptors.
                "worker_redirect_stdouts": False,
                "worker_max_memory_per_child": _LARGEST_KB,
            },
        }
    )  # fmt: skip
    # The launcher names the queue of each run.
    app.conf.task_routes = None
    exchange = Exchange("myi", type="direct", durable=True)  # type: ignore[no-untyped-call]
    app.conf.task_queues = [
        BrokerQueue(  # type: ignore[no-untyped-call]
            queue.value,
            exchange,
            routing_key=f"{queue.value}.{TASK_EXECUTE_JOB_NAME}",
            # In milliseconds, and known to RabbitMQ alone.
            queue_arguments={"x-consumer-timeout": _ACKNOWLEDGED_WITHIN_S * 1_000},
        )
        for queue in Queue
    ]
    return app


class CeleryLauncher(CeleryRunLauncher):
    """Dagster's own launcher for Celery; a broker that is away costs a run nothing but time."""

    def __init__(self, settings: Settings, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(default_queue=Queue.HOUSE.value, inst_data=inst_data)
        self._settings = settings
        self.celery = celery_app(settings)

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        if QUEUE_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, {QUEUE_TAG: queue_of(run)})
            run = self._instance.get_run_by_id(run.run_id) or run
        try:
            self._send(run, sent=0)
        except OperationalError as error:
            # Failed, the run would be tried twice more within a minute, and then given up while the broker is away.
            self._instance.report_engine_event(
                f"The broker cannot be reached ({type(error).__name__}); the run is sent when it can.", run
            )

    def launch_again(self, run: DagsterRun) -> str | None:
        """Send the task of a run that nobody has begun once more, if the last one was long ago."""
        sent_at, sent = _sent(run)
        if time.time() - sent_at < min(_SEND_AGAIN_AFTER_S * 2 ** max(0, sent - 1), _LONGEST_S):
            return None
        try:
            self._send(run, sent=sent)
        except OperationalError as error:
            raise Transient(f"the broker does not answer: {type(error).__name__}") from error
        return f"{run.job_name} {run.run_id[:8]} was begun by no worker and is sent again"

    def _send(self, run: DagsterRun, *, sent: int) -> None:
        super().launch_run(LaunchRunContext(dagster_run=run, workspace=None))
        self._instance.add_run_tags(run.run_id, {SENT_TAG: json.dumps([run.run_id, int(time.time()), sent + 1])})

    def terminate(self, run_id: str) -> bool:
        """Nobody begins a run that waits; a worker sees within seconds that its run is to end, and ends it."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if end_if_gone(self._instance, self._settings, run, may_be_waiting=True):
            return True
        return ask_to_end(self._instance, run_id)

    @property
    def supports_resume_run(self) -> bool:
        return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        return self._settings.celery_result_backend is not None

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Only that a task broke down is news: all else, and what the backend has forgotten, heartbeats tell."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is not None and self.celery.AsyncResult(task_id).state == "FAILURE":
            return CheckRunHealthResult(WorkerStatus.FAILED, "The Celery worker's process broke down.")
        return CheckRunHealthResult(WorkerStatus.RUNNING)

    def get_run_worker_debug_info(self, run: DagsterRun, include_container_logs: bool | None = True) -> str | None:
        return None


def _sent(run: DagsterRun) -> tuple[float, int]:
    """When the run's task was sent last and how often; a retry begins with the tags of what it repeats."""
    try:
        run_id, at, times = json.loads(run.tags.get(SENT_TAG, ""))
        return (float(at), int(times)) if run_id == run.run_id else (0.0, 0)
    except ValueError:
        return 0.0, 0


class RunTask(Task):  # type: ignore[misc]
    """dagster-celery's task; it does a run only as the first one that comes, and holds it by its heartbeats."""

    abstract = True

    def __call__(self, *_: Any, **given: Any) -> Any:
        run_id = unpack_value(given["execute_job_args_packed"], as_type=ExecuteRunArgs).run_id
        with capture_interrupts(), DagsterInstance.get() as instance:
            run = instance.get_run_by_id(run_id)
            if run is None or run.status is not dg.DagsterRunStatus.STARTING:
                log.warning("task_refused", run_id=run_id, status=run.status.value if run is not None else "deleted")
                raise Ignore
            try:
                with holding(instance, load_settings(), run_id):
                    return super().__call__(**given)
            except AlreadyBegun:
                log.warning("task_refused", run_id=run_id, status="begun by another process")
                raise Ignore from None


def worker_app(settings: Settings) -> Celery:
    """The application as a worker runs it."""
    app = celery_app(settings)
    create_execute_job_task(app, base=RunTask, acks_late=True)  # type: ignore[arg-type]
    return app
