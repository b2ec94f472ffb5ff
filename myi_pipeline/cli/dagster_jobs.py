"""Dagster's jobs, one after the other, in a child that has Dagster in memory.

Belongs here: starting that child, its orders and answers, what it said when it failed. Not here: the jobs
(defs/run_jobs). Invariant: the child ends with the context, and what it prints goes to a file, masked when it is shown.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from myi_pipeline.cli.children import dagster_environment
from myi_pipeline.cli.session import Session
from myi_pipeline.core.errors import Permanent
from myi_pipeline.logs import mask

if TYPE_CHECKING:
    from myi_pipeline.warehouse.connections import Warehouse

_LINES_SHOWN = 15
_END_S = 30


@dataclass
class DagsterJobs:
    """What dagster_jobs yields. `runs` are those that succeeded, as they ended."""

    child: subprocess.Popen[str]
    log_file: Path
    runs: list[dict[str, Any]] = field(default_factory=list)

    def run(
        self,
        job: str,
        *,
        first: str | None = None,
        last: str | None = None,
        now: datetime | None = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Run a job to its end, for users from `first` to `last`; polls go by `now`. Raises Permanent."""
        order = {"job": job, "first": first, "last": last, "now": now and now.isoformat(), "run_config": run_config}
        try:
            self._to_child.write(json.dumps({name: value for name, value in order.items() if value is not None}) + "\n")
            self._to_child.flush()
            answer = self._from_child.readline()
        except BrokenPipeError:
            answer = ""
        done = json.loads(answer) if answer.strip() else {"succeeded": False}
        if not done["succeeded"]:
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_SHOWN:]
            raise Permanent(f"{job} failed in Dagster; the end of {self.log_file}:\n{mask(chr(10).join(lines))}")
        self.runs.append(done)

    @property
    def _to_child(self) -> IO[str]:
        assert self.child.stdin is not None
        return self.child.stdin

    @property
    def _from_child(self) -> IO[str]:
        assert self.child.stdout is not None
        return self.child.stdout


@contextmanager
def dagster_jobs(session: Session, opened: Warehouse, *, log_file: Path) -> Iterator[DagsterJobs]:
    """The child, for as long as the context lasts. Starting it takes the time of importing Dagster and dbt."""
    with log_file.open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "myi_pipeline.defs.run_jobs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dagster_environment(session, opened),
            encoding="utf-8",
        )
        try:
            yield DagsterJobs(child, log_file)
            assert child.stdin is not None
            child.stdin.close()
            child.wait(_END_S)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait(_END_S)
