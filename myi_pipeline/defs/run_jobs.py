"""Runs jobs at once, one after the other, for `myi demo` and the benchmarks: `python -m myi_pipeline.defs.run_jobs`.

The runs stay in the instance's record, as if the daemon had started them. Standard input is one JSON document a line,
an order; standard output is one JSON document a line, its result.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, TextIO

import dagster as dg
from dagster import DagsterInstance

from myi_pipeline.defs.archives import import_uploads_job, listening_history
from myi_pipeline.defs.marts import build_mart_assets
from myi_pipeline.defs.partitions import RANGE_END, RANGE_START, sync_partitions
from myi_pipeline.defs.polling import poll_users_job, recently_played
from myi_pipeline.defs.refreshes import build_refresh_job
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation, utc_now
from myi_pipeline.defs.runs import supervised
from myi_pipeline.error_reports import start_error_reports
from myi_pipeline.logs import configure_logs, correlation_id, start_correlation
from myi_pipeline.marts.dbt_runner import dbt_manifest
from myi_pipeline.settings import Settings, load_settings


@dataclass(frozen=True)
class Order:
    """One run. `first` and `last` are its users; `now` the moment that polls go by, else this machine's."""

    job: str
    first: str | None = None
    last: str | None = None
    now: str | None = None
    run_config: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobRun:
    job: str
    run_id: str
    succeeded: bool


class Jobs:
    """The jobs that can be ordered, on one instance."""

    def __init__(self, instance: DagsterInstance, settings: Settings) -> None:
        self._instance = instance
        self._now: datetime | None = None
        self._installation = Installation(settings, clock=lambda: self._now or utc_now())
        marts = build_mart_assets(dbt_manifest(settings.dbt_target.parent / "manifests"))
        self._definitions = dg.Definitions(
            assets=[listening_history, recently_played, marts],
            jobs=[import_uploads_job, poll_users_job, build_refresh_job(marts)],
            executor=dg.in_process_executor,
            resources={"installation": supervised(self._installation)},
        )

    def run(self, order: Order) -> JobRun:
        """Runs it to its end; users who came lately have their partition before."""
        with self._installation.open() as warehouse:
            sync_partitions(self._instance, warehouse)
        self._now = datetime.fromisoformat(order.now) if order.now is not None else None
        tags = {CORRELATION_TAG: correlation_id() or "", **order.tags}
        if order.first is not None:
            tags |= {RANGE_START: order.first, RANGE_END: order.last or order.first}
        done = self._definitions.resolve_job_def(order.job).execute_in_process(
            instance=self._instance,
            run_config=dict(order.run_config),
            tags=tags,
            raise_on_error=False,
        )
        return JobRun(order.job, done.run_id, done.success)


def serve(instance: DagsterInstance, settings: Settings, *, orders: TextIO, answers: TextIO) -> bool:
    """Runs order after order until there are no more; whether all succeeded."""
    jobs: Jobs | None = None
    is_good = True
    for line in orders:
        jobs = jobs or Jobs(instance, settings)
        done = jobs.run(Order(**json.loads(line)))
        is_good = is_good and done.succeeded
        answers.write(json.dumps(asdict(done)) + "\n")
        answers.flush()
    return is_good


def main() -> None:
    # dbt and Dagster print: the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    settings = load_settings()
    configure_logs(level=settings.log_level, layout=settings.log_format.value)
    start_error_reports(settings, part="dagster-run")
    start_correlation(settings.correlation_id)
    with dg.DagsterInstance.get() as instance:
        is_good = serve(instance, settings, orders=sys.stdin, answers=answers)
    answers.close()
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
