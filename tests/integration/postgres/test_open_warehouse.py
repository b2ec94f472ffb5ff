"""Opening the database: roles, privileges, versions, and what it costs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors
from pydantic import SecretStr

from myi_pipeline.errors import BadInput, Permanent, SchemaMismatch, Transient
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.postgres import migrations, role_passwords, roles
from myi_pipeline.postgres.connections import (
    Role,
    Warehouse,
    compose_url,
    identifier,
    parse_url,
    statement,
    unreachable,
    with_parameters,
    with_tls,
)
from myi_pipeline.postgres.migrations import FOLDER, HEAD, REVISIONS, migrate, runner, schema_state
from myi_pipeline.settings import Settings, load_settings

ADMIN = "myi_admin_of_tests"
LOGIN_OF_0006 = """
insert into app.credentials (user_id, client_id, account_key, refresh_token, authorised_at, refreshed_at)
select max(u.user_id), 'client', %(key)s, decode(repeat('00', 40), 'hex'),
    now() - %(days)s * interval '1 day' + interval '1 hour', now()
from app.users as u where u.user_key = case when %(days)s = 3 then 'ana' else 'ben' end
"""


class Fresh:
    """A server's administrator, and a database name that nothing uses yet."""

    def __init__(self, admin_url: str, home: Path, name: str) -> None:
        self.admin_url, self.home, self.name = admin_url, home, name

    def settings(self, **changes: Any) -> Settings:
        url = with_parameters(self.admin_url, dbname=self.name, **changes)
        return Settings(home=self.home, database_url=SecretStr(url))

    def open(self, **options: bool) -> AbstractContextManager[Warehouse]:
        return open_warehouse(self.settings(), **options)

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
    with fresh.open(make_roles=True):
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
    with fresh.open(make_roles=True) as first:
        pass
    with open_warehouse(fresh.settings(), repair=True) as second:
        assert [first.url(role) for role in Role] == [second.url(role) for role in Role]


@pytest.mark.both_servers
def test_four_first_starts_at_once_make_one_set_of_roles(fresh: Fresh) -> None:
    def start(_: int) -> str:
        with fresh.open(make_roles=True) as opened:
            with opened.connect(Role.DBT) as connection:
                connection.execute("select 1")
            return opened.url(Role.DBT)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1


def test_two_homes_with_one_database_never_lock_each_other_out(fresh: Fresh, tmp_path: Path) -> None:
    """Whichever came first used to lose its roles' passwords to the other, and won them back with its next command."""
    with pytest.raises(Permanent, match=r"no roles for .* yet: run `myi migrate --make-roles` once"), fresh.open():
        pass
    with fresh.open(make_roles=True) as first:
        pass
    other = Fresh(fresh.admin_url, tmp_path / "other", fresh.name)
    for repair in (False, True):
        with pytest.raises(Permanent, match="another MYI_HOME made them") as told, other.open(repair=repair):
            pass
        assert "myi migrate --make-roles" in str(told.value)
    assert not (other.home / "secrets").exists()
    first.connect(Role.ANALYST).close()
    # As the message says: with the same passwords both work.
    shutil.copytree(fresh.home / "secrets", other.home / "secrets")
    with fresh.open(repair=True) as one, other.open(repair=True) as two:
        assert one.url(Role.DBT) == two.url(Role.DBT) == first.url(Role.DBT)
    # Or the other takes the roles over, when told so; then the first is the one that refuses.
    shutil.rmtree(other.home / "secrets")
    with other.open(make_roles=True) as two:
        assert two.url(Role.DBT) != first.url(Role.DBT)
    with pytest.raises(Permanent, match="another MYI_HOME made them"), fresh.open():
        pass
    with other.open():
        two.connect(Role.ANALYST).close()


def test_a_role_that_was_dropped_is_made_again_when_told_so(fresh: Fresh) -> None:
    with fresh.open(make_roles=True) as opened:
        reader = opened.role_name(Role.MONITOR)
    with psycopg.connect(with_parameters(fresh.admin_url, dbname=fresh.name), autocommit=True) as admin:
        admin.execute(statement("drop owned by {}", reader))
    fresh.execute("drop role {}", reader)
    with (
        pytest.raises(Permanent, match=f"lacks the role '{reader}': `myi migrate --make-roles` makes it"),
        fresh.open(),
    ):
        pass
    with fresh.open(make_roles=True) as again:
        again.connect(Role.MONITOR).close()
        assert again.url(Role.OWNER) == opened.url(Role.OWNER)


def test_passwords_are_known_also_when_the_server_is_called_by_another_name(fresh: Fresh) -> None:
    with fresh.open(make_roles=True) as opened:
        pass
    (file,) = (fresh.home / "secrets").iterdir()
    file.rename(file.with_name(f"{file.name.rpartition('-')[0]}-0123456789ab.json"))
    with fresh.open() as again:
        assert again.url(Role.OWNER) == opened.url(Role.OWNER)


