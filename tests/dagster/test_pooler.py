"""Dagster's storage and polls by way of a PgBouncer in session mode, and what its restarts do to them."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from pydantic import SecretStr

from myi_pipeline.operations.active_runs import look_at_runs
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url, with_parameters
from myi_pipeline.settings import Settings
from myi_pipeline.web.metrics import dagster_figures
from tests.dagster.conftest import SIGNED_IN, LiveSetup
from tests.postgres_servers import PgBouncer, running_pgbouncer

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def bouncer(server_for: Callable[[str], Any]) -> Iterator[PgBouncer]:
    template = server_for("embedded").template
    logins = [parse_url(url) for url in (template.url(Role.INGEST), template.dagster_url())]
    users = {login["user"]: login["password"] for login in logins}
    parts = template.parts(Role.INGEST)
    with running_pgbouncer(parts.host, parts.port, users=users, any_database=True) as running:
        yield running


def by_way_of(bouncer: PgBouncer, url: str) -> str:
    return with_parameters(url, host="127.0.0.1", port=str(bouncer.port))


@pytest.fixture
def warehouse(warehouse: Warehouse, bouncer: PgBouncer) -> Warehouse:
    return Warehouse(
        urls={role: warehouse.url(role) for role in Role},
        dagster_url=by_way_of(bouncer, warehouse.dagster_url()),
        embedded=warehouse.embedded,
        polls_url=by_way_of(bouncer, warehouse.url(Role.INGEST)),
    )


@pytest.fixture
def settings_for_tests(settings_for_tests: Settings, bouncer: PgBouncer) -> Settings:
    return settings_for_tests.model_copy(update={"polls_database_url": SecretStr(bouncer.url)})


def test_a_run_polls_and_keeps_its_events_by_the_pooler(live_setup: LiveSetup, bouncer: PgBouncer) -> None:
    setup = live_setup
    heard: list[str] = []
    done = setup.poll("ana", "eva")
    assert done.success
    assert {key: each["outcome"] for key, each in setup.reported().items()} == {
        "ana": "new", "ben": "new", "dee": "new", "eva": "none",
    }  # fmt: skip
    assert not look_at_runs(setup.warehouse).is_queue_idle
    # Dagster's pages follow a run by LISTEN, which holds in a session.
    run = setup.instance.create_run_for_job(setup.definitions.resolve_job_def("poll_users"))

    def hear(entry: dg.EventLogEntry, _: str) -> None:
        heard.append(entry.user_message)

    setup.instance.watch_event_logs(run.run_id, None, hear)
    deadline = time.monotonic() + 60
    while not heard:
        setup.instance.report_engine_event("is it heard?", run)
        assert time.monotonic() < deadline
        time.sleep(0.2)
    setup.instance.end_watch_event_logs(run.run_id, hear)
    # Dagster's thread notices that a little later, and would fail some other test when the pooler is gone.
    for thread in threading.enumerate():
        if run.run_id in thread.name:
            thread.join(30)
            assert not thread.is_alive()
    assert f":{bouncer.port}/" in os.environ["DAGSTER_POSTGRES_URL"]
    # Without the pooler there is no way: nothing of this went past it.
    bouncer.kill()
    try:
        with pytest.raises(psycopg.OperationalError, match="refused"):
            setup.warehouse.for_polls().connect(Role.INGEST)
        assert dagster_figures(setup.warehouse) is None
    finally:
        bouncer.start()
    assert dagster_figures(setup.warehouse) is not None


def restart_in_mid_poll(setup: LiveSetup, bouncer: PgBouncer, *, times: int) -> int:
    """Polls that were cut off."""
    chance = random.Random(7)
    cut = 0
    for _ in range(times):
        setup.clock.advance(20 * MINUTE)
        results: list[dg.ExecuteInProcessResult | BaseException] = []

        def poll(into: list[dg.ExecuteInProcessResult | BaseException] = results) -> None:
            try:
                into.append(setup.poll("ana", "eva", force=True, failing_users_allowed=0))
            except BaseException as error:
                into.append(error)

        polls = setup.sql("select count(*) from ops.polls")[0][0]
        thread = threading.Thread(target=poll)
        thread.start()
        _until_it_polls(setup, polls, thread)
        time.sleep(chance.random() * 0.3)
        bouncer.kill()
        time.sleep(chance.random() * 0.3)
        bouncer.start()
        thread.join(120)
        assert not thread.is_alive()
        (result,) = results
        cut += not (isinstance(result, dg.ExecuteInProcessResult) and result.success)
        # The next turn, as the daemon would give it: whatever was cut off holds nothing up.
        assert setup.poll("ana", "eva", force=True, failing_users_allowed=0).success
    return cut


def _until_it_polls(setup: LiveSetup, polls: int, thread: threading.Thread) -> None:
    """Locks of polls are held, or some polls are there already."""
    query = (
        "select (select count(*) from pg_locks where locktype = 'advisory' and classid = 1836673392 and granted),"
        " (select count(*) from ops.polls)"
    )
    deadline = time.monotonic() + 120
    while thread.is_alive() and time.monotonic() < deadline:
        ((held, done),) = setup.sql(query)
        if held or done > polls:
            return


def check_plays(setup: LiveSetup) -> None:
    """Every play that Spotify could still show is there, once."""
    for key in SIGNED_IN:
        kept = setup.sql(
            "select e.played_at from raw.listening_events as e inner join app.users as u on u.user_id = e.user_id"
            " where e.source_id = 3 and u.user_key = %s order by 1",
            key,
        )
        times = [row[0] for row in kept]
        assert len(times) == len(set(times))
        first = min(times, default=None)
        now = setup.clock.now()
        truth = [
            play.reported_at
            for play in setup.simulator.control.listener(key).truth(until=now)
            if play.reported_at is not None and play.surfaces_at is not None and play.surfaces_at <= now
        ]
        assert times == sorted(at for at in truth if first is not None and at >= first), key
    assert setup.sql("select count(*) from raw.poll_gaps") == [(0,)]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_pooler_that_is_restarted_in_mid_poll_loses_no_play_and_doubles_none(
    live_setup: LiveSetup, bouncer: PgBouncer
) -> None:
    assert live_setup.poll("ana", "eva").success
    cut = restart_in_mid_poll(live_setup, bouncer, times=2)
    check_plays(live_setup)
    assert cut > 0


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_a_pooler_that_is_restarted_in_mid_poll_many_times(live_setup: LiveSetup, bouncer: PgBouncer) -> None:
    assert live_setup.poll("ana", "eva").success
    cut = restart_in_mid_poll(live_setup, bouncer, times=60)
    check_plays(live_setup)
    assert cut > 20
