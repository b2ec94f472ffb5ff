"""The same plays again, from the same archive or another, one after the other or at once: raw holds each once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from myi_pipeline.archives.accounting import ImportResult
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.errors import Transient
from myi_pipeline.postgres.connections import Role, Warehouse, retry_conflicts
from myi_pipeline.simulator import ArchiveTruth
from tests.integration.archives.conftest import Archives, set_steps
from tests.integration.archives.setups import STAGING, Setup, row, write_files

pytestmark = pytest.mark.usefixtures("small_steps")


def true_keys(*truths: ArchiveTruth) -> int:
    """How many events a user has who hands in these archives of one source: each as often as the fullest tells it."""
    together: Counter[object] = Counter()
    for truth in truths:
        found: Counter[object] = Counter()
        for play in truth.plays():
            names = (play.kind, play.title, play.creator, play.collection)
            found[play.played_at, play.ms_played, play.uri or (None if play.kind == "unknown" else names)] += 1
        together |= found
    return together.total()


def test_the_same_archive_again_touches_nothing_at_all(shared_setup: Setup, archives: Archives) -> None:
    for truth in (archives.whole, archives.account):
        shared_setup.bring(truth.path)
    before = shared_setup.untouched()
    assert {what: count for what, count, _ in before}["events"] > 1_500
    for truth in (archives.account, archives.whole):
        again = shared_setup.bring(truth.path)
        assert (again.accounting.loaded, again.accounting.present) == (0, truth.distinct)
    assert shared_setup.untouched() == before


def test_overlapping_vintages_give_the_same_events_in_either_order(shared_setup: Setup, archives: Archives) -> None:
    found = []
    for order in ((archives.older, archives.newer), (archives.newer, archives.older)):
        shared_setup.empty()
        shared_setup.add_user()
        loaded = [shared_setup.bring(truth.path).accounting.loaded for truth in order]
        assert loaded[0] == order[0].distinct
        assert 0 < loaded[1] < order[1].distinct
        found.append(shared_setup.keys())
    assert found[0] == found[1]
    assert len(found[0]) == true_keys(archives.older, archives.newer)


def test_account_data_stands_beside_extended_history(shared_setup: Setup, archives: Archives) -> None:
    for truth in (archives.account, archives.whole, archives.account):
        shared_setup.bring(truth.path)
    by_source = dict(shared_setup.sql("select source_id, count(*) from raw.listening_events group by 1"))
    assert by_source == {1: archives.whole.distinct, 2: archives.account.distinct}


def at_once(*imports: Callable[[], ImportResult]) -> list[ImportResult]:
    with ThreadPoolExecutor(len(imports)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(work) for work in imports]]


def meet_before_interning(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Imports under way wait for each other where they begin to touch what they share."""
    barrier, intern = threading.Barrier(count), StagingTables.intern

    def together(self: StagingTables, connection: Any, *, batch_id: int) -> None:
        with suppress(threading.BrokenBarrierError):
            barrier.wait(timeout=10)
        intern(self, connection, batch_id=batch_id)

    monkeypatch.setattr(StagingTables, "intern", together)


def test_two_archives_of_one_user_at_once(
    shared_setup: Setup, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    meet_before_interning(monkeypatch, 2)
    results = at_once(lambda: shared_setup.bring(archives.older.path), lambda: shared_setup.bring(archives.newer.path))
    assert [result.status for result in results] == ["completed", "completed"]
    keys = shared_setup.keys()
    assert len(keys) == len(set(keys)) == true_keys(archives.older, archives.newer)
    assert sum(result.accounting.loaded for result in results) == len(keys)
    assert shared_setup.sql(STAGING) == []


def test_the_same_archive_twice_at_once_is_imported_once(shared_setup: Setup, archives: Archives) -> None:
    results = at_once(*[lambda: shared_setup.bring(archives.whole.path)] * 2)
    first, second = sorted(results, key=lambda result: result.attempt)
    assert (first.attempt, second.attempt) == (1, 2)
    assert (first.accounting.loaded, second.accounting.loaded) == (archives.whole.distinct, 0)
    assert second.accounting.present == archives.whole.distinct
    assert shared_setup.sql("select status, attempt from app.imports") == [("completed", 2)]
    assert shared_setup.one("select count(*) from raw.listening_events") == archives.whole.distinct


def test_users_whose_plays_come_in_opposite_orders_do_not_lock_each_other_out(
    shared_setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two loads that intern names in two orders deadlock; so do two that insert one user's plays in two orders."""
    rows = [
        row(
            number,
            spotify_track_uri=f"spotify:track:{number:022d}",
            master_metadata_track_name=f"Song {number}",
            master_metadata_album_artist_name=f"Band {number % 40}",
            platform=f"device {number % 30}",
        )
        for number in range(400)
    ]
    other = [*rows, row(9_999)]
    name = "MyData/endsong_{}.json".format
    forwards = write_files(tmp_path / "a.zip", {name(0): rows[:200], name(1): rows[200:]})
    backwards = write_files(tmp_path / "b.zip", {name(0): other[:200:-1], name(1): other[200::-1]})
    shared_setup.add_user("bob")
    set_steps(monkeypatch, batch=400, chunk=400)
    meet_before_interning(monkeypatch, 4)
    results = at_once(
        lambda: shared_setup.bring(forwards, "ana"),
        lambda: shared_setup.bring(backwards, "bob"),
        lambda: shared_setup.bring(backwards, "ana"),
        lambda: shared_setup.bring(forwards, "bob"),
    )
    assert {result.status for result in results} == {"completed"}
    by_user = shared_setup.sql("select count(*) from raw.listening_events group by user_id")
    assert by_user == [(401,), (401,)]
    assert shared_setup.one("select count(*) from raw.contents") == 400


@pytest.mark.parametrize("failures", [2, 6])
def test_a_transaction_that_stands_in_anothers_way_is_tried_again_but_not_for_ever(failures: int) -> None:
    waits: list[float] = []
    ends = iter([psycopg.errors.DeadlockDetected("deadlock")] * failures)

    def transaction() -> str:
        for error in ends:
            raise error
        return "done"

    if failures == 2:
        assert retry_conflicts(transaction, sleep=waits.append) == "done"
    else:
        with pytest.raises(Transient, match="too busy"):
            retry_conflicts(transaction, sleep=waits.append)
    assert len(waits) == min(failures, 5)
    assert all(wait < 10 for wait in waits)


def test_an_import_waits_out_who_holds_its_locks(
    shared_setup: Setup, archives: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a lock may be waited for: the transaction is tried again."""
    connect = Warehouse.connect

    def impatient(self: Warehouse, role: Role, **options: Any) -> Any:
        connection = connect(self, role, **options)
        if role is Role.INGEST:
            connection.execute("set lock_timeout = '100ms'")
        return connection

    monkeypatch.setattr(Warehouse, "connect", impatient)
    with shared_setup.warehouse.connect(Role.OWNER) as holder:
        holder.execute("select pg_advisory_xact_lock(hashtext('myi.intern_contents'))")
        holder.execute("select pg_advisory_xact_lock(hashtext('myi.event_partitions'))")
        with ThreadPoolExecutor(1) as pool:
            importing = pool.submit(shared_setup.bring, archives.account.path)
            time.sleep(1)
            assert not importing.done()
            holder.rollback()
            assert importing.result(timeout=60).accounting.loaded == archives.account.distinct
