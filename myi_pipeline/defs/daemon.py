"""Dagster's daemon as `myi up` runs it: `python -m myi_pipeline.defs.daemon WORKSPACE_FILE LOG_LEVEL LOG_FORMAT`.

It is Dagster's own, as `dagster-daemon run` starts it, with two differences. Its storage keeps connections: Dagster's
command opens one for each statement, six a second, which was more than half of what an idle installation cost. And
beside it a thread wakes sensors, which otherwise look every few minutes (see wake_ups).
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from dagster import DagsterInstance

# As Dagster's command does it, which has no public name for any of these.
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster._daemon.controller import daemon_controller_from_instance
from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers

from myi_pipeline.defs.wake_ups import waking_sensors
from myi_pipeline.logs import configure_logs, start_correlation
from myi_pipeline.settings import Settings, load_settings

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
            ):
                controller.check_daemon_loop()
    except KeyboardInterrupt:
        return


def main(workspace: str, log_level: str, log_format: str) -> None:
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    # Dagster writes its lines itself; passed on, each would appear twice.
    logging.getLogger("dagster").propagate = False
    start_correlation(settings.correlation_id)
    run_daemon(settings, Path(workspace), log_level=log_level, log_format=log_format)


if __name__ == "__main__":
    main(*sys.argv[1:])
