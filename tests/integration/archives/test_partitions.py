"""Monthly partitions: made ahead of a load, by several at once, past open readers, and only where plays lie."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path

import psycopg
import pytest

from myi_pipeline.catalogue.event_partitions import ensure_partitions
from myi_pipeline.postgres.connections import Role
from tests.integration.archives.conftest import Archives
from tests.integration.archives.setups import Setup, row, write_rows

MONTHS = "select right(relname, 7) from pg_class where relispartition and relkind = 'r' order by 1"


@pytest.mark.both_servers
def test_a_reader_in_an_open_transaction_blocks_no_import(setup: Setup, archives: Archives) -> None:
    setup.sql("select ops.ensure_event_partitions('2021-11-01', '2021-11-01')")
    with setup.warehouse.connect(Role.DBT) as reader:
        reader.execute("select count(*) from raw.listening_events")
        result = setup.bring(archives.account.path)
        assert result.accounting.loaded == archives.account.distinct
        # What must not be used: it waits for the reader, and every writer then waits behind it.
        with setup.warehouse.connect(Role.OWNER) as owner:
            owner.execute("set lock_timeout = '200ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                owner.execute(
                    "create table raw.blocking partition of raw.listening_events"
                    " for values from ('2030-01-01Z') to ('2030-02-01Z')"
                )


def test_loads_that_make_the_same_months_at_once_do_not_deadlock(shared_setup: Setup) -> None:
    months = [date(2010 + number // 12, number % 12 + 1, 1) for number in range(40)]
    together = threading.Barrier(4)

    def make(offset: int) -> int:
        with closing(shared_setup.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            made = 0
            for start in range(offset * 3, offset * 3 + 20, 5):
                together.wait(timeout=30)
                made += ensure_partitions(connection, months[start : start + 12])
                connection.execute(
                    "insert into raw.listening_events (user_id, played_at, source_id, batch_id) values (%s, %s, 1, 1)",
                    (offset, f"{months[start].isoformat()} 10:00Z"),
                )
        return made

    with ThreadPoolExecutor(4) as pool:
        made = sum(pool.map(make, range(4)))
    found = shared_setup.sql(MONTHS)
    assert len(found) == made
    assert shared_setup.one("select count(*) from raw.listening_events") == 16


def test_an_outlier_makes_one_partition_and_not_those_between(shared_setup: Setup, archive_path: Path) -> None:
    """One play of 2006 in a heap of newer ones, in no order."""
    times = ["2021-03-05T10:00:00Z", "2006-01-01T00:00:00Z", "2021-01-31T23:59:59Z", "2021-03-01T00:00:00Z"]
    shared_setup.bring(write_rows(archive_path, *(row(ts=time) for time in times)))
    assert [month for (month,) in shared_setup.sql(MONTHS)] == ["2006m01", "2021m01", "2021m03"]


def test_months_are_asked_for_in_runs() -> None:
    from myi_pipeline.catalogue.event_partitions import _runs_of_months

    months = [date(2020, 12, 5), date(2021, 1, 1), date(2020, 11, 30), date(2023, 5, 1), date(2023, 5, 9)]
    assert _runs_of_months(months) == [(date(2020, 11, 1), date(2021, 1, 1)), (date(2023, 5, 1), date(2023, 5, 1))]
    decade = [date(year, month, 1) for year, month in itertools.product(range(2010, 2020), range(1, 13))]
    runs = _runs_of_months(decade)
    lengths = [(last.year - first.year) * 12 + last.month - first.month + 1 for first, last in runs]
    assert sum(lengths) == 120
    assert max(lengths) == 24
