"""Imports an export: first the original events with their archives and accounting, then everything based on them.

An export has a row in app.imports like any archive, and one of its files is a year of events. It is checked completely
before anything is imported. Every step can be repeated: existing data do not change, so importing an export twice, or
next to its original archives, changes nothing, and a killed import is simply run again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from myi_pipeline.archives import import_log, owners
from myi_pipeline.archives.accounting import (
    Accounting,
    FileResult,
    ImportProgress,
    ImportResult,
    ProgressListener,
    Span,
)
from myi_pipeline.archives.export_parts import bring_events, bring_imports, settle_imports
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.files.export_package import EVENTS_FOLDER, EXPORT_KIND, ROWS, ExportPackage, open_export
from myi_pipeline.archives.import_log import ImportRun
from myi_pipeline.catalogue.export_parts import bring_names
from myi_pipeline.operations.take_away.parts import AFTER_EVENTS, BEFORE_EVENTS
from myi_pipeline.people.manage_users import find_user_id
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, retry_conflicts
from myi_pipeline.postgres.parts import Part, blamed_on, run_statements, stage_part

_FILE_KIND: Final = "myi_events"
_LOCK_WAIT_S: Final = 600.0


def bring_back(
    warehouse: Warehouse,
    *,
    path: Path,
    user_key: str,
    limits: Limits,
    on_progress: ProgressListener | None = None,
    correlation_id: str | None = None,
    run_id: str | None = None,
    is_confirmed: bool = False,
    check_disk: Callable[[], None] = lambda: None,
    dry_run: bool = False,
) -> ImportResult:
    """Take an export in for one user, who may have another key than the one who made it.

    Raises as import_history does: BadInput (NotConfirmed) before anything is taken, Busy, Permanent. With `dry_run` it
    is read and compared with its manifest, and nothing is written; that needs no database.
    """
    listener = on_progress or (lambda _: None)
    with open_export(path, limits=limits) as package:
        started = time.perf_counter()
        package.check(lambda done: listener(ImportProgress("reading", done, package.bytes_total, 0, None)))
        seconds = {"reading": time.perf_counter() - started}
        if dry_run:
            return _dry_run(package, user_key=user_key, seconds=seconds)
        check_disk()
        with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi import")) as connection:
            # Chunks need not wait for the disk one by one: the transaction that closes the import does.
            connection.execute(
                "select set_config('timezone', 'UTC', false), set_config('synchronous_commit', 'off', false)"
            )
            user_id = find_user_id(connection, user_key=user_key)
            with import_log.archive_lock(connection, user_id=user_id, sha256=package.sha256, wait_s=_LOCK_WAIT_S):
                run = _begin(
                    connection, package, user_id=user_id, correlation_id=correlation_id, run_id=run_id,
                    is_confirmed=is_confirmed,
                )  # fmt: skip
                try:
                    steps = _Steps(connection, package, run, listener, check_disk)
                    return steps.execute(user_key, seconds=seconds)
                except BaseException as error:
                    import_log.give_up(warehouse, connection, run, error)
                    raise


def _begin(
    connection: Connection,
    package: ExportPackage,
    *,
    user_id: int,
    correlation_id: str | None,
    run_id: str | None,
    is_confirmed: bool,
) -> ImportRun:
    is_asked = not is_confirmed and owners.is_asked_about(connection, user_id=user_id, sha256=package.sha256)
    return import_log.begin(
        connection,
        user_id=user_id,
        sha256=package.sha256,
        contents=(),
        rows=owners.sample_export(package) if is_asked else (),
        archive_name=package.name,
        kind=EXPORT_KIND,
        bytes_total=package.bytes_total,
        correlation_id=correlation_id,
        run_id=run_id,
        is_confirmed=is_confirmed,
    )


class _Steps:
    """One attempt, step by step."""

    def __init__(
        self,
        connection: Connection,
        package: ExportPackage,
        run: ImportRun,
        listener: ProgressListener,
        check_disk: Callable[[], None],
    ) -> None:
        self._connection, self._package, self._run = connection, package, run
        self._listener, self._check_disk = listener, check_disk
        self._files = package.names(f"{EVENTS_FOLDER}/")

    def execute(self, user_key: str, *, seconds: dict[str, float]) -> ImportResult:
        moments = [time.perf_counter()]
        run, connection = self._run, self._connection
        self._stage(BEFORE_EVENTS)
        import_log.check_not_superseded(connection, run)
        with blamed_on("archives"):
            retry_conflicts(lambda: bring_imports(connection, user_id=run.user_id))
        with blamed_on("catalogue"):
            retry_conflicts(lambda: bring_names(connection, import_id=run.import_id))
        moments.append(time.perf_counter())
        files = self._bring_events()
        moments.append(time.perf_counter())
        self._stage(AFTER_EVENTS)
        retry_conflicts(lambda: self._close(files))
        moments.append(time.perf_counter())
        names = ("interning", "loading", "closing")
        return _result(
            self._package, user_key=user_key, run=run, files=files,
            seconds={**seconds, **{name: moments[i + 1] - moments[i] for i, name in enumerate(names)}},
        )  # fmt: skip

    def _stage(self, parts: Iterable[Part]) -> None:
        for part in parts:
            with blamed_on(part.name):
                stage_part(self._connection, part, self._package.lines(part.name + ROWS))

    def _bring_events(self) -> tuple[FileResult, ...]:
        total = sum(self._package.manifest.parts[name].rows for name in self._files)
        done, results = 0, []
        for file_no, name in enumerate(self._files):
            self._check_disk()
            import_log.begin_file(self._connection, self._run, file_no=file_no, name=name, kind=_FILE_KIND)

            def account(part: Accounting, file_no: int = file_no) -> None:
                import_log.account_chunk(self._connection, self._run, file_no=file_no, chunk=part)

            with blamed_on(name):
                accounting, span = bring_events(
                    self._connection, self._package.lines(name), user_id=self._run.user_id, place=name, account=account
                )
            done += accounting.read
            import_log.report_progress(
                self._connection, self._run, bytes_read=self._package.manifest.parts[name].bytes, rows_read=done
            )
            self._listener(ImportProgress("loading", self._package.bytes_total, self._package.bytes_total, done, total))
            results.append(FileResult(file_no=file_no, name=name, kind=_FILE_KIND, accounting=accounting, span=span))
        return tuple(results)

    def _close(self, files: tuple[FileResult, ...]) -> None:
        connection, run = self._connection, self._run
        values = {"user_id": run.user_id, "import_id": run.import_id}
        with connection.transaction():
            # Waits for the disk, and with it for everything before.
            connection.execute("set local synchronous_commit = on")
            for part in AFTER_EVENTS:
                if part.bring is not None:
                    with blamed_on(part.name):
                        run_statements(connection, part.bring, values)
            settle_imports(connection)
            for file in files:
                import_log.finish_file(
                    connection, run, file_no=file.file_no, accounting=file.accounting, span=file.span, error=None,
                    error_offset=None,
                )  # fmt: skip
            import_log.cover(connection, run)
            import_log.finish(
                connection,
                run,
                status="completed",
                accounting=sum((file.accounting for file in files), Accounting()),
                span=sum((file.span for file in files), Span()),
                bytes_read=self._package.bytes_total,
                unknown_keys={},
                warnings=(),
                account_hash=None,
                error=None,
            )


def _dry_run(package: ExportPackage, *, user_key: str, seconds: dict[str, float]) -> ImportResult:
    files = tuple(
        FileResult(
            file_no=number, name=name, kind=_FILE_KIND, accounting=Accounting(read=package.manifest.parts[name].rows),
            span=Span(),
        )
        for number, name in enumerate(package.names(f"{EVENTS_FOLDER}/"))
    )  # fmt: skip
    return _result(package, user_key=user_key, run=None, files=files, seconds=seconds)


def _result(
    package: ExportPackage,
    *,
    user_key: str,
    run: ImportRun | None,
    files: tuple[FileResult, ...],
    seconds: dict[str, float],
) -> ImportResult:
    return ImportResult(
        import_id=run.import_id if run else None,
        user_key=user_key,
        archive_name=package.name,
        sha256=package.sha256.hex(),
        kind=EXPORT_KIND,
        status="completed" if run else "dry_run",
        attempt=run.attempt if run else 0,
        files=files,
        skipped_members=(),
        unknown_keys={},
        warnings=(),
        seconds=seconds,
    )
