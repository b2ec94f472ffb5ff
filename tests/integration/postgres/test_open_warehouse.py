"""The door to the database: roles, rights, versions, and what it costs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from myi_pipeline.core.errors import BadInput, Permanent, SchemaMismatch, Transient
from myi_pipeline.services.open_warehouse import open_warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse import role_passwords, roles
from myi_pipeline.warehouse.connections import (
    Role,
    Warehouse,
    compose_url,
    identifier,
    parse_url,
    statement,
    with_parameters,
)
from myi_pipeline.warehouse.migrations import FOLDER, HEAD, REVISIONS, migrate, runner, schema_state

ADMIN = "myi_admin_of_tests"


class Fresh:
    """A server's administrator, and a database name that nothing uses yet."""

    def __init__(self, admin_url: str, home: Path, name: str) -> None:
        self.admin_url, self.home, self.name = admin_url, home, name

    def settings(self, **changes: Any) -> Settings:
        url = with_parameters(self.admin_url, dbname=self.name, **changes)
        return Settings(home=self.home, database_url=SecretStr(url))

    def execute(self, text: LiteralString, *names: str) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute(statement(text, *names))


@pytest.fixture
def fresh(server_for: Callable[[str], Any], server_kind: str, tmp_path: Path) -> Iterator[Fresh]:
    server = server_for(server_kind)
    made = Fresh(server.admin_url, tmp_path / "home", f"{server.template.database}_fresh")
    yield made
    with psycopg.connect(made.admin_url, autocommit=True) as admin:
        for database in (made.name, roles.role_name(made.name, roles.DAGSTER)):
            admin.execute(statement("drop database if exists {} with (force)", database))
        for login in roles.LOGINS:
            admin.execute(statement("drop role if exists {}", roles.role_name(made.name, login)))
        admin.execute(statement("drop role if exists {}", ADMIN))


@pytest.mark.both_servers
@pytest.mark.parametrize("role", list(Role))
def test_every_role_connects_as_itself_and_thinks_in_utc(warehouse: Warehouse, role: Role) -> None:
    with warehouse.connect(role) as connection:
        found = connection.execute("select session_user, current_setting('timezone')").fetchone()
    assert found == (warehouse.role_name(role), "UTC")


def test_settings_lead_to_the_same_database(settings_for_tests: Settings, warehouse: Warehouse) -> None:
    with open_warehouse(settings_for_tests) as opened:
        assert opened.database == warehouse.database
        assert opened.names() == warehouse.names()
        assert opened.dagster_url() == warehouse.dagster_url()


@pytest.mark.both_servers
@pytest.mark.parametrize("role", [Role.API, Role.MONITOR, Role.ANALYST])
def test_readers_cannot_write(warehouse: Warehouse, role: Role) -> None:
    with warehouse.connect(role) as connection, pytest.raises(errors.Error):
        connection.execute("create table public.mine (n int)")
    with warehouse.connect(role) as connection:
        found = connection.execute("show default_transaction_read_only").fetchone()
    assert found == ("on",)


@pytest.mark.both_servers
def test_no_role_is_more_than_a_login(warehouse: Warehouse) -> None:
    query = (
        "select rolname from pg_roles where rolname = any (%s)"
        " and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)"
    )
    with warehouse.connect(Role.OWNER) as connection:
        assert connection.execute(query, ([warehouse.role_name(role) for role in Role],)).fetchall() == []


@pytest.mark.both_servers
def test_dagsters_role_cannot_enter_the_warehouse(warehouse: Warehouse, dagster_storage: None) -> None:
    url = warehouse.dagster_url()
    psycopg.connect(compose_url(parse_url(url))).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(compose_url(parse_url(url) | {"dbname": warehouse.database}))


def test_a_second_start_costs_one_connection(fresh: Fresh) -> None:
    with open_warehouse(fresh.settings()):
        pass
    costs = []
    for _ in range(5):
        began = time.perf_counter()
        psycopg.connect(fresh.admin_url).close()
        connected = time.perf_counter()
        with open_warehouse(fresh.settings()):
            costs.append((time.perf_counter() - connected) - (connected - began))
    assert min(costs) < 0.1


