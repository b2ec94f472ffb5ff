"""Makes a requested export in the file store, and reports its progress."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from myi_pipeline.errors import BadInput, MyiError, Permanent
from myi_pipeline.operations.take_away.export import ExportSummary, write_export
from myi_pipeline.people import take_away_orders
from myi_pipeline.people.take_away_orders import TakenExport
from myi_pipeline.postgres.connections import Connection, Role, Warehouse
from myi_pipeline.postgres.disk_space import MIB, DiskGuard
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_store
from myi_pipeline.storage.stored_files import make_room

# Before a date and what cannot be guessed. Files of playlists have other names.
FILE_STEM: Final = "myi-export"
_TOLD_EVERY: Final = timedelta(seconds=2)
_FOR_ITS_OWNER: Final = "Something went wrong while it was being made. The operator can find the reason in the log."


class _Superseded(Exception):
    """The export no longer belongs to this attempt."""


@dataclass(frozen=True, kw_only=True)
class MadeExport:
    user_key: str
    file_name: str
    size_bytes: int
    summary: ExportSummary


def make_wanted_export(
    warehouse: Warehouse,
    settings: Settings,
    *,
    export_id: int,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> MadeExport | None:
    """None if there is nothing to make: it is done, somebody makes it, or its owner is gone.

    Raises what went wrong, after its row says so.
    """
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi export")) as connection:
        taken = take_away_orders.take_export(connection, export_id=export_id, now=clock())
        if taken is None:
            return None
        try:
            return _make(warehouse, settings, connection, taken, clock=clock)
        except _Superseded:
            return None
        except BaseException as error:
            is_final = isinstance(error, Permanent)
            said = str(error) if isinstance(error, MyiError) else _FOR_ITS_OWNER
            take_away_orders.fail_export(connection, taken, error=said, is_final=is_final, now=clock())
            raise


def _make(
    warehouse: Warehouse,
    settings: Settings,
    connection: Connection,
    taken: TakenExport,
    *,
    clock: Callable[[], datetime],
) -> MadeExport | None:
    folder = settings.artifacts_folder
    guard = DiskGuard((folder,), settings.disk_floor_mb * MIB) if folder is not None else None
    told_at = clock() - _TOLD_EVERY

    def tell(done: int, total: int) -> None:
        nonlocal told_at
        now = clock()
        if now - told_at < _TOLD_EVERY:
            return
        told_at = now
        check_room()
        if not take_away_orders.note_progress(connection, taken, rows_done=done, rows_total=total, now=now):
            raise _Superseded

    def check_room() -> None:
        if guard is not None:
            guard.check()
        if out.tell() > settings.artifacts_quota_bytes:
            raise BadInput(
                f"the export is larger than {settings.artifacts_quota_bytes // MIB:,} MiB",
                place="export",
                rule="MYI_ARTIFACTS_QUOTA_BYTES",
            )

    if guard is not None:
        guard.check()
    store = open_store(settings)
    name = f"{FILE_STEM}-{clock():%Y%m%d}-{secrets.token_hex(6)}.zip"
    with store.writing(taken.user_id, name, "application/zip") as out:
        summary = write_export(
            warehouse, out, user_key=taken.user_key, with_marts=taken.with_marts, now=clock, on_rows=tell
        )
        check_room()
    make_room(store, taken.user_id, quota_bytes=settings.artifacts_quota_bytes, keep=name)
    file = next((each for each in store.files(taken.user_id) if each.name == name), None)
    is_kept = file is not None and take_away_orders.finish_export(
        connection, taken, file_name=name, size_bytes=file.size_bytes, events=summary.events,
        marts_are_current=summary.marts_are_current, now=clock(),
    )  # fmt: skip
    if file is None:
        raise _Superseded
    if not is_kept:
        store.delete(file)
        raise _Superseded
    return MadeExport(user_key=taken.user_key, file_name=name, size_bytes=file.size_bytes, summary=summary)