def test_an_upgrade_that_sets_roles_differently_needs_no_leave(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    with fresh.open(make_roles=True) as opened:
        pass
    monkeypatch.setattr(roles, "BOOTSTRAP_VERSION", "next")
    with fresh.open() as again:
        assert again.url(Role.OWNER) == opened.url(Role.OWNER)


@pytest.mark.slow
def test_the_embedded_servers_roles_need_no_leave_even_when_their_passwords_are_lost(
    embedded_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(home=embedded_home)
    with open_warehouse(settings) as opened:
        # What MYI itself set is nothing that somebody changed: that would end every analyst's session.
        assert "had changed its own password" not in caplog.text
        shutil.rmtree(settings.secrets_folder)
        with open_warehouse(settings) as again:
            again.connect(Role.ANALYST).close()
            assert again.url(Role.OWNER) != opened.url(Role.OWNER)


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
            open_warehouse(settings, make_roles=True),
        ):
            pass
        return
    for make_roles in (True, False):
        with open_warehouse(settings, repair=True, make_roles=make_roles) as opened:
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
        fresh.open(make_roles=True),
    ):
        pass


def test_an_empty_database_that_somebody_made_for_it_is_taken(fresh: Fresh) -> None:
    fresh.execute("create database {}", fresh.name)
    with fresh.open(make_roles=True) as opened:
        assert schema_state(opened).is_current


def test_the_servers_own_database_is_not_used(fresh: Fresh) -> None:
    settings = Settings(home=fresh.home, database_url=SecretStr(with_parameters(fresh.admin_url, dbname="postgres")))
    refused = pytest.raises(Permanent, match="does not use the database 'postgres'")
    with refused, open_warehouse(settings, make_roles=True):
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"user": "nobody_here", "password": "hunter2"}, "authentication failed"),
        ({"host": "no-such-host.invalid"}, "no-such-host.invalid"),
        ({"sslmode": "nonsense"}, "invalid sslmode value"),
        ({"options": "-c nothing_of_that_name=1"}, "unrecognized configuration parameter"),
        ({"port": "none"}, "invalid"),
    ],
)
def test_a_connection_that_waiting_cannot_mend_is_not_tried_again(
    fresh: Fresh, changes: dict[str, str], said: str
) -> None:
    with pytest.raises(Permanent, match=said) as told, open_warehouse(fresh.settings(**changes)):
        pass
    assert "hunter2" not in str(told.value)


