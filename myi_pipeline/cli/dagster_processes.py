"""Child processes of a command that load Dagster: for reports to its instance, and for jobs to run at once.

Importing Dagster takes 7 CPU seconds and 185 MB, so no command does it itself. A child gets the command's settings,
secrets and correlation id only through its environment, and never outlives the command.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import structlog

from myi_pipeline.cli.session import Session
from myi_pipeline.errors import Permanent
from myi_pipeline.isolation import children_environment
from myi_pipeline.logs import mask
from myi_pipeline.settings import Settings

if TYPE_CHECKING:
    from myi_pipeline.archives.accounting import ImportResult
    from myi_pipeline.postgres.connections import Warehouse

log = structlog.get_logger(__name__)

# Importing dagster takes 7 CPU seconds; on a slow machine under load it has taken a minute.
REPORT_TIMEOUT_S = 180.0
# The user waits for the concurrent refresh, but not for anything that Dagster shows.
_PATIENTLY = ("nice", "-n", "10") if shutil.which("nice") else ()


def child_environment(settings: Settings) -> dict[str, str]:
    """This process's environment with the settings in it."""
    return children_environment() | settings.environment()


@dataclass
class Report:
    """Whether the report reached Dagster; set when the context of reporting_to_dagster has ended."""

    succeeded: bool = False


def dagster_environment(session: Session, opened: Warehouse) -> dict[str, str]:
    """The environment of every Dagster process: the settings, and the location of Dagster's home and storage."""
    from myi_pipeline.operations.dagster_home import prepare_dagster

    return child_environment(session.settings) | prepare_dagster(session.settings, opened)


def partition_keys(session: Session, opened: Warehouse) -> tuple[str, ...] | None:
    """The users that Dagster knows, after removing those who no longer exist; None if it does not answer."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "myi_pipeline.defs.commands", "sync-users"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=dagster_environment(session, opened),
            encoding="utf-8",
            errors="replace",
            timeout=REPORT_TIMEOUT_S,
            check=True,
        )
        return tuple(json.loads(child.stdout))
    except (subprocess.SubprocessError, ValueError) as error:
        log.warning("dagster_does_not_answer", reason=type(error).__name__)
        return None


@contextmanager
def reporting_to_dagster(session: Session, opened: Warehouse, results: Sequence[ImportResult]) -> Iterator[Report]:
    """Reports imports to Dagster while the context runs, and waits for the report at its end."""
    report = Report()
    import_ids = [str(result.import_id) for result in results if result.import_id is not None]
    child = subprocess.Popen(
        [*_PATIENTLY, sys.executable, "-m", "myi_pipeline.defs.commands", "report-imports", *import_ids],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dagster_environment(session, opened),
        encoding="utf-8",
        errors="replace",
        # Ctrl-C reaches the whole process group: this process decides, and ends its child.
        start_new_session=True,
    )
    said: list[str] = []
    # A thread drains the pipe, so that a talkative child never waits for the refresh.
    talker = threading.Thread(target=lambda: said.append(child.communicate()[1]), daemon=True)
    talker.start()
    try:
        yield report
        talker.join(REPORT_TIMEOUT_S)
        report.succeeded = child.poll() == 0
        if not report.succeeded:
            log.warning("report_to_dagster_failed", exit_code=child.poll(), output=_tail(said))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(10)
        talker.join(5)


def _tail(said: Sequence[str]) -> str:
    return "\n".join("".join(said).strip().splitlines()[-5:])


_LINES_SHOWN = 15
_END_S = 30


@dataclass
class DagsterJobs:
    """What dagster_jobs yields. `runs` are the successful ones, in order of completion."""

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
        """Runs a job to completion, for users from `first` to `last`; polls use `now` as the time. Raises Permanent."""
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
    """The child process, for the duration of the context. Starting it takes as long as importing Dagster and dbt."""
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
