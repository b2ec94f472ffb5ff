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

from myi_pipeline.catalogue.sources import EXPORTERS
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
from myi_pipeline.cli.session import JsonOption, Session, checking_options, open_session, warehouse
from myi_pipeline.cli.users import free_key
from myi_pipeline.errors import BadInput, Busy, DiskFull, MyiError, NotConfirmed

if TYPE_CHECKING:
    from myi_pipeline.archives.accounting import ImportProgress, ImportResult
    from myi_pipeline.marts.dbt_runner import DbtProcess
    from myi_pipeline.marts.figures import ListeningSummary
    from myi_pipeline.marts.refresh import RefreshResult
    from myi_pipeline.operations.archive_playlists import KeptPlaylists
    from myi_pipeline.postgres.connections import Warehouse

# Parsing fills one core, a second reader a second one. More would wait for the database.
READERS = 2


@dataclass(frozen=True)
class Refused:
    """An archive that was refused or could not be finished."""

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
    """The outcome so far."""

    results: list[ImportResult] = field(default_factory=list)
    # By the place of their archive in `results`.
    playlists: dict[int, KeptPlaylists] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    refresh: RefreshResult | None = None
    reported: bool = False
    summary: ListeningSummary | None = None
    # Whether the figures were already shown, before the tests.
    is_shown: bool = False

    @property
    def exit_code(self) -> int:
        broken = any(any(file.error for file in result.files) for result in self.results)
        stale = self.refresh is not None and not self.refresh.is_good
        return 1 if self.refused or broken or stale else 0


def archives_of(paths: Sequence[Path]) -> list[tuple[Path, ...]]:
    """Each ZIP and each folder is one archive; all single files form one, because exports come in pieces."""
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


IMPORT_HELP = (
    f"Import listening histories: Spotify's archives, exports of {EXPORTERS} (ZIP, JSON or CSV), .scrobbler.log files,"
    " and what `myi export` wrote. Several single files are taken together as one archive."
)


def import_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", exists=True, help="ZIPs, folders or single files, as you received them."),
    ],
    user: Annotated[str, typer.Option("--user", metavar="KEY", help="Whose listening history it is.")],
    create: Annotated[bool, typer.Option("--create", help="Add the user if the key is new.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, but write nothing.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm that the archive belongs to this user, although another user has it.")
    ] = False,
    time_zone: Annotated[
        str | None,
        typer.Option(
            "--time-zone",
            metavar="ZONE",
            help="The player's time zone, for a .scrobbler.log that does not state it; default: the user's.",
        ),
    ] = None,
    no_refresh: Annotated[bool, typer.Option("--no-refresh", help="Leave the marts to a later refresh.")] = False,
    as_json: JsonOption = False,
) -> None:
    from myi_pipeline.people.manage_users import check_time_zone

    if time_zone is not None:
        with checking_options():
            check_time_zone(time_zone)
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
        with checking_options():
            manage_users.check_user_key(user)
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
    from myi_pipeline.archives.files.export_package import is_export
    from myi_pipeline.archives.import_history import import_history
    from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
    from myi_pipeline.logs import correlation_id
    from myi_pipeline.operations.archive_playlists import keep_playlists
    from myi_pipeline.operations.take_away.bring_back import bring_back
    from myi_pipeline.postgres.disk_space import disk_guard
    from myi_pipeline.providers.transport import utc_now

    name = archive[0].name if len(archive) == 1 else f"{len(archive)} files"
    try:
        with import_progress(session.output, name) as listener:
            if len(archive) == 1 and is_export(archive[0]):
                outcome.results.append(
                    bring_back(
                        opened,
                        path=archive[0],
                        user_key=user,
                        limits=archive_limits(session.settings),
                        on_progress=listener,
                        correlation_id=correlation_id(),
                        is_confirmed=yes,
                        check_disk=disk_guard(session.settings).check,
                        dry_run=dry_run,
                    )
                )
                return
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
        if _holds_playlists(archive):
            session.output.note(f"Its playlists are read by: myi playlists import FILE --user {user}")
        return
    outcome.results.append(result)
    if not dry_run:
        kept = keep_playlists(opened, archive, user_key=user, now=utc_now())
        outcome.playlists[len(outcome.results) - 1] = kept


def _holds_playlists(archive: tuple[Path, ...]) -> bool:
    from myi_pipeline.playlists.files import read_file

    try:
        return all(not path.is_dir() and any(reading.playlists for reading in read_file(path)) for path in archive)
    except BadInput:
        return False


def _follow_up(session: Session, opened: Warehouse, user: str, *, dbt: DbtProcess | None, outcome: _Outcome) -> None:
    """Shows figures as soon as there are any; then runs the tests and finishes the report to Dagster."""
    from myi_pipeline.marts.figures import summarise_listening
    from myi_pipeline.postgres.connections import Role

    # Reporting takes another process some seconds; the refresh runs at the same time.
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
        "imports": [
            {**result.as_dict(), "playlists": kept.lists if (kept := outcome.playlists.get(index)) is not None else ()}
            for index, result in enumerate(outcome.results)
        ],
        "refused": [refused.as_dict() for refused in outcome.refused],
        "refresh": refresh_document(outcome.refresh),
        "reported_to_dagster": outcome.reported,
        "listening": summary_document(outcome.summary),
        "exit_code": outcome.exit_code,
    }


def _render(console: Console, outcome: _Outcome) -> None:
    for index, result in enumerate(outcome.results):
        render_import(console, result, outcome.playlists.get(index))
    if outcome.refresh is not None and outcome.refresh.status != "nothing":
        render_refresh(console, outcome.refresh, are_tests_due=True)
        console.print()
    if outcome.summary is not None:
        render_listening(console, outcome.summary)


def render_import(console: Console, result: ImportResult, kept: KeptPlaylists | None = None) -> None:
    """One archive: what was read, the accounting of its rows, and the playlists beside them."""
    counts = result.accounting
    became = (
        f"{counted(counts.read, 'row')} = {number(counts.loaded)} new + {number(counts.present)} already present"
        f" + {number(counts.identical)} identical + {number(counts.quarantined)} quarantined"
    )
    if result.status == "dry_run":
        became = f"{counted(counts.read, 'row')}, {number(counts.quarantined)} for quarantine; nothing was written"
    read = {place.removeprefix(f"{result.archive_name}/") for place in kept.files} if kept is not None else set()
    not_read = [name for name in result.skipped_members if name not in read]
    pairs: list[tuple[str, object]] = [
        ("archive", f"{result.archive_name} ({result.kind.replace('_', ' ')})"),
        ("import", None if result.import_id is None else f"{result.import_id}, {result.status.replace('_', ' ')}"),
        ("rows", became),
        ("covers", f"{day(result.span.first)} to {day(result.span.last)}" if result.span.first else None),
        ("speed", f"{number(result.rows_per_second)} rows/s in {sum(result.seconds.values()):.1f} s"),
        ("playlists", kept.sentence if kept is not None else None),
        ("files not read", ", ".join(not_read[:5]) + (" ..." if len(not_read) > 5 else "")),
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


# More frequent log lines would fill a journal while a large archive loads.
LOG_EVERY_S = 10.0

log = structlog.get_logger(__name__)


class _Rows(ProgressColumn):
    """Rows so far, and rows per second."""

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
    """A listener for import_history; its output disappears when the context ends."""
    if not output.progress_console.is_terminal:
        yield _logging_listener(name)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), _Bytes(), _Rows(), TimeRemainingColumn())
    # Redrawn on progress, not by a thread: an import forks its readers, and threads do not survive a fork.
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
