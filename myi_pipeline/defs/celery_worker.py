"""A Celery worker: `python -m myi_pipeline.defs.celery_worker QUEUE[,QUEUE...] CONCURRENCY`, which `myi worker` runs.

Runs are done in processes of a pool, which import Dagster once. The worker reports itself to ops.celery_workers, so
that `myi doctor` knows which queues are served without asking a broker.
"""

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing

import psycopg
import structlog
from celery import signals

from myi_pipeline.defs.celery_runs import worker_app
from myi_pipeline.defs.resources import Installation
from myi_pipeline.error_reports import start_error_reports
from myi_pipeline.errors import MyiError
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.operations import celery_workers
from myi_pipeline.operations.celery_workers import REPORT_EVERY_S, CeleryWorker
from myi_pipeline.postgres.connections import Connection, Role
from myi_pipeline.settings import Settings, load_settings

log = structlog.get_logger(__name__)


class Reports:
    """What the worker says of itself, between the beats of Celery's own loop: the processes of the pool are forked from
    there, so that no thread may hold a connection meanwhile."""

    def __init__(self, settings: Settings, worker: CeleryWorker) -> None:
        self._settings, self._worker = settings, worker
        # Signals reach the processes of the pool, too.
        self._pid = os.getpid()
        self._next_at = 0.0

    def on_heartbeat(self, **_: object) -> None:
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + REPORT_EVERY_S
            self._tell(celery_workers.report)

    def on_end(self, **_: object) -> None:
        self._tell(celery_workers.forget)

    def _tell(self, what: Callable[[Connection, CeleryWorker], None]) -> None:
        if os.getpid() != self._pid:
            return
        try:
            with (
                Installation(self._settings).open() as warehouse,
                closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi worker")) as connection,
            ):
                what(connection, self._worker)
        except (MyiError, psycopg.Error) as error:
            log.warning("worker_not_reported", reason=type(error).__name__)


def _leave_group(**_: object) -> None:
    """In a process of the pool: Ctrl-C reaches a terminal's whole group, and lets runs end that are under way."""
    os.setpgid(0, 0)


def main(queues: str, concurrency: str) -> None:
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_error_reports(settings, part="celery-worker")
    start_correlation(settings.correlation_id)
    host = socket.gethostname()
    name = f"myi-{secrets.token_hex(4)}@{host}"
    reports = Reports(settings, CeleryWorker(name, host, tuple(queues.split(",")), int(concurrency)))
    signals.heartbeat_sent.connect(reports.on_heartbeat)
    signals.worker_shutdown.connect(reports.on_end)
    signals.worker_process_init.connect(_leave_group)
    worker_app(settings).worker_main(
        [
            "worker", "--queues", queues, "--concurrency", concurrency, "--hostname", name,
            "--loglevel", settings.log_level.value, "--without-gossip", "--without-mingle",
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
