"""`myi import`: archives into the warehouse, with a progress bar on a terminal, periodic log lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from myi_pipeline.cli.access import print_way_in, way_in
from myi_pipeline.cli.dagster_processes import reporting_to_dagster
from myi_pipeline.cli.figures import render_listening, summary_document
from myi_pipeline.cli.output import Output, counted, day, facts, number, plain, size, table
from myi_pipeline.cli.refreshing import (
    dbt_at_hand,
    refresh,
    refresh_document,
    render_refresh,
    render_tests,
    test_later,
)
from myi_pipeline.cli.session import JsonOption, Session, open_session, warehouse
from myi_pipeline.cli.users import free_key
from myi_pipeline.errors import BadInput, Busy, DiskFull, MyiError, NotConfirmed

if TYPE_CHECKING:
    from myi_pipeline.archives.accounting import ImportProgress, ImportResult
    from myi_pipeline.marts.dbt_runner import DbtProcess
    from myi_pipeline.marts.figures import ListeningSummary
    from myi_pipeline.marts.refresh import RefreshResult
    from myi_pipeline.postgres.connections import Warehouse

# Parsing fills one core; a second reader fills a second one. More would wait for the database.
READERS = 2


@dataclass(frozen=True)
class Refused:
    """An archive of which nothing was loaded, or which could not be finished."""

    paths: tuple[Path, ...]
    error: MyiError

    def as_dict(self) -> dict[str, object]:
        place = {"place": self.error.place, "rule": self.error.rule} if isinstance(self.error, BadInput) else {}
        return {
            "paths": [str(path) for path in self.paths],
            "kind": type(self.error).__name__,
            "message": str(self.error),
            **place,
        }


@dataclass
class _Outcome:
    """What has happened so far."""

    results: list[ImportResult] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    refresh: RefreshResult | None = None
    reported: bool = False
    summary: ListeningSummary | None = None
    # Whether a person has seen the figures already, before the tests.
    is_shown: bool = False

    @property
    def exit_code(self) -> int:
        broken = any(any(file.error for file in result.files) for result in self.results)
        stale = self.refresh is not None and not self.refresh.is_good
        return 1 if self.refused or broken or stale else 0


def archives_of(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Each ZIP and each folder is one archive; all single files together are one, because exports come in pieces."""
    archives: list[tuple[Path, ...]] = []
    pieces: list[Path] = []
    for path in dict.fromkeys(paths):
        if path.is_dir() or path.suffix.lower() == ".zip":
            archives.append((path,))
        else:
            pieces.append(path)
    if pieces:
        archives.append(tuple(pieces))
    return archives


