"""The port for BI tools: the analyst comes in by it with the password, nobody else does, and it closes again."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from myi_pipeline.errors import Busy, Permanent
from myi_pipeline.operations.doctor.check import Check, Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.sql_access import connection_url, wanted_port
from myi_pipeline.postgres.connections import Role, Warehouse, parse_url, with_parameters
from myi_pipeline.postgres.embedded import embedded_server, leases, open_sql_port, places, processes
from myi_pipeline.settings import Settings, SettingsError, load_settings
from tests.conftest import free_port, remove_outside

LOOPBACK = "127.0.0.1"
# Another process of the same home: with a port (its number, `myi up`) or without (0, any other command).
HOLD = """
import sys
from pathlib import Path
from myi_pipeline.postgres.embedded import SqlPort, embedded_server
port = int(sys.argv[2])
with embedded_server(Path(sys.argv[1]), tcp=SqlPort(port, "myi_analyst", "myi") if port else None):
    print("open", flush=True)
    sys.stdin.read()
"""
NO_RULE, REFUSED = "no pg_hba.conf entry", "Connection refused"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home with a migrated database whose server is down."""
    home = tmp_path_factory.mktemp("sql_port") / "home"
    try:
        with open_warehouse(Settings(home=home)):
            pass
        yield home
    finally:
        if (home / "postgres").exists():
            processes.end(processes.survivors(_places(home)), patience_s=0.1)
        remove_outside(home)


@pytest.fixture
def settings(home: Path) -> Settings:
    return Settings(home=home, sql_port=free_port())


@pytest.fixture
def opened(settings: Settings) -> Iterator[Warehouse]:
    """The warehouse with its port open, as `myi up` opens it."""
    with open_warehouse(settings, tcp=wanted_port(settings)) as warehouse:
        yield warehouse


@contextlib.contextmanager
def another(home: Path, port: int = 0) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home), str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "open\n"
        try:
            yield child
        finally:
            child.stdin.close()
            child.wait(60)


def _places(home: Path) -> places.Places:
    with leases.home_lock(home / "postgres"):
        return places.prepare(home)


def over_tcp(url: str, settings: Settings, **changes: str) -> str:
    return with_parameters(url, **{"host": LOOPBACK, "port": str(settings.sql_port), **changes})


def enter(url: str) -> None:
    psycopg.connect(url, connect_timeout=5).close()


def is_refused(url: str, why: str) -> bool:
    with pytest.raises(psycopg.OperationalError, match=why):
        enter(url)
    return True


def check_named(name: str, settings: Settings) -> Check:
    (check,) = (check for check in run_checks(settings) if check.name == name)
    return check


@pytest.mark.slow
def test_the_analyst_comes_in_with_the_password_and_nobody_else_does(opened: Warehouse, settings: Settings) -> None:
    analyst = connection_url(settings, opened)
    assert analyst == over_tcp(opened.url(Role.ANALYST), settings)
    with psycopg.connect(analyst) as connection:
        found = connection.execute("select current_user::text, current_database()::text, host(inet_client_addr())")
        assert found.fetchone() == ("myi_analyst", "myi", LOOPBACK)

    assert is_refused(with_parameters(analyst, password="guess"), "password authentication failed")
    assert is_refused(with_parameters(analyst, password=""), "no password supplied")
    assert is_refused(with_parameters(analyst, dbname="postgres"), NO_RULE)
    assert is_refused(with_parameters(analyst, dbname="myi_dagster"), NO_RULE)
    assert is_refused(over_tcp(opened.dagster_url().replace("+psycopg2", ""), settings, dbname="myi"), NO_RULE)
    for role in set(Role) - {Role.ANALYST}:
        assert is_refused(over_tcp(opened.url(role), settings), NO_RULE), role
        # Its own way, the socket, stays as it was.
        enter(opened.url(role))
        assert connection_url(settings, opened, role=role) == opened.url(role)
    superuser = (settings.home / "postgres" / "superuser").read_text().strip()
    assert is_refused(with_parameters(analyst, user="postgres", password=superuser), NO_RULE)


