"""Dagster's daemon: `python -m myi_pipeline.defs.daemon WORKSPACE_FILE LOG_LEVEL LOG_FORMAT`, as `myi up` runs it, and
`alone` behind these, as `myi daemon` does: then it prepares the instance and keeps a second one out by itself.

It is Dagster's own, as `dagster-daemon run` starts it, with some differences. Its storage keeps connections: Dagster's
command opens one for each statement, six a second, which was more than half of what an idle installation cost. And
beside it one thread wakes sensors, which otherwise look every few minutes (see wake_ups), and one tells people (see
notices). Its loop leaves a sign of life in MYI_HOME/dagster, for whoever watches its container and must ask nobody.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import structlog
from dagster import DagsterInstance

# As Dagster's command does it, which has no public name for any of these.
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import DagsterDaemonController, daemon_controller_from_instance
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers

from myi_pipeline.defs.commands import prepare_instance
from myi_pipeline.defs.notices import telling_people
from myi_pipeline.defs.wake_ups import waking_sensors
from myi_pipeline.error_reports import start_error_reports, watch_logs
from myi_pipeline.errors import Busy, MyiError
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.parts import ALONE
from myi_pipeline.operations.sole_supervisor import SoleSupervisor, sole_supervisor
from myi_pipeline.settings import Settings, load_settings

log = structlog.get_logger(__name__)

_KEEP_EVERY_S = 5.0
# In MYI_HOME/dagster: was touched when the daemon's loop turned last.
SIGN_OF_LIFE = "daemon-turned"
# Dagster sets no limit in its daemon; one that no honest statement reaches.
_STATEMENT_MS, _RECYCLE_S, _OVERFLOW = 600_000, 3_600, 20


def run_daemon(settings: Settings, workspace: Path, *, log_level: str, log_format: str) -> None:
    """Until SIGINT or SIGTERM."""
    setup_interrupt_handlers()
    try:
        with capture_interrupts(), DagsterInstance.get() as instance:
            instance.optimize_for_webserver(_STATEMENT_MS, _RECYCLE_S, _OVERFLOW)
            target = WorkspaceFileTarget([str(workspace)])
            with (
                daemon_controller_from_instance(
                    instance, workspace_load_target=target, log_level=log_level, log_format=log_format
                ) as controller,
                waking_sensors(settings, instance),
                telling_people(settings),
            ):
                # Dagster has configured its logger meanwhile.
                watch_logs()
                leave_signs_of_life(controller, settings.dagster_home / SIGN_OF_LIFE)
                controller.check_daemon_loop()
    except KeyboardInterrupt:
        return


def leave_signs_of_life(controller: DagsterDaemonController, file: Path) -> None:
    """From now on `file` is touched each time the loop finds that all threads of the daemon live: every five seconds.
    That asks no database."""
    look = controller.check_daemon_threads

    def look_and_tell() -> None:
        look()
        # A full disk is no reason to end.
        with suppress(OSError):
            file.touch()

    controller.check_daemon_threads = look_and_tell  # type: ignore[method-assign]


@contextmanager
def sole(settings: Settings) -> Iterator[None]:
    """This process as the only daemon of its database, with the instance prepared. Raises MyiError."""
    with open_warehouse(settings, migrate=False) as warehouse, sole_supervisor(settings, warehouse) as supervisor:
        with DagsterInstance.get() as instance:
            prepare_instance(instance, settings)
        stop = threading.Event()
        thread = threading.Thread(target=_keep, args=(supervisor, stop), name="sole daemon", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _keep(supervisor: SoleSupervisor, stop: threading.Event) -> None:
    while not stop.wait(_KEEP_EVERY_S):
        try:
            supervisor.keep()
        except Busy as error:
            log.error("daemon_ends", reason=str(error))
            os.kill(os.getpid(), signal.SIGTERM)
            return


def main(workspace: str, log_level: str, log_format: str, *how: str) -> None:
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_error_reports(settings, part="dagster-daemon")
    # Dagster writes its lines itself; passed on, each would appear twice.
    logging.getLogger("dagster").propagate = False
    start_correlation(settings.correlation_id)
    try:
        with sole(settings) if ALONE in how else nullcontext():
            run_daemon(settings, Path(workspace), log_level=log_level, log_format=log_format)
    except MyiError as error:
        log.error("daemon_not_run", reason=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
