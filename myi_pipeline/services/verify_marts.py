"""Verifying the law on a user's own data: the marts equal a full rebuild, row for row.

Belongs here: refreshing, building everything a second time beside the marts, comparing, cleaning up. Not here: how rows
are compared. Invariant: the live marts are only read, and nobody else writes them meanwhile.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from myi_pipeline.core.errors import Busy
from myi_pipeline.services.dbt_runner import DbtRunner, OnNode, project
from myi_pipeline.services.refresh_marts import RefreshResult, refresh_under_lock
from myi_pipeline.warehouse.connections import Warehouse
from myi_pipeline.warehouse.mart_comparison import (
    SUFFIX,
    MartComparison,
    compare_marts,
    drop_second_build,
    left_out,
)
from myi_pipeline.warehouse.mart_runs import Connection, OnBusy, mart_lock

# It counts refreshes, so a rebuild that counts from one is no mistake.
NOT_COMPARED = ("user_versions",)


@dataclass(frozen=True)
class VerifyResult:
    """`is_good` only when every mart was compared and none differs."""

    refresh: RefreshResult
    marts: tuple[MartComparison, ...] = ()
    users_left_out: int = 0
    contents_left_out: int = 0
    error: str | None = None
    seconds: float = 0.0

    @property
    def differing(self) -> tuple[MartComparison, ...]:
        return tuple(mart for mart in self.marts if not mart.is_equal)

    @property
    def is_good(self) -> bool:
        return self.error is None and bool(self.marts) and not self.differing


def verify_marts(
    warehouse: Warehouse,
    *,
    dbt: DbtRunner,
    environment: Mapping[str, str],
    on_busy: OnBusy = "wait",
    examples: int = 20,
    correlation_id: str | None = None,
    on_node: OnNode | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> VerifyResult:
    """Refresh, rebuild beside, compare. At most `examples` rows of each side of a mart are given in full."""
    started = clock()
    try:
        with mart_lock(warehouse, on_busy=on_busy) as connection:
            refreshed = refresh_under_lock(
                connection, dbt=dbt, environment=environment, correlation_id=correlation_id, on_node=on_node
            )
            if refreshed.status not in ("completed", "nothing"):
                return VerifyResult(refreshed, error=refreshed.error, seconds=clock() - started)
            drop_second_build(connection)
            try:
                error = _build_beside(connection, dbt=dbt, environment=environment, on_node=on_node)
                if error is not None:
                    return VerifyResult(refreshed, error=error, seconds=clock() - started)
                with left_out(connection) as (users, contents):
                    marts = compare_marts(connection, relations=_compared(), examples=examples)
            finally:
                drop_second_build(connection)
    except Busy as busy:
        return VerifyResult(RefreshResult("busy"), error=str(busy), seconds=clock() - started)
    return VerifyResult(refreshed, tuple(marts), users, contents, seconds=clock() - started)


def _compared() -> list[str]:
    return [relation for relation in project().relations if relation.partition(".")[2] not in NOT_COMPARED]


def _build_beside(
    connection: Connection, *, dbt: DbtRunner, environment: Mapping[str, str], on_node: OnNode | None
) -> str | None:
    """Every model a second time; under the number of the last run, so that the next one fences a lost build off."""
    fence = connection.execute("select run_id from ops.mart_fence").fetchone()
    assert fence is not None
    beside = {
        **environment,
        "MYI_MART_RUN_ID": str(fence[0]),
        "MYI_MART_REBUILD": "1",
        "MYI_MART_FINGERPRINT": project().fingerprint,
        # Its own parse cache: with other variables dbt would throw the usual one away.
        "DBT_TARGET_PATH": str(Path(environment["DBT_TARGET_PATH"]).with_name("verify")),
    }
    variables = json.dumps({"schema_suffix": SUFFIX})
    built = dbt.invoke(["run", "--exclude", *NOT_COMPARED, "--vars", variables], environment=beside, on_node=on_node)
    return None if built.success else built.first_error() or "dbt failed"
