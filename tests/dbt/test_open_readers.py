"""A rebuild beside somebody who reads in a transaction that stays open."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import pytest

from myi_pipeline.postgres.connections import Role


@pytest.mark.slow
def test_an_open_reader_holds_up_a_rebuild_and_nobody_else(marts: Any) -> None:
    user = marts.add_user("ana")
    marts.add_play(user, "2024-03-01 10:00Z", marts.add_content("Song"))
    marts.refreshed()
    results: list[Any] = []
    rebuild = threading.Thread(target=lambda: results.append(marts.refresh(rebuild=True)))
    with closing(marts.warehouse.connect(Role.ANALYST)) as reader:
        reader.execute("select count(*) from marts.fct_sessions")
        reader.execute("select count(*) from marts.fct_plays")
        rebuild.start()
        with closing(marts.warehouse.connect(Role.ANALYST, autocommit=True)) as other:
            other.execute("set statement_timeout = '2s'")
            # Until the rebuild has come to the tables that the reader holds, and a while longer.
            until = time.monotonic() + 300
            while not marts.sql(WAITS) and time.monotonic() < until:
                time.sleep(0.05)
            assert time.monotonic() < until
            until = time.monotonic() + 4
            while time.monotonic() < until:
                assert other.execute("select count(*) from marts.fct_sessions").fetchone() == (1,)
                assert other.execute("select count(*) from marts.fct_plays").fetchone() == (1,)
        assert rebuild.is_alive()
        reader.rollback()
    rebuild.join(300)
    assert [result.status for result in results] == ["completed"]


WAITS = """
select 1 from pg_locks where not granted and mode = 'AccessExclusiveLock'
and relation in (select oid from pg_class where relnamespace = 'marts'::regnamespace)
"""
