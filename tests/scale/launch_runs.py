"""Asks for runs as the sensors do, from the control host: `python launch_runs.py`, orders in, run ids out, a line each.

An order is `{"job": ..., "run_config": ..., "tags": ...}`. Runs go into the queue; the daemon takes them from there.
"""

from __future__ import annotations

import json
import os
import sys

from myi_pipeline.operations.dagster_home import prepare_dagster
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.settings import load_settings


def main() -> None:
    settings = load_settings()
    with open_warehouse(settings, migrate=False) as warehouse:
        # Before Dagster is imported, which reads them.
        os.environ.update(prepare_dagster(settings, warehouse))
    from dagster import DagsterInstance

    # What `dagster job launch` does for one run, after importing Dagster each time.
    from dagster._cli.job import _create_run
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import GrpcServerTarget

    host, port = settings.code_place
    target = GrpcServerTarget(host=host, port=port, socket=None, location_name="myi")
    with DagsterInstance.get() as instance, WorkspaceProcessContext(instance, target) as process:
        for line in sys.stdin:
            order = json.loads(line)
            with process.create_request_context() as workspace:
                location = workspace.get_code_location("myi")
                (repository,) = location.get_repositories().values()
                run = _create_run(
                    instance=instance,
                    code_location=location,
                    remote_repo=repository,
                    remote_job=repository.get_full_job(order["job"]),
                    run_config=order.get("run_config", {}),
                    tags=order.get("tags", {}),
                    op_selection=None,
                    run_id=None,
                )
                instance.submit_run(run.run_id, workspace)
            sys.stdout.write(run.run_id + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