def test_over_the_port_the_analyst_writes_nothing_and_reads_marts_alone(opened: Warehouse, settings: Settings) -> None:
    with psycopg.connect(connection_url(settings, opened), autocommit=True) as connection:
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute("create table public.mine (n int)")
        # The role may lift that limit itself; its rights are what counts.
        connection.execute("set default_transaction_read_only = off")
        for statement in (
            "create table public.mine (n int)",
            "create table marts.mine (n int)",
            "insert into raw.listening_events default values",
            "select * from raw.listening_events",
            "select * from app.users",
            "select * from app.credentials",
            "select * from ops.changed_days",
            "select * from pg_authid",
            "copy (select 1) to program 'true'",
            "select pg_read_file('postgresql.conf')",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        assert connection.execute("select has_schema_privilege('marts', 'usage')").fetchone() == (True,)


def test_no_role_keeps_large_objects_or_enters_another_database(opened: Warehouse, settings: Settings) -> None:
    for role in Role:
        with opened.connect(role, autocommit=True) as connection:
            connection.execute("set default_transaction_read_only = off")
            for statement in (
                "select lo_create(0)",
                "select lo_creat(-1)",
                "select lo_from_bytea(0, 'x')",
                "select lo_open(1, 131072)",
                "select lo_get(1)",
                "select lo_put(1, 0, 'x')",
                "select lo_unlink(1)",
                "select loread(1, 1)",
                "select lowrite(1, 'x')",
                "select lo_import('/etc/hostname')",
            ):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
        for database in ("postgres", "template1", "myi_dagster"):
            assert is_refused(with_parameters(opened.url(role), dbname=database), "permission denied for database")
    for database in ("postgres", "template1", "myi"):
        url = with_parameters(opened.dagster_url().replace("+psycopg2", ""), dbname=database)
        assert is_refused(url, "permission denied for database")
    dagster = psycopg.connect(opened.dagster_url().replace("+psycopg2", ""))
    with dagster as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute("select lo_create(0)")


def test_who_only_reads_cannot_take_the_locks_that_imports_and_refreshes_wait_for(opened: Warehouse) -> None:
    for role in (Role.ANALYST, Role.API, Role.MONITOR):
        with opened.connect(role, autocommit=True) as connection:
            for statement in (
                "select pg_advisory_lock(1)",
                "select pg_try_advisory_lock_shared(1, 2)",
                "select pg_advisory_xact_lock(1)",
            ):
                with pytest.raises(errors.InsufficientPrivilege):
                    connection.execute(statement.encode())


def test_what_the_analyst_changed_about_itself_is_undone_by_the_next_command(
    opened: Warehouse, settings: Settings
) -> None:
    """Postgres lets every role change its own password and defaults, and cannot be told not to."""
    url = connection_url(settings, opened)
    # Being ended does not close it: the server's last word may be read before the end of its connection.
    with contextlib.closing(psycopg.connect(url, autocommit=True)) as thief:
        thief.execute("set default_transaction_read_only = off")
        thief.execute("alter role current_user password 'stolen'")
        thief.execute("alter role current_user set default_transaction_read_only = off")
        thief.execute("alter role current_user in database myi set statement_timeout = 0")
        assert is_refused(url, "password authentication failed")

        with open_warehouse(settings.model_copy(update={"sql_port": None})):
            pass

        with pytest.raises(psycopg.OperationalError):
            thief.execute("select 1")
    with psycopg.connect(url) as connection:
        limits = "select current_setting('default_transaction_read_only'), current_setting('statement_timeout')"
        assert connection.execute(limits).fetchone() == ("on", "1min")
    assert is_refused(with_parameters(url, password="stolen"), "password authentication failed")


def test_it_listens_on_one_address_of_this_machine_alone(opened: Warehouse, settings: Settings) -> None:
    server = processes.postmaster(_places(settings.home))
    assert server is not None
    listening = [each.laddr for each in server.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert listening == [(LOOPBACK, settings.sql_port)]
    others = [
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in (socket.AF_INET, socket.AF_INET6) and address.address != LOOPBACK
    ]
    for address in {*others, "127.0.0.2"}:
        with pytest.raises(psycopg.OperationalError):
            enter(over_tcp(opened.url(Role.ANALYST), settings, host=address))
    # Should somebody's own configuration listen on more, the rules still let this machine in alone.
    rules = [line for line in (_places(settings.home).data / "pg_hba.conf").read_text().splitlines() if "host" in line]
    assert rules == [f'host "myi" "myi_analyst" {network} scram-sha-256' for network in ("127.0.0.1/32", "::1/128")]


@pytest.mark.slow
def test_psql_url_shows_the_way_in_and_doctor_that_it_is_open(opened: Warehouse, settings: Settings) -> None:
    environment = {**os.environ, **settings.environment()}
    command = [str(Path(sys.executable).with_name("myi")), "psql", "--url"]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout == over_tcp(opened.url(Role.ANALYST), settings) + "\n"
    password = parse_url(shown.stdout.strip())["password"]
    logs = [path.read_text(errors="replace") for path in _places(settings.home).log.iterdir()]
    assert not [text for text in [*logs, shown.stderr] if password in text]

    check = check_named("SQL port", settings)
    assert check.status is Status.OK
    assert check.found == f"open: host {LOOPBACK}, port {settings.sql_port}, database myi, user myi_analyst"


def test_it_closes_with_myi_up_though_others_still_use_the_server(settings: Settings) -> None:
    with contextlib.ExitStack() as stack:
        with open_warehouse(settings, tcp=wanted_port(settings)) as warehouse:
            url = connection_url(settings, warehouse)
            stack.enter_context(another(settings.home))
            connected = stack.enter_context(contextlib.closing(psycopg.connect(url, autocommit=True)))
            other_way = stack.enter_context(contextlib.closing(warehouse.connect(Role.ANALYST, autocommit=True)))

        assert open_sql_port(settings.home) is None
        with pytest.raises(psycopg.OperationalError):
            connected.execute("select 1")
        assert is_refused(url, NO_RULE)
        assert other_way.execute("select 1").fetchone() == (1,)
    assert is_refused(url, REFUSED)


def test_it_opens_on_no_server_that_another_process_uses_and_says_whose(settings: Settings) -> None:
    """Postgres cannot begin to listen while it runs, and a restart would break what the other one does."""
    with another(settings.home) as other:
        with embedded_server(settings.home) as server, psycopg.connect(server.url("postgres")) as busy:
            asked = Settings(home=settings.home, sql_port=settings.sql_port)
            with pytest.raises(Busy, match=f"the SQL port opens when .*{other.pid}"):
                embedded_server(settings.home, tcp=wanted_port(asked)).__enter__()
            assert busy.execute("select 1").fetchone() == (1,)
        assert open_sql_port(settings.home) is None
        check = check_named("SQL port", settings)
        assert (check.status, check.found[:6]) == (Status.OK, "closed")
    # A second one beside an open one is refused too.
    with another(settings.home, settings.sql_port or 0), pytest.raises(Busy, match="another `myi up`"):
        embedded_server(settings.home, tcp=wanted_port(settings)).__enter__()


@pytest.mark.slow
def test_what_a_killed_process_left_open_is_closed_by_the_next(settings: Settings) -> None:
    with contextlib.ExitStack() as stack:
        with open_warehouse(settings) as warehouse:
            url = over_tcp(warehouse.url(Role.ANALYST), settings)
        with another(settings.home, settings.sql_port or 0) as up:
            other = stack.enter_context(another(settings.home))
            enter(url)
            up.kill()
            up.wait()
        enter(url)
        # Any command will do. Others use the server, so it goes on, with nobody let in.
        with embedded_server(settings.home):
            assert is_refused(url, NO_RULE)
        other.kill()
        other.wait()
    assert processes.postmaster(_places(settings.home)) is not None
    # Nobody does any more: it is started again, and listens no longer.
    with embedded_server(settings.home):
        assert is_refused(url, REFUSED)


@pytest.mark.slow
def test_a_server_that_died_comes_back_with_its_port(opened: Warehouse, settings: Settings) -> None:
    running = processes.postmaster(_places(settings.home))
    assert running is not None
    running.kill()
    running.wait(30)
    with embedded_server(settings.home):
        enter(connection_url(settings, opened))
        enter(opened.url(Role.OWNER))


def test_a_port_in_use_is_named_in_one_line_and_the_next_start_is_well(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, settings.sql_port or 0))
        taken.listen()
        with pytest.raises(Permanent) as told, open_warehouse(settings, tcp=wanted_port(settings)):
            pass
        assert str(told.value) == (
            f"port {settings.sql_port} is in use on 127.0.0.1: choose another with --sql-port or MYI_SQL_PORT,"
            " or stop what listens there"
        )
        check = check_named("SQL port", settings)
        assert (check.status, check.found[:7]) == (Status.WARN, "blocked")
    with open_warehouse(settings, tcp=wanted_port(settings)) as warehouse:
        enter(connection_url(settings, warehouse))


def test_a_server_of_ones_own_has_a_port_already(settings: Settings) -> None:
    url = SecretStr("postgresql://admin:secret@db.example.org:6543/music")
    external = settings.model_copy(update={"database_url": url})
    with pytest.raises(SettingsError) as told:
        wanted_port(external)
    assert "connect to host db.example.org, port 6543, database music, user music_analyst" in str(told.value)
    assert "secret" not in str(told.value)
    with pytest.raises(SettingsError, match="is MYI_API_PORT too"):
        wanted_port(settings.model_copy(update={"api_port": settings.sql_port}))
    with pytest.raises(SettingsError, match="MYI_SQL_PORT: must be at least 1024"):
        load_settings({"MYI_SQL_PORT": "543"})


def wait_until(condition: Callable[[], bool], *, at_most_s: float) -> None:
    deadline = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_myi_up_opens_it_says_where_and_closes_it(settings: Settings, tmp_path: Path) -> None:
    port = settings.sql_port
    environment = {
        **os.environ, "MYI_HOME": str(settings.home), "MYI_API_PORT": str(free_port()),
        "MYI_DAGSTER_PORT": str(free_port()),
    }  # fmt: skip
    with open_warehouse(Settings(home=settings.home)) as warehouse:
        url = over_tcp(warehouse.url(Role.ANALYST), settings)
    command = [str(Path(sys.executable).with_name("myi")), "up", "--sql-port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: "SQL: " in (tmp_path / "log").read_text() or up.poll() is not None, at_most_s=60)
            enter(url)
            up.send_signal(signal.SIGTERM)
            up.wait(60)
        finally:
            up.kill()
            up.wait()
    said = (tmp_path / "log").read_text()
    line = f"SQL: host {LOOPBACK}, port {port}, database myi, user myi_analyst (`myi psql --url` shows the password)"
    assert line in said
    assert parse_url(url)["password"] not in said
    assert up.returncode == 0
    assert is_refused(url, REFUSED)
