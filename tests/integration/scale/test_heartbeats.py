"""A run is done by one process at a time, whatever brokers, hosts and networks do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import datetime

import pytest

from myi_pipeline.defs.runs import _CancellationWatch
from myi_pipeline.operations import heartbeats
from myi_pipeline.operations.heartbeats import AlreadyBegun, beat, beating, begin, give_up_silent, processes_of
from myi_pipeline.postgres.connections import Connection, Role, Warehouse, parse_url, with_parameters
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from tests.integration.scale.fleet import wait_until

RUN = "0a4e1c2d-run"


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[Connection]:
    with closing(warehouse.connect(Role.INGEST, autocommit=True)) as opened:
        yield opened


def make_silent(connection: Connection, seconds: float) -> None:
    """As if nothing had been heard for so much longer."""
    query = (
        "update ops.run_heartbeats set seen_at = seen_at - make_interval(secs => %s),"
        " doubted_at = doubted_at - make_interval(secs => %s)"
    )
    connection.execute(query, (seconds, seconds))


def is_given_up(connection: Connection) -> bool:
    return processes_of(connection, [RUN])[RUN].is_given_up


def last_beat(connection: Connection) -> datetime:
    row = connection.execute("select seen_at from ops.run_heartbeats").fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


def who_begin(warehouse: Warehouse, attempt: Callable[[Connection, str], bool], *, at_once: int = 8) -> int:
    """How many of some processes that begin the same run at the same moment are let."""
    barrier = threading.Barrier(at_once)

    def one(_: int) -> bool:
        with closing(warehouse.connect(Role.INGEST, autocommit=True)) as opened:
            barrier.wait(60)
            return attempt(opened, RUN)

    with ThreadPoolExecutor(at_once) as threads:
        return sum(threads.map(one, range(at_once)))


def test_of_many_that_begin_a_run_at_once_one_does_it(warehouse: Warehouse) -> None:
    assert who_begin(warehouse, begin) == 1
    assert who_begin(warehouse, begin) == 0


def test_a_broken_row_that_whoever_comes_last_may_have_lets_several_do_a_run(warehouse: Warehouse) -> None:
    def take_over(opened: Connection, run_id: str) -> bool:
        query = (
            "insert into ops.run_heartbeats (run_id, host, process) values (%s, 'here', '1:1')"
            " on conflict (run_id) do update set process = excluded.process"
        )
        return opened.execute(query, (run_id,)).rowcount == 1

    assert who_begin(warehouse, take_over) > 1


def test_a_silent_run_is_given_up_by_the_second_look_and_for_good(connection: Connection) -> None:
    assert begin(connection, RUN)
    give_up_silent(connection, [RUN])
    make_silent(connection, 3_600)

    # A machine that slept, or a database that was away: its process speaks before the next look.
    give_up_silent(connection, [RUN])
    assert beat(connection, RUN)
    make_silent(connection, 15)
    give_up_silent(connection, [RUN])
    assert not is_given_up(connection)

    make_silent(connection, 10)
    give_up_silent(connection, [RUN])
    give_up_silent(connection, [RUN])
    assert not is_given_up(connection), "a doubt has to last"
    make_silent(connection, 10)
    give_up_silent(connection, [RUN])

    assert is_given_up(connection)
    assert not beat(connection, RUN)
    assert not begin(connection, RUN)


def test_a_run_that_was_refused_before_any_process_began_it_begins_nowhere(
    connection: Connection, settings_for_tests: Settings
) -> None:
    assert heartbeats.refuse_to_begin(connection, RUN)
    with pytest.raises(AlreadyBegun), beating(settings_for_tests, RUN):
        pytest.fail("it began")


@pytest.mark.slow
def test_a_process_whose_run_was_given_up_ends_itself(connection: Connection, settings_for_tests: Settings) -> None:
    said: list[str] = []
    with beating(settings_for_tests, RUN, end=said.append):
        connection.execute("update ops.run_heartbeats set given_up_at = now()")
        wait_until(lambda: bool(said), what="the process goes on", at_most_s=120)
    assert "was given up" in said[0]


@pytest.mark.slow
def test_a_process_that_is_cut_off_ends_itself_before_its_run_can_be_given_up(
    settings_for_tests: Settings, warehouse: Warehouse, connection: Connection
) -> None:
    """The network swallows everything, as a partition does: no connection is refused, none is closed."""
    offset_s, said = [0.0], list[str]()
    with (
        proxied(settings_for_tests, warehouse) as (settings, swallow),
        beating(settings, RUN, end=said.append, clock=lambda: time.monotonic() + offset_s[0]),
    ):
        first = last_beat(connection)
        wait_until(lambda: last_beat(connection) > first, what="it never beats", at_most_s=120)
        assert not said
        swallow.set()
        offset_s[0] = heartbeats.ENDS_ITSELF_AFTER_S
        wait_until(lambda: bool(said), what="the process goes on", at_most_s=120)
        assert "has reached no database" in said[0]
        assert not is_given_up(connection)
    earliest = heartbeats.SILENT_AFTER + heartbeats.DOUBTED_FOR
    assert earliest.total_seconds() > heartbeats.ENDS_ITSELF_AFTER_S + 1


@pytest.mark.slow
def test_a_process_that_was_frozen_asks_whether_it_was_given_up_before_it_ends_itself(
    settings_for_tests: Settings, connection: Connection
) -> None:
    """As after `docker pause`, or on a machine that slept: the clock went on, and neither thread did."""
    offset_s, said = [0.0], list[str]()
    with beating(settings_for_tests, RUN, end=said.append, clock=lambda: time.monotonic() + offset_s[0]):
        for _ in range(2):
            # Between two reports the watch is the first to look.
            last = last_beat(connection)
            wait_until(lambda last=last: last_beat(connection) > last, what="it never beats", at_most_s=120)  # type: ignore[misc]
            offset_s[0] += 3_600
        last = last_beat(connection)
        wait_until(lambda: last_beat(connection) > last, what="it beats no more", at_most_s=120)
        assert not said


@pytest.mark.slow
def test_what_outlives_its_run_ends_no_process_that_does_the_next_one(
    settings_for_tests: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the pool of a Celery worker, after a database that answered late."""
    asked, answers, said = threading.Barrier(3), threading.Event(), list[str]()
    ended = [threading.Event(), threading.Event()]

    def beats_late(*_: object) -> bool:
        asked.wait(60)
        assert answers.wait(60)
        ended[0].set()
        return False

    class Late:
        def get_run_by_id(self, _: str) -> None:
            asked.wait(60)
            assert answers.wait(60)
            ended[1].set()

    monkeypatch.setattr(heartbeats, "beat", beats_late)
    monkeypatch.setattr(heartbeats, "end_process", said.append)
    for name in ("BEAT_EVERY_S", "_ASKS_EVERY_S", "_STOPS_WITHIN_S"):
        monkeypatch.setattr(heartbeats, name, 0.1)
    wishes = _CancellationWatch(Late(), RUN)  # type: ignore[arg-type]
    wishes._seen_finished = 1
    with beating(settings_for_tests, RUN, look=wishes, end=said.append):
        asked.wait(60)
    threads = [each for each in threading.enumerate() if each.name == "heartbeat"]
    answers.set()
    for thread in threads:
        thread.join(60)
    assert all(each.is_set() for each in ended)
    assert said == []


