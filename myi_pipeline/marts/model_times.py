"""How long each model took in each mart run: stored, summarised, and compared with how long it used to take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from psycopg.rows import class_row

from myi_pipeline.marts.dbt_runner import DbtNode
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

KEPT_FOR = timedelta(days=42)
# Below this, a model's time is mostly dbt's own.
_WORTH_A_WARNING_S = 5.0
_TIMES_SLOWER = 5.0
# The number of earlier runs that define a model's usual time.
_RUNS_COMPARED = 20


def keep_model_times(connection: Connection, run_id: int, nodes: Iterable[DbtNode]) -> None:
    """Store what dbt reported about the models of a run, and delete entries older than some weeks."""
    models = [node for node in nodes if node.kind == "model"]
    values = {
        "run_id": run_id,
        "models": [node.name for node in models],
        "seconds": [node.seconds for node in models],
        "rows": [node.rows for node in models],
        "statuses": [node.status for node in models],
    }
    connection.execute(load_sql("marts/mart_runs/keep_model_times"), values)
    connection.execute("delete from ops.mart_run_models where finished_at < now() - %s", (KEPT_FOR,))


@dataclass(frozen=True)
class SlowModel:
    """A model whose last run took much longer than earlier runs of about as many rows."""

    model: str
    seconds: float
    usual_seconds: float
    row_count: int | None
    usual_row_count: int | None


def slow_models(connection: Connection) -> list[SlowModel]:
    """The slowest first. Incremental runs and rebuilds are compared separately."""
    values = {"runs": _RUNS_COMPARED, "least_seconds": _WORTH_A_WARNING_S, "times": _TIMES_SLOWER}
    with connection.cursor(row_factory=class_row(SlowModel)) as cursor:
        return cursor.execute(load_sql("marts/mart_runs/slow_models"), values).fetchall()