@pytest.mark.both_servers
def test_a_second_start_changes_no_password(fresh: Fresh) -> None:
    with open_warehouse(fresh.settings()) as first:
        pass
    with open_warehouse(fresh.settings(), repair=True) as second:
        assert [first.url(role) for role in Role] == [second.url(role) for role in Role]


@pytest.mark.both_servers
def test_four_first_starts_at_once_make_one_set_of_roles(fresh: Fresh) -> None:
    def start(_: int) -> str:
        with open_warehouse(fresh.settings()) as opened:
            with opened.connect(Role.DBT) as connection:
                connection.execute("select 1")
            return opened.url(Role.DBT)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1


@pytest.mark.both_servers
def test_lost_passwords_and_dropped_roles_are_made_again(fresh: Fresh) -> None:
    with open_warehouse(fresh.settings()) as opened:
        reader = opened.role_name(Role.MONITOR)
    for file in (fresh.home / "secrets").iterdir():
        file.unlink()
    with open_warehouse(fresh.settings()) as again:
        again.connect(Role.ANALYST).close()
        assert again.url(Role.OWNER) != opened.url(Role.OWNER)
    with psycopg.connect(with_parameters(fresh.admin_url, dbname=fresh.name), autocommit=True) as admin:
        admin.execute(statement("drop owned by {}", reader))
    fresh.execute("drop role {}", reader)
    with open_warehouse(fresh.settings()) as again:
        again.connect(Role.MONITOR).close()


@pytest.mark.both_servers
@pytest.mark.parametrize("rights", ["createrole createdb", "createrole"])
def test_an_administrator_that_is_no_superuser_is_enough(fresh: Fresh, rights: str) -> None:
    """From Postgres 16 on, whoever creates a role must let itself in before it can hand a database over."""
    fresh.execute("create role {} login password 'secret' createrole", ADMIN)
    if "createdb" in rights:
        fresh.execute("alter role {} createdb", ADMIN)
    settings = fresh.settings(user=ADMIN, password="secret")
    if "createdb" not in rights:
        with (
            pytest.raises(Permanent, match="grant it CREATEDB"),
            open_warehouse(settings),
        ):
            pass
        return
    for repair in (False, True):
        with open_warehouse(settings, repair=repair) as opened:
            assert schema_state(opened).is_current


@pytest.mark.both_servers
def test_a_role_that_may_create_nothing_is_told_which_urls_are_missing(fresh: Fresh) -> None:
    fresh.execute("create role {} login password 'secret'", ADMIN)
    settings = fresh.settings(user=ADMIN, password="secret")
    with pytest.raises(Permanent) as caught, open_warehouse(settings):
        pass
    message = str(caught.value)
    assert "MYI_DATABASE_URL_INGEST" in message
    assert "MYI_DAGSTER_DATABASE_URL" in message
    assert "secret" not in message


def test_a_database_that_holds_foreign_tables_is_not_taken_over(fresh: Fresh) -> None:
    fresh.execute("create database {}", fresh.name)
    with psycopg.connect(with_parameters(fresh.admin_url, dbname=fresh.name)) as connection:
        connection.execute("create table accounts (n int)")
    with (
        pytest.raises(Permanent, match=r"tables that are not MYI's \(public.accounts\)"),
        open_warehouse(fresh.settings()),
    ):
        pass


def test_an_empty_database_that_somebody_made_for_it_is_taken(fresh: Fresh) -> None:
    fresh.execute("create database {}", fresh.name)
    with open_warehouse(fresh.settings()) as opened:
        assert schema_state(opened).is_current


def test_the_servers_own_database_is_not_used(fresh: Fresh) -> None:
    settings = Settings(home=fresh.home, database_url=SecretStr(with_parameters(fresh.admin_url, dbname="postgres")))
    with pytest.raises(Permanent, match="does not use the database 'postgres'"), open_warehouse(settings):
        pass