def test_the_variables_of_a_shell_lead_no_connection_elsewhere(
    settings_for_tests: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, unkind in {
        "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "elsewhere", "PGSSLMODE": "nonsense", "PGOPTIONS": "-c nothing=1",
        "PGTZ": "Asia/Tokyo", "PGDATESTYLE": "German", "PGTARGETSESSIONATTRS": "standby",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, unkind)
    load_settings()
    with open_warehouse(settings_for_tests) as opened, opened.connect(Role.DBT) as connection:
        found = connection.execute("select current_setting('timezone'), current_setting('datestyle')").fetchone()
    assert found == ("UTC", "ISO, MDY")


@pytest.mark.parametrize(
    ("place", "mode"),
    [
        ("db.example.org/", "require"),
        ("192.168.1.7:5433/", "require"),
        ("db/", "require"),
        ("127.0.0.1,db.example.org/", "require"),
        ("db.example.org/?sslrootcert=/etc/ssl/ours.pem", "verify-full"),
        ("db.example.org/?sslmode=disable", "disable"),
        ("db.example.org/?sslmode=prefer", "prefer"),
        ("db.example.org/?hostaddr=127.0.0.1", None),
        ("127.0.0.1:5432/", None),
        ("[::1]/", None),
        ("localhost/", None),
        ("/?host=/run/postgresql", None),
    ],
)
def test_tls_is_asked_for_unless_the_server_is_here_or_the_url_says_otherwise(place: str, mode: str | None) -> None:
    assert parse_url(with_tls(f"postgresql://me:x@{place}")).get("sslmode") == mode


def test_a_server_without_tls_says_how_to_do_without() -> None:
    told = unreachable("the database", psycopg.OperationalError("server does not support SSL, but SSL was required"))
    assert isinstance(told, Permanent)
    assert "?sslmode=disable" in str(told)


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
    older = pytest.raises(SchemaMismatch, match="run `myi migrate`")
    with older, fresh.open(migrate=False, make_roles=True):
        pass
    with open_warehouse(fresh.settings()) as opened:
        assert schema_state(opened).is_current
    with open_warehouse(fresh.settings(), migrate=False):
        pass


@pytest.mark.slow
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
        with pytest.raises(Exception, match="division by zero"), fresh.open(make_roles=True):
            pass
    with open_warehouse(fresh.settings()) as opened, opened.connect(Role.OWNER) as connection:
        assert connection.execute("select to_regclass('ops.first')").fetchone() == (None,)
        assert schema_state(opened).current == HEAD


def test_the_accounts_of_logins_and_polls_are_carried_forward(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    """What version 0006 stored: one name of each account."""
    with monkeypatch.context() as older:
        older.setattr(migrations, "HEAD", "0006")
        with fresh.open(make_roles=True) as opened, opened.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute("insert into app.users (user_key, time_zone) values ('ana', 'UTC'), ('ben', 'UTC')")
            for key, days in (("account:a1:x", 3), ("id:ben", 9)):
                connection.execute(LOGIN_OF_0006, {"key": key, "days": days})
            connection.execute(
                "insert into ops.polls (user_id, polled_at, outcome, items, new_plays, known_plays)"
                " select user_id, now() - days * interval '1 day', 'none', 0, 0, 0"
                " from app.users, generate_series(1, 5) as days order by days desc"
            )
            connection.execute("insert into app.sessions (user_id, reference_hash, method, device)"
                               " values (1, sha256('x'), 'link', '')")  # fmt: skip
    with open_warehouse(fresh.settings()) as opened, opened.connect(Role.OWNER, autocommit=True) as connection:
        assert schema_state(opened).current == HEAD
        names = connection.execute("select account_key, account_id, profile_id from app.credentials order by user_id")
        assert names.fetchall() == [("account:a1:x", "a1:x", None), ("id:ben", None, "ben")]
        # Polls since the present sign-in came from its account; of earlier ones nobody knows.
        polled = connection.execute("select user_id, account_key, count(*) from ops.polls group by 1, 2 order by 1, 2")
        assert polled.fetchall() == [(1, "account:a1:x", 2), (1, None, 3), (2, "id:ben", 5)]
        accounts = connection.execute("select user_id, account_key from app.polled_accounts order by 1")
        assert accounts.fetchall() == [(1, "account:a1:x"), (2, "id:ben")]
        # A version before, which is still running, signs Ben in again: it knows one column.
        connection.execute("update app.credentials set account_key = 'account:b1' where user_id = 2")
        names = connection.execute("select account_id, profile_id from app.credentials where user_id = 2")
        assert names.fetchall() == [("b1", "ben")]
        assert connection.execute("select count(*) from app.sessions").fetchone() == (1,)


def test_logins_of_0010_are_main_logins_of_their_accounts_and_an_older_version_goes_on(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = bytes(40)
    with monkeypatch.context() as older:
        older.setattr(migrations, "HEAD", "0010")
        with fresh.open(make_roles=True) as opened, opened.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute("insert into app.users (user_key, time_zone) values ('ana', 'UTC'), ('ben', 'UTC')")
            for key, days in (("account:a1", 3), ("id:ben", 9)):
                connection.execute(LOGIN_OF_0006, {"key": key, "days": days})
            connection.execute("update app.credentials set paused_at = now() where account_key = 'id:ben'")
            connection.execute(
                "insert into app.spotify_tokens (user_id, sealed, expires_at, granted_at)"
                " values (1, %s, now() + interval '1 hour', now())", (sealed,),
            )  # fmt: skip
    with open_warehouse(fresh.settings()) as opened, opened.connect(Role.OWNER, autocommit=True) as connection:
        logins = (
            "select user_id, account_key, is_main, refresh_token = %s, access_token from app.credentials order by 1"
        )
        assert connection.execute(logins, (sealed,)).fetchall() == [
            (1, "account:a1", True, True, None), (2, "id:ben", True, True, None)
        ]  # fmt: skip
        accounts = (
            "select a.user_id, a.provider, a.provider_account, a.state, a.paused_at is not null"
            " from app.provider_accounts as a inner join app.credentials as c on c.provider_account_id = a.account_id"
            " order by 1"
        )
        assert connection.execute(accounts).fetchall() == [
            (1, "spotify", "account:a1", "active", False), (2, "spotify", "id:ben", "active", True)
        ]  # fmt: skip
        # A version before, which is still running: it keeps an access token, signs Ben in again and disconnects Ana.
        connection.execute(
            "insert into app.spotify_tokens (user_id, sealed, expires_at, granted_at) values (1, %s, now(), now())"
            " on conflict (user_id) do update set sealed = excluded.sealed", (sealed,),
        )  # fmt: skip
        connection.execute("update app.credentials set account_key = 'account:b1', paused_at = null where user_id = 2")
        connection.execute("delete from app.credentials where user_id = 1")
        assert connection.execute("select count(*) from app.spotify_tokens").fetchone() == (0,)
        followed = "select user_id, provider_account, state, paused_at from app.provider_accounts order by 1"
        assert connection.execute(followed).fetchall() == [
            (1, "account:a1", "ended", None), (2, "account:b1", "active", None)
        ]  # fmt: skip


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
    with fresh.open(make_roles=True):
        pass
    (file,) = (fresh.home / "secrets").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.write_text("{")
    with pytest.raises(BadInput, match="is damaged"):
        role_passwords.read(file)
