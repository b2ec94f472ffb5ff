"""How an import looks while it runs: a bar for a person, a log line now and then for everybody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from myi_pipeline.cli.output import Output, number, plain, size

if TYPE_CHECKING:
    from myi_pipeline.services.import_results import ImportProgress

# A log line more often would fill a journal while a large archive loads.
LOG_EVERY_S = 10.0

log = structlog.get_logger(__name__)


class _Rows(ProgressColumn):
    """Rows so far, and rows a second."""

    def render(self, task: Task) -> Text:
        rows = int(task.fields.get("rows", 0))
        speed = rows / task.elapsed if task.elapsed else 0.0
        return Text(f"{number(rows)} rows, {number(speed)} rows/s")


class _Bytes(ProgressColumn):
    def render(self, task: Task) -> Text:
        done, total = task.fields.get("bytes_read"), task.fields.get("bytes_total")
        return Text(f"{size(done)} of {size(total)}" if total else "")


@contextmanager
def import_progress(output: Output, name: str) -> Iterator[Callable[[ImportProgress], None]]:
    """A listener for import_history; what it shows is gone when the context ends."""
    if not output.progress_console.is_terminal:
        yield _logging_listener(name)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), _Bytes(), _Rows(), TimeRemainingColumn())
    # Drawn when there is news, not by a thread: an import forks its readers, and threads do not survive that.
    with Progress(*columns, console=output.progress_console, transient=True, auto_refresh=False) as progress:
        label = plain(name)[:40].replace("[", "\\[")
        reading = progress.add_task(f"{label}: reading", total=None)
        loading = progress.add_task(f"{label}: loading", total=None, visible=False)

        def listen(at: ImportProgress) -> None:
            if at.stage == "reading":
                progress.update(
                    reading, total=at.bytes_total, completed=at.bytes_read,
                    bytes_read=at.bytes_read, bytes_total=at.bytes_total, rows=at.rows,
                )  # fmt: skip
                progress.refresh()
                return
            if not progress.tasks[loading].visible:
                progress.update(reading, visible=False)
                progress.reset(loading, visible=True)
            progress.update(loading, total=at.rows_total, completed=at.rows, rows=at.rows)
            progress.refresh()

        yield listen


def _logging_listener(name: str) -> Callable[[ImportProgress], None]:
    said_at = time.monotonic()

    def listen(at: ImportProgress) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at >= LOG_EVERY_S:
            said_at = now
            log.info(
                "import_progress", archive=name, stage=at.stage, rows=at.rows,
                bytes_read=at.bytes_read, bytes_total=at.bytes_total,
            )  # fmt: skip

    return listen
