"""What a pool says when it has no connection to give."""

from __future__ import annotations

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from myi_pipeline.postgres.connections import Role, Warehouse


def test_a_server_that_is_away_is_named_within_the_time_that_was_given() -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    warehouse = Warehouse(urls=dict.fromkeys(Role, url), dagster_url=url)
    with (
        warehouse.pool(Role.APP, application_name="test", timeout_s=0.5) as pool,
        pytest.raises(psycopg.OperationalError, match="refused") as caught,
        pool.connection(),
    ):
        pass
    assert not isinstance(caught.value, PoolTimeout)


def test_a_pool_whose_connections_are_all_in_use_says_so(warehouse: Warehouse) -> None:
    with warehouse.pool(Role.APP, application_name="test", timeout_s=0.2) as pool:
        pool.resize(0, 1)
        with pool.connection(), pytest.raises(PoolTimeout), pool.connection():
            pass
