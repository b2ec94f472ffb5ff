"""Opening the warehouse: the only way for a process to reach the database.

It turns settings into a reachable warehouse with its roles and schema, and holds a lease on the embedded server
meanwhile. If everything is up to date, that costs one connection; whatever was started here is released when the
context ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import errors

from myi_pipeline.errors import Permanent, SchemaMismatch
from myi_pipeline.operations.database_roles import as_it_stands, password_file, refuse_unknown_roles, with_roles
from myi_pipeline.operations.database_urls import DEFAULT_DATABASE, own_urls, warehouse_of, with_database, with_ways
from myi_pipeline.postgres import role_passwords, roles
from myi_pipeline.postgres.connections import (
    CONNECT_TIMEOUT_S,
    Role,
    Warehouse,
    parse_url,
    unreachable,
    with_parameters,
    with_tls,
)
from myi_pipeline.postgres.embedded import SqlPort, adopt, embedded_server
from myi_pipeline.postgres.embedded.places import make_home
from myi_pipeline.postgres.migrations import migrate as migrate_schema
from myi_pipeline.postgres.migrations import refuse_newer, schema_state
from myi_pipeline.postgres.role_passwords import RolePasswords
from myi_pipeline.providers.token_vault import list_credentials, pause
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)

_EXTERNAL = "the database of MYI_DATABASE_URL"


@contextmanager
def open_warehouse(
    settings: Settings,
    *,
    migrate: bool = True,
    repair: bool = False,
    make_roles: bool = False,
    tcp: SqlPort | None = None,
) -> Iterator[Warehouse]:
    """The warehouse, for the duration of the context; so long the embedded server has the port `tcp` open.

    `migrate` brings an older schema forward (else SchemaMismatch); `repair` sets roles and rights again even when they
    look right. `make_roles` may make roles on an external server and give them new passwords; on the embedded one that
    needs no leave. Raises Transient if the server does not answer, Permanent and SchemaMismatch when it will not do.
    """
    make_home(settings.home)
    if settings.database_url is not None:
        url = with_tls(settings.database_url.get_secret_value())
        prepared = _prepare(settings, url, migrate=migrate, repair=repair, make_roles=make_roles)
        yield with_ways(settings, prepared, url)
        return
    with embedded_server(settings.home, tcp=tcp) as server:
        url = server.url(DEFAULT_DATABASE)
        warehouse = _prepare(settings, url, migrate=migrate, repair=repair, make_roles=True, embedded=True)
        _restore_analyst(warehouse, server.url("postgres"))
        if server.places.copied_from is not None:
            _pause_copied_logins(warehouse, original=server.places.copied_from)
            server.confirm_copy()
        yield warehouse


def _restore_analyst(warehouse: Warehouse, url: str) -> None:
    """People connect as the analyst, which may have changed its own password: takes 5 ms of every command and run."""
    analyst = warehouse.parts(Role.ANALYST)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as admin:
            roles.restore_analyst(admin, name=analyst.user, password=analyst.password)
    except (errors.InternalError_, psycopg.OperationalError) as error:
        # "tuple concurrently updated": another process does the same at this moment. What else fails here is no reason
        # to keep anybody from the warehouse.
        log.debug("the analyst's role was not looked at: %s", str(error).partition("\n")[0])


@dataclass(frozen=True)
class ServerAtHand:
    """The server of the settings, for whoever makes databases on it: `url` leads to the warehouse's, which may not
    exist, as the role that may make it; or as its owner, when all roles are `given` by URLs of their own (by login).
    """

    url: str
    given: Mapping[str, str]
    embedded: bool
    place: str

    @property
    def database(self) -> str:
        return parse_url(self.url)["dbname"]

    @property
    def makes_databases(self) -> bool:
        return Role.OWNER not in self.given


@contextmanager
def server_at_hand(settings: Settings) -> Iterator[ServerAtHand]:
    """That server, running as long as the context lasts; nothing is made in it. Raises MyiError."""
    make_home(settings.home)
    if settings.database_url is not None:
        url = with_database(with_tls(settings.database_url.get_secret_value()))
        yield ServerAtHand(url, own_urls(settings, url), False, parse_url(url).get("host", "the database server"))
        return
    with embedded_server(settings.home) as server:
        yield ServerAtHand(server.url(DEFAULT_DATABASE), {}, True, str(server.places.area))


def make_databases(settings: Settings, server: ServerAtHand, *, database: str, make_roles: bool) -> Warehouse:
    """The server's roles, as those of its warehouse, and two empty databases for them under another name.

    Raises Permanent if roles would get new passwords, and `make_roles` does not allow it.
    """
    file = password_file(settings, server.url, embedded=server.embedded)
    with roles.administrator(server.url) as admin:
        if not (make_roles or server.embedded):
            refuse_unknown_roles(settings, server.url, admin)
        kept = role_passwords.read(file)
        passwords = {login: kept.passwords.get(login) or role_passwords.new_password() for login in roles.LOGINS}
        # The fingerprint stays empty until open_warehouse has seen to everything.
        role_passwords.write(file, RolePasswords("", passwords))
        roles.ensure(
            admin,
            url=server.url,
            database=database,
            prefix=server.database,
            passwords=passwords,
            given={login: parse_url(value).get("user", "") for login, value in server.given.items()},
            owns_server=server.embedded,
        )
    there = warehouse_of(server.url, dict(server.given), RolePasswords("", passwords), embedded=server.embedded)
    urls = {role: with_parameters(there.url(role), dbname=database) for role in Role}
    dagster = there.dagster_url()
    if roles.DAGSTER not in server.given:
        dagster = with_parameters(dagster, dbname=roles.role_name(database, roles.DAGSTER))
    return Warehouse(urls=urls, dagster_url=dagster, embedded=server.embedded)


def given_warehouse(server: ServerAtHand) -> Warehouse:
    """The warehouse whose roles and databases somebody else made: every URL was given."""
    return warehouse_of(server.url, dict(server.given), RolePasswords(), embedded=False)


@contextmanager
def find_warehouse(settings: Settings) -> Iterator[Warehouse | None]:
    """The warehouse as it is, for inspection: creates no roles and migrates nothing. None if roles are missing.

    Starts the embedded server if need be. Raises MyiError.
    """
    if settings.database_url is not None:
        url = with_database(with_tls(settings.database_url.get_secret_value()))
        try:
            warehouse = as_it_stands(settings, url, embedded=False)
            if warehouse is None:
                with roles.administrator(url):
                    pass  # it answers, and its version is supported
        except psycopg.OperationalError as error:
            raise unreachable(_EXTERNAL, error) from error
        yield None if warehouse is None else with_ways(settings, warehouse, url)
        return
    with embedded_server(settings.home) as server:
        yield as_it_stands(settings, server.url(DEFAULT_DATABASE), embedded=True)


def adopt_database(settings: Settings) -> Path:
    """Makes MYI_HOME the owner of its embedded database, which belonged to another home; returns its folder.

    Raises Permanent, and Busy while the other home uses it.
    """
    if settings.database_url is not None:
        raise Permanent("the database of MYI_DATABASE_URL belongs to no MYI_HOME: there is nothing to adopt")
    return adopt(settings.home)


def _pause_copied_logins(warehouse: Warehouse, *, original: str) -> None:
    """Spotify replaces a login's token on use: if two homes use one login, one is signed out."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        paused = [each.user_key for each in list_credentials(connection) if each.paused_at is None]
        for credential in list_credentials(connection):
            pause(connection, user_id=credential.user_id, now=datetime.now(UTC))
    if paused:
        log.warning(
            "this home is a copy of %s, and both hold the same logins at Spotify, of which each works in one home only:"
            " they are paused here (%s). Once the original has ended or disconnected them: myi user resume KEY",
            original,
            ", ".join(paused),
        )


def _prepare(
    settings: Settings, url: str, *, migrate: bool, repair: bool, make_roles: bool, embedded: bool = False
) -> Warehouse:
    url = with_database(url)
    try:
        warehouse = None if repair else as_it_stands(settings, url, embedded=embedded)
        if warehouse is None:
            warehouse = with_roles(settings, url, repair=repair, make_roles=make_roles, embedded=embedded)
        state = schema_state(warehouse)
        refuse_newer(state)
        if state.is_behind:
            if not migrate:
                raise SchemaMismatch(
                    f"the database's schema is at version {state.current or 'none'}, this program needs {state.head}:"
                    " run `myi migrate`"
                )
            migrate_schema(warehouse)
    except psycopg.OperationalError as error:
        raise unreachable("the embedded database" if embedded else _EXTERNAL, error) from error
    return warehouse
