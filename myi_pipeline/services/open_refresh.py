"""A refresh of the marts whose models somebody else builds.

Belongs here: opening a mart run for Dagster, and what is open in the ledger. Not here: building (dbt, Dagster), the
rules of runs (warehouse/mart_runs). Invariant: as there: without every model built, nothing is closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.services.dbt_runner import project
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.mart_runs import MartRun, anything_to_do, mart_lock, mart_run
from myi_pipeline.warehouse.sql_files import load_sql


@dataclass(frozen=True)
class OpenWork:
    """What waits for a refresh. `newest` names the state of the ledger: it is another as soon as anything is added."""

    is_any: bool
    newest: str
    oldest_change_at: datetime | None
    is_import_running: bool


def open_work(warehouse: Warehouse) -> OpenWork:
    """Two small statements; both read ends of indexes."""
    is_any = anything_to_do(warehouse, project=project())
    with closing(warehouse.connect(Role.DBT, autocommit=True, application_name="myi refresh")) as connection:
        row = connection.execute(load_sql("uploads/open_work")).fetchone()
    assert row is not None
    return OpenWork(is_any, f"{project().fingerprint[:12]}-{row[0]}", row[1], row[2])


@contextmanager
def open_refresh(warehouse: Warehouse, *, correlation_id: str | None) -> Iterator[MartRun | None]:
    """An open mart run, waited for while another runs; None when there is nothing to do, which costs one statement."""
    if not anything_to_do(warehouse, project=project()):
        yield None
        return
    with (
        mart_lock(warehouse, on_busy="wait") as connection,
        mart_run(connection, project=project(), correlation_id=correlation_id) as run,
    ):
        yield run