@pytest.mark.slow
def test_a_report_does_not_wait_for_the_disk_and_the_beginning_of_a_run_does(
    settings_for_tests: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on_at_once: dict[str, bool] = {}
    asked = "select setting = 'off' and source = 'session' from pg_settings where name = 'synchronous_commit'"

    def noted(act: Callable[[Connection, str], bool]) -> Callable[[Connection, str], bool]:
        def noting(opened: Connection, run_id: str) -> bool:
            row = opened.execute(asked).fetchone()
            assert row is not None
            goes_on_at_once[act.__name__] = row[0]
            return act(opened, run_id)

        return noting

    monkeypatch.setattr(heartbeats, "begin", noted(begin))
    monkeypatch.setattr(heartbeats, "beat", noted(beat))
    with beating(settings_for_tests, RUN):
        wait_until(lambda: "beat" in goes_on_at_once, what="it never beats", at_most_s=120)
    assert goes_on_at_once == {"begin": False, "beat": True}


def test_a_beat_touches_no_index(connection: Connection) -> None:
    """It changes one column; an index on that would be written, and every other with it, all five seconds."""
    indexes = connection.execute(
        "select indexdef from pg_indexes where schemaname = 'ops' and tablename = 'run_heartbeats'"
    ).fetchall()
    assert [row[0].rpartition("(")[2] for row in indexes] == ["run_id)"]


def test_a_scrub_leaves_the_tables_alone_by_which_runs_are_held(warehouse: Warehouse) -> None:
    with closing(warehouse.connect(Role.OWNER, autocommit=True)) as owner:
        rewritten = set(owner.execute(load_sql("operations/scrub/tables")).fetchall())
    assert ("app", "users") in rewritten
    assert not rewritten & {("ops", "run_heartbeats"), ("ops", "celery_workers")}


@contextmanager
def proxied(settings: Settings, warehouse: Warehouse) -> Iterator[tuple[Settings, threading.Event]]:
    """The same database behind a proxy, and what makes that swallow all that is sent."""
    given = parse_url(warehouse.url(Role.INGEST))
    swallow, stopped = threading.Event(), threading.Event()
    opened: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if not swallow.is_set():
                    target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def serve(listening: socket.socket) -> None:
        while not stopped.is_set():
            try:
                client, _ = listening.accept()
            except OSError:
                return
            server = _dial(given)
            opened.extend((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        port = str(listening.getsockname()[1])

        def through(url: str) -> str:
            return with_parameters(url, host="127.0.0.1", port=port, sslmode="disable")

        urls = {f"database_url_{role}": through(warehouse.url(Role(role))) for role in ROLES_WITH_A_URL}
        urls |= {"database_url": through(warehouse.url(Role.OWNER)), "dagster_database_url": warehouse.dagster_url()}
        try:
            yield Settings.model_validate({"home": settings.home, **urls}), swallow
        finally:
            stopped.set()
            for each in opened:
                each.close()


def _dial(given: dict[str, str]) -> socket.socket:
    if given.get("host", "").startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        made.connect(f"{given['host']}/.s.PGSQL.{given.get('port', '5432')}")
        return made
    return socket.create_connection((given.get("host", "127.0.0.1"), int(given.get("port", "5432"))))