def import_command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...", exists=True, help="ZIPs, folders or single files, as they were given to you."
        ),
    ],
    user: Annotated[str, typer.Option("--user", metavar="KEY", help="Whose listening history it is.")],
    create: Annotated[bool, typer.Option("--create", help="Add the user when there is none of that key.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and judge everything, write nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="The archive belongs to this user, although another user has it.")
    ] = False,
    time_zone: Annotated[
        str | None,
        typer.Option(
            "--time-zone",
            metavar="ZONE",
            help="Where the player was of a .scrobbler.log that does not say it; the user's zone unless given.",
        ),
    ] = None,
    no_refresh: Annotated[bool, typer.Option("--no-refresh", help="Leave the marts for a later refresh.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import listening histories: Spotify's archives, exports of Last.fm, ListenBrainz, Maloja and Koito (ZIP, CSV or
    JSON), and .scrobbler.log files. Several single files are taken together as one archive."""
    session = open_session(as_json=as_json)
    outcome = _Outcome()
    way: Sequence[str] = ()
    at_hand = nullcontext(None) if dry_run or no_refresh else dbt_at_hand(session, is_sure=True)
    with at_hand as dbt, warehouse(session) as opened:
        if not (create and dry_run):
            _need_user(session, opened, user, create=create)
        for archive in archives_of(paths):
            _import_one(session, opened, archive, user=user, dry_run=dry_run, yes=yes, zone=time_zone, outcome=outcome)
        if outcome.results and not dry_run:
            _follow_up(session, opened, user, dbt=dbt, outcome=outcome)
            way = way_in(session, opened, user_key=user)
    if not outcome.is_shown:
        document = {**_document(outcome), "dashboard": session.settings.site_url}
        session.output.result(document, lambda console: _render(console, outcome))
    if way and not as_json:
        session.output.result(None, lambda console: print_way_in(console, way))
    raise typer.Exit(outcome.exit_code)


def _need_user(session: Session, opened: Warehouse, user: str, *, create: bool) -> None:
    from myi_pipeline.people import manage_users
    from myi_pipeline.people.uploads_folder import make_uploads_folder
    from myi_pipeline.postgres.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        if manage_users.list_users(connection, user_key=user):
            return
        if not create:
            raise manage_users.unknown_user(user, added_by="myi user add KEY or --create")
        free_key(session, opened, user)
        made = manage_users.add_user(connection, user_key=user, time_zone=session.settings.new_user_time_zone)
    make_uploads_folder(session.settings, made.user_key)
    session.output.note(f"User {made.user_key} added; days are counted in {made.time_zone}.")


def _import_one(
    session: Session,
    opened: Warehouse,
    archive: tuple[Path, ...],
    *,
    user: str,
    dry_run: bool,
    yes: bool,
    zone: str | None,
    outcome: _Outcome,
) -> None:
    from myi_pipeline.archives.import_history import import_history
    from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
    from myi_pipeline.logs import correlation_id
    from myi_pipeline.postgres.disk_space import disk_guard

    name = archive[0].name if len(archive) == 1 else f"{len(archive)} files"
    try:
        with import_progress(session.output, name) as listener:
            result = import_history(
                opened,
                paths=archive[0] if len(archive) == 1 else archive,
                user_key=user,
                limits=archive_limits(session.settings),
                hash_account=account_hasher(session.settings),
                on_progress=listener,
                correlation_id=correlation_id(),
                is_confirmed=yes,
                time_zone=zone,
                check_disk=disk_guard(session.settings).check,
                dry_run=dry_run,
                readers=READERS,
            )
    except NotConfirmed as error:
        outcome.refused.append(Refused(archive, error))
        session.output.note(f"{error} To confirm it, run the same command with --yes.")
        return
    except (BadInput, Busy, DiskFull) as error:
        outcome.refused.append(Refused(archive, error))
        session.output.note(f"{name} was refused: {str(error).removeprefix(f'{name}: ')}")
        return
    outcome.results.append(result)


def _follow_up(session: Session, opened: Warehouse, user: str, *, dbt: DbtProcess | None, outcome: _Outcome) -> None:
    """Figures as soon as there are any; then the tests, and whatever Dagster still has to be told."""
    from myi_pipeline.marts.figures import summarise_listening
    from myi_pipeline.postgres.connections import Role

    # Reporting costs some seconds of another process; the refresh runs beside it.
    with reporting_to_dagster(session, opened, outcome.results) as report:
        if dbt is not None:
            outcome.refresh = refresh(session, opened, dbt=dbt, run_tests=False)
            if outcome.refresh.status in ("completed", "nothing"):
                with opened.connect(Role.ANALYST, autocommit=True) as connection:
                    outcome.summary = summarise_listening(connection, user_key=user)
            if not session.output.as_json:
                session.output.result(None, lambda console: _render(console, outcome))
                outcome.is_shown = True
            outcome.refresh = test_later(session, opened, outcome.refresh, dbt=dbt)
            if outcome.is_shown and outcome.refresh.tests:
                done = outcome.refresh
                session.output.result(None, lambda console: render_tests(console, done))
    outcome.reported = report.succeeded
    if not report.succeeded:
        session.output.note("This import could not be reported to Dagster; the import itself is complete.")


def _document(outcome: _Outcome) -> dict[str, Any]:
    return {
        "imports": [result.as_dict() for result in outcome.results],
        "refused": [refused.as_dict() for refused in outcome.refused],
        "refresh": refresh_document(outcome.refresh),
        "reported_to_dagster": outcome.reported,
        "listening": summary_document(outcome.summary),
        "exit_code": outcome.exit_code,
    }


def _render(console: Console, outcome: _Outcome) -> None:
    for result in outcome.results:
        render_import(console, result)
    for refused in outcome.refused:
        console.print(
            facts((("refused", ", ".join(path.name for path in refused.paths)), ("because", str(refused.error))))
        )
        console.print()
    if outcome.refresh is not None and outcome.refresh.status != "nothing":
        render_refresh(console, outcome.refresh, are_tests_due=True)
        console.print()
    if outcome.summary is not None:
        render_listening(console, outcome.summary)


def render_import(console: Console, result: ImportResult) -> None:
    """One archive: what was read and where every row went."""
    counts = result.accounting
    became = (
        f"{counted(counts.read, 'row')} = {number(counts.loaded)} new + {number(counts.present)} already present"
        f" + {number(counts.identical)} identical + {number(counts.quarantined)} quarantined"
    )
    if result.status == "dry_run":
        became = f"{counted(counts.read, 'row')}, {number(counts.quarantined)} for quarantine; nothing was written"
    pairs: list[tuple[str, object]] = [
        ("archive", f"{result.archive_name} ({result.kind.replace('_', ' ')})"),
        ("import", None if result.import_id is None else f"{result.import_id}, {result.status.replace('_', ' ')}"),
        ("rows", became),
        ("covers", f"{day(result.span.first)} to {day(result.span.last)}" if result.span.first else None),
        ("speed", f"{number(result.rows_per_second)} rows/s in {sum(result.seconds.values()):.1f} s"),
        ("files not read", ", ".join(result.skipped_members[:5]) + (" ..." if len(result.skipped_members) > 5 else "")),
        ("ignored fields", ", ".join(result.unknown_keys)),
        *(("warning", warning) for warning in result.warnings),
        *(("broken", f"{file.name}: {file.error}") for file in result.files if file.error),
    ]
    console.print(facts(pairs))
    console.print()
    if result.reasons:
        rows = [(reason.replace("_", " "), number(count)) for reason, count in result.reasons.items()]
        console.print(table("Quarantined rows", ("reason", ">rows"), rows))
        if result.import_id is not None:
            console.print(f"See them with: myi quarantine list --import {result.import_id}")
        console.print()


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
