"""`myi export`: everything of one user in one file."""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from myi_pipeline.cli.output import Output, counted, facts, number, size
from myi_pipeline.cli.session import JsonOption, open_session, warehouse
from myi_pipeline.errors import BadInput, DiskFull, Permanent

if TYPE_CHECKING:
    from myi_pipeline.operations.take_away.export import ExportSummary

log = structlog.get_logger(__name__)

_LOG_EVERY_S = 10.0


def export_command(
    user: Annotated[str, typer.Option("--user", metavar="KEY", help="Whose it is.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The ZIP to write, or an existing folder for it.")
    ],
    no_marts: Annotated[
        bool, typer.Option("--no-marts", help="Leave out the tables; everything needed to import it again stays.")
    ] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write the tables as Parquet too; needs the extra `parquet`.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write everything of one user into one ZIP, which `myi import` can read again.

    It contains every play as reported, corrections and decisions, playlists with all versions, settings, and tables for
    spreadsheets.
    """
    from myi_pipeline.operations.take_away.export import write_export
    from myi_pipeline.operations.take_away.parquet import need_pyarrow

    session = open_session(as_json=as_json)
    if parquet:
        need_pyarrow()
    target = output / f"myi-export-{user}-{time.strftime('%Y%m%d')}.zip" if output.is_dir() else output
    if target.exists() and not force:
        raise BadInput(f"{target} already exists; add --force to replace it", place=str(target), rule="a new file")
    with (
        warehouse(session) as opened,
        _progress(session.output, user) as listener,
        _unfinished(target) as part,
        part.open("xb") as out,
    ):
        summary = write_export(
            opened, out, user_key=user, with_marts=not no_marts, with_parquet=parquet, on_rows=listener
        )
        out.flush()
        os.fsync(out.fileno())
    if summary.marts_are_current is False:
        session.output.note(
            "The tables are not up to date with all reported plays; run `myi refresh` first to include them."
        )
    written = target.stat().st_size
    session.output.result(
        {**_document(summary), "file": str(target), "bytes": written},
        lambda console: _render(console, summary, target, written),
    )


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A temporary file that takes its final name once complete. Raises DiskFull, Permanent."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        yield part
        os.replace(part, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"not enough disk space for {target}; nothing was left there") from error
        raise Permanent(f"{target} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _document(summary: ExportSummary) -> dict[str, Any]:
    return {
        "user": summary.user_key,
        "events": summary.events,
        "rows": summary.rows,
        "marts_are_current": summary.marts_are_current,
        "parts": [
            {"name": name, "rows": part.rows, "bytes": part.bytes, "sha256": part.sha256}
            for name, part in summary.parts.items()
        ],
    }


def _render(console: Console, summary: ExportSummary, target: Path, written: int) -> None:
    marts = {None: "left out", True: "up to date", False: "not up to date"}[summary.marts_are_current]
    console.print(
        facts(
            (
                ("file", f"{target} ({size(written)})"),
                ("user", summary.user_key),
                ("plays as reported", number(summary.events)),
                ("everything", f"{counted(summary.rows, 'row')} in {len(summary.parts)} files"),
                ("tables", marts),
            )
        )
    )


@contextmanager
def _progress(output: Output, user: str) -> Iterator[Callable[[int, int], None]]:
    """A listener for write_export; its output disappears when the context ends."""
    if not output.progress_console.is_terminal:
        said_at = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal said_at
            if time.monotonic() - said_at >= _LOG_EVERY_S:
                said_at = time.monotonic()
                log.info("export_progress", user_key=user, rows=done, rows_total=total)

        yield tell
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.progress_console, transient=True) as progress:
        task = progress.add_task("tables", total=None)

        def draw(done: int, total: int) -> None:
            progress.update(task, description=f"{number(done)} plays", completed=done, total=total)

        yield draw
