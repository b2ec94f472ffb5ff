"""`myi import`: archives in, figures out.

Belongs here: which paths make one archive, the order of import, report and refresh, and the closing table.
Not here: importing (services.import_history), the progress bar (progress.py).
Invariants: an archive that is refused never stops the others, and never goes unmentioned; the exit code says whether
any was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from myi_pipeline.cli.children import reporting_to_dagster
from myi_pipeline.cli.figures import render_listening, summary_document
from myi_pipeline.cli.output import day, facts, number, table
from myi_pipeline.cli.progress import import_progress
from myi_pipeline.cli.refreshing import refresh, refresh_document, render_refresh
from myi_pipeline.cli.session import JsonOption, Session, open_session, warehouse
from myi_pipeline.core.errors import BadInput, Busy, MyiError, UnknownUser

if TYPE_CHECKING:
    from myi_pipeline.services.import_results import ImportResult
    from myi_pipeline.services.refresh_marts import RefreshResult
    from myi_pipeline.services.summarise_listening import ListeningSummary
    from myi_pipeline.warehouse.connections import Warehouse

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
        typer.Argument(metavar="PATH...", exists=True, help="ZIPs, folders or JSON files as Spotify gave them."),
    ],
    user: Annotated[str, typer.Option("--user", metavar="KEY", help="Whose listening history it is.")],
    create: Annotated[bool, typer.Option("--create", help="Add the user when there is none of that key.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and judge everything, write nothing.")] = False,
    no_refresh: Annotated[bool, typer.Option("--no-refresh", help="Leave the marts for a later refresh.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import listening-history archives. Several JSON files are taken together as one archive."""
    session = open_session(as_json=as_json)
    outcome = _Outcome()
    with warehouse(session) as opened:
        if not (create and dry_run):
            _need_user(session, opened, user, create=create)
        for archive in archives_of(paths):
            _import_one(session, opened, archive, user=user, dry_run=dry_run, outcome=outcome)
        if outcome.results and not dry_run:
            _follow_up(session, opened, user, no_refresh=no_refresh, outcome=outcome)
    session.output.result(_document(outcome), lambda console: _render(console, outcome))
    raise typer.Exit(outcome.exit_code)


def _need_user(session: Session, opened: Warehouse, user: str, *, create: bool) -> None:
    from myi_pipeline.services import manage_users
    from myi_pipeline.services.uploads_folder import make_uploads_folder
    from myi_pipeline.warehouse.connections import Role

    with opened.connect(Role.INGEST, autocommit=True) as connection:
        if manage_users.list_users(connection, user_key=user):
            return
        if not create:
            raise UnknownUser(
                f"there is no user {user!r}: add --create, or first run: myi user add {user}", place="--user"
            )
        made = manage_users.add_user(connection, user_key=user, time_zone=session.settings.new_user_time_zone)
    make_uploads_folder(session.settings, made.user_key)
    session.output.note(f"User {made.user_key} added; days are counted in {made.time_zone}.")


def _import_one(
    session: Session, opened: Warehouse, archive: tuple[Path, ...], *, user: str, dry_run: bool, outcome: _Outcome
) -> None:
    from myi_pipeline.logs import correlation_id
    from myi_pipeline.services.import_history import import_history
    from myi_pipeline.services.reading_rules import account_hasher, archive_limits

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
                dry_run=dry_run,
                readers=READERS,
            )
    except (BadInput, Busy) as error:
        outcome.refused.append(Refused(archive, error))
        session.output.note(f"{name} was refused: {str(error).removeprefix(f'{name}: ')}")
        return
    outcome.results.append(result)


def _follow_up(session: Session, opened: Warehouse, user: str, *, no_refresh: bool, outcome: _Outcome) -> None:
    from myi_pipeline.services.summarise_listening import summarise_listening
    from myi_pipeline.warehouse.connections import Role

    # Reporting costs some seconds of another process; the refresh runs beside it.
    with reporting_to_dagster(session, opened, outcome.results) as report:
        if not no_refresh:
            outcome.refresh = refresh(session, opened)
    outcome.reported = report.succeeded
    if not report.succeeded:
        session.output.note("Dagster could not be told about this import; its data is complete all the same.")
    if outcome.refresh is not None and outcome.refresh.status in ("completed", "nothing"):
        with opened.connect(Role.ANALYST, autocommit=True) as connection:
            outcome.summary = summarise_listening(connection, user_key=user)


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
        render_refresh(console, outcome.refresh)
        console.print()
    if outcome.summary is not None:
        render_listening(console, outcome.summary)


def render_import(console: Console, result: ImportResult) -> None:
    """One archive: what was read and where every row went."""
    counts = result.accounting
    became = (
        f"{number(counts.read)} rows = {number(counts.loaded)} new + {number(counts.present)} already present"
        f" + {number(counts.identical)} identical + {number(counts.quarantined)} quarantined"
    )
    if result.status == "dry_run":
        became = f"{number(counts.read)} rows, {number(counts.quarantined)} of them for quarantine; nothing was written"
    pairs: list[tuple[str, object]] = [
        ("archive", f"{result.archive_name} ({result.kind.replace('_', ' ')})"),
        ("import", None if result.import_id is None else f"{result.import_id}, {result.status.replace('_', ' ')}"),
        ("rows", became),
        ("covers", f"{day(result.span.first)} to {day(result.span.last)}" if result.span.first else None),
        ("speed", f"{number(result.rows_per_second)} rows/s in {sum(result.seconds.values()):.1f} s"),
        ("unread", ", ".join(result.skipped_members[:5]) + (" ..." if len(result.skipped_members) > 5 else "")),
        ("unknown keys", ", ".join(result.unknown_keys)),
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