def test_a_server_that_does_not_answer_is_transient_and_shows_no_password(tmp_path: Path) -> None:
    url = SecretStr("postgresql://somebody:hunter2@127.0.0.1:1/myi")
    with pytest.raises(Transient) as caught, open_warehouse(Settings(home=tmp_path, database_url=url)):
        pass
    assert str(caught.value).startswith("the database of MYI_DATABASE_URL cannot be reached")
    assert "hunter2" not in str(caught.value)


def test_a_schema_that_is_newer_than_the_program_is_refused(settings_for_tests: Settings, warehouse: Warehouse) -> None:
    with warehouse.connect(Role.OWNER) as connection:
        connection.execute("update ops.alembic_version set version_num = '9999'")
    newer = pytest.raises(SchemaMismatch, match="at version 9999, newer than this program")
    with newer, open_warehouse(settings_for_tests):
        pass
    with pytest.raises(SchemaMismatch):
        migrate(warehouse)


def test_an_older_schema_is_only_brought_forward_when_asked(fresh: Fresh) -> None:
    with pytest.raises(SchemaMismatch, match="run `myi migrate`"), open_warehouse(fresh.settings(), migrate=False):
        pass
    with open_warehouse(fresh.settings()) as opened:
        assert schema_state(opened).is_current
    with open_warehouse(fresh.settings(), migrate=False):
        pass


@pytest.mark.both_servers
def test_a_failing_migration_leaves_nothing(fresh: Fresh, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "migrations" / "sql"
    folder.mkdir(parents=True)
    for file in runner.SQL_FOLDER.glob("*.sql"):
        if not file.name.startswith(HEAD):
            shutil.copy(file, folder)
    (folder / f"{HEAD}_1.sql").write_text(
        "create table ops.first (percent text default '%s {}'); grant select on ops.first to {api};"
    )
    (folder / f"{HEAD}_2.sql").write_text("select 1 / 0;")
    with monkeypatch.context() as patch:
        patch.setattr(runner, "SQL_FOLDER", folder)
        with pytest.raises(Exception, match="division by zero"), open_warehouse(fresh.settings()):
            pass
    with open_warehouse(fresh.settings()) as opened, opened.connect(Role.OWNER) as connection:
        assert connection.execute("select to_regclass('ops.first')").fetchone() == (None,)
        assert schema_state(opened).current == HEAD


def test_the_known_revisions_are_those_of_the_files() -> None:
    script = runner.script_directory()
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == REVISIONS
    assert script.get_current_head() == HEAD
    assert {file.name.partition("_")[0] for file in (FOLDER / "sql").glob("*.sql")} == set(REVISIONS)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%40ss%2Fword@db.example:5433/music?sslmode=require",
        "postgresql://me@/music?host=%2Frun%2Fmyi&port=5432",
        "postgresql://me:x@[::1]:5432/music",
        "postgresql://me:x@/music?host=a%2Cb&port=1%2C2",
        "postgresql://db.example/music",
    ],
)
def test_a_url_taken_apart_and_put_together_is_the_same(url: str) -> None:
    assert compose_url(parse_url(url)) == url
    assert parse_url(url.replace("postgresql", "postgresql+psycopg2")) == parse_url(url)


def test_urls_that_cannot_be_read_are_refused_without_being_shown() -> None:
    with pytest.raises(BadInput) as caught:
        parse_url("postgresql://hunter2@host:port:port/%")
    assert "hunter2" not in str(caught.value)


def test_names_that_postgres_would_cut_off_are_refused() -> None:
    with pytest.raises(BadInput):
        identifier("x" * 64)


def test_a_warehouse_shows_no_password(warehouse: Warehouse) -> None:
    secret = parse_url(warehouse.url(Role.OWNER))["password"]
    assert secret not in repr(warehouse)
    assert secret not in repr(warehouse.parts(Role.OWNER))
    assert warehouse.parts(Role.OWNER).password == secret


def test_password_files_are_private_and_a_damaged_one_is_named(fresh: Fresh) -> None:
    with open_warehouse(fresh.settings()):
        pass
    (file,) = (fresh.home / "secrets").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.write_text("{")
    with pytest.raises(BadInput, match="is damaged"):
        role_passwords.read(file)
