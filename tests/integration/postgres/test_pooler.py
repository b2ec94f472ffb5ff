"""A PgBouncer in session mode before polls and Dagster's storage, with the documentation's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from myi_pipeline.operations.database_routes import look_at_routes
from myi_pipeline.operations.open_warehouse import find_warehouse, open_warehouse
from myi_pipeline.postgres.connections import Role, Warehouse, compose_url, parse_url
from myi_pipeline.postgres.roles import DAGSTER
from myi_pipeline.settings import Settings
from myi_pipeline.web.metrics import dagster_figures
from tests.postgres_servers import PgBouncer, Server, running_pgbouncer, running_server


def settings_before(server: Server, home: Path, bouncer: PgBouncer | None = None) -> Settings:
    given = {"home": home, "database_url": server.url("myi"), "time_zone": "UTC"}
    if bouncer is not None:
        given |= {"polls_database_url": bouncer.url, "dagster_database_url": bouncer.url}
    return Settings.model_validate(given)


def verifiers(server: Server) -> dict[str, str]:
    """What the documentation's query puts into userlist.txt."""
    rows = server.sql("select rolname, rolpassword from pg_authid where rolname in ('myi_ingest', 'myi_dagster')")
    return dict(rows)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    with running_server() as running:
        home = tmp_path_factory.mktemp("home")
        with open_warehouse(settings_before(running, home), make_roles=True):
            pass
        yield running, home


@contextmanager
def pooled(server: tuple[Server, Path], **options: str) -> Iterator[tuple[Warehouse, PgBouncer]]:
    running, home = server
    with (
        running_pgbouncer("127.0.0.1", running.port, users=verifiers(running), **options) as bouncer,
        open_warehouse(settings_before(running, home, bouncer)) as warehouse,
    ):
        yield warehouse, bouncer


def port_of(url: str) -> int:
    return int(parse_url(url)["port"])


def test_polls_and_dagster_go_by_the_pooler_and_all_else_directly(server: tuple[Server, Path]) -> None:
    with pooled(server) as (warehouse, bouncer):
        assert {port_of(warehouse.url(role)) for role in Role} == {server[0].port}
        assert port_of(warehouse.dagster_url()) == server[0].port
        assert port_of(warehouse.dagster_storage_url()) == bouncer.port
        polls = warehouse.for_polls()
        assert [role for role in Role if port_of(polls.url(role)) == bouncer.port] == [Role.INGEST]
        assert polls.names() == warehouse.names()


def test_settings_of_the_role_locks_and_notifications_are_those_of_the_session(server: tuple[Server, Path]) -> None:
    with (
        pooled(server) as (warehouse, _),
        warehouse.for_polls().connect(Role.INGEST, autocommit=True) as first,
        warehouse.for_polls().connect(Role.INGEST, autocommit=True, application_name="second") as second,
    ):
        names = "current_setting('timezone'), current_setting('lock_timeout'), current_setting('application_name')"
        shown = f"select {names}".encode()
        assert first.execute(shown).fetchone() == ("UTC", "1min", "myi")
        assert second.execute(shown).fetchone() == ("UTC", "1min", "second")
        lock = "select pg_try_advisory_lock(7, 1)"
        assert first.execute(lock).fetchone() == (True,)
        assert second.execute(lock).fetchone() == (False,)
        first.execute("listen myi_wake")
        second.execute("select pg_notify('myi_wake', 'polls')")
        assert [each.payload for each in first.notifies(timeout=60, stop_after=1)] == ["polls"]
        first.close()
        # Given back only once the pooler has cleared the session.
        second.execute("set lock_timeout = 0; select pg_advisory_lock(7, 1)")


def test_figures_of_dagster_come_by_a_pooler_that_refuses_options(server: tuple[Server, Path]) -> None:
    with pooled(server) as (warehouse, _):
        by_the_pooler = Warehouse(
            urls={role: warehouse.url(role) for role in Role}, dagster_url=warehouse.dagster_storage_url()
        )
        url = compose_url(parse_url(warehouse.dagster_storage_url()))
        with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
            psycopg.connect(url, options="-c statement_timeout=2000")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("create table if not exists probe (n int)")
        # Its tables are not there yet, which is no failure of the way.
        assert dagster_figures(by_the_pooler) is None
        with psycopg.connect(url, autocommit=True) as connection:
            assert connection.execute("show default_transaction_read_only").fetchone() == ("off",)


def test_the_doctor_tells_session_mode_from_another(server: tuple[Server, Path]) -> None:
    with pooled(server) as (warehouse, bouncer):
        assert {(each.name, each.is_fine) for each in look_at_routes(warehouse, lag_limit_s=30)} == {
            ("pooler of polls", True), ("pooler of Dagster's storage", True),
        }  # fmt: skip
        bouncer.kill()
        assert {each.is_broken for each in look_at_routes(warehouse, lag_limit_s=30)} == {True}
    with pooled(server, pool_mode="transaction") as (warehouse, _):
        found = list(look_at_routes(warehouse, lag_limit_s=30))
        assert [each.is_broken for each in found] == [True, True]
        assert "shares sessions" in found[0].found


def test_a_url_without_a_user_is_that_of_the_role_that_was_made(server: tuple[Server, Path]) -> None:
    running, home = server
    url = "postgresql://pooler.example.org:6432?sslmode=disable"
    settings = settings_before(running, home).model_copy(
        update=dict(Settings.model_validate({"database_url": running.url("myi"), "polls_database_url": url}))
        | {"home": home}
    )
    with find_warehouse(settings) as warehouse:
        assert warehouse is not None
        found = parse_url(warehouse.for_polls().url(Role.INGEST))
        own = parse_url(warehouse.url(Role.INGEST))
        assert found == {
            "host": "pooler.example.org", "port": "6432", "sslmode": "disable",
            **{name: own[name] for name in ("user", "password", "dbname")},
        }  # fmt: skip
        assert DAGSTER in warehouse.dagster_storage_url()
