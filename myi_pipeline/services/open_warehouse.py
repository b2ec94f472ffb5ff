"""Opening the warehouse: the one way by which a process gets at the database.

Belongs here: from settings to a Warehouse that is reachable, has its roles and its schema; holding the embedded
server's lease meanwhile. Not here: how any of these is done. Invariant: what is up to date already costs one
connection, and whatever was started here is let go when the context ends.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import errors

from myi_pipeline.core.errors import Permanent, SchemaMismatch, Transient
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings
from myi_pipeline.warehouse import role_passwords, roles
from myi_pipeline.warehouse.connections import Role, Warehouse, compose_url, parse_url, with_parameters
from myi_pipeline.warehouse.embedded import SqlPort, embedded_server
from myi_pipeline.warehouse.embedded.places import make_home
from myi_pipeline.warehouse.migrations import migrate as migrate_schema
from myi_pipeline.warehouse.migrations import refuse_newer, schema_state
from myi_pipeline.warehouse.role_passwords import RolePasswords

# Rooms that may not import the warehouse's own modules name its type from here.
__all__ = ["Warehouse", "open_warehouse"]

log = logging.getLogger(__name__)

DEFAULT_DATABASE = "myi"


@contextmanager
def open_warehouse(
    settings: Settings, *, migrate: bool = True, repair: bool = False, tcp: SqlPort | None = None
) -> Iterator[Warehouse]:
    """The warehouse, for as long as the context lasts; so long the embedded server has the port `tcp` open.

    `migrate` brings an older schema forward (else SchemaMismatch); `repair` makes roles and rights again even when they
    look right. Raises Transient when the server cannot be reached, Permanent and SchemaMismatch when it will not do.
    """
    make_home(settings.home)
    if settings.database_url is not None:
        yield _prepare(settings, settings.database_url.get_secret_value(), migrate=migrate, repair=repair)
        return
    with embedded_server(settings.home, tcp=tcp) as server:
        yield _prepare(settings, server.url(DEFAULT_DATABASE), migrate=migrate, repair=repair, embedded=True)


@contextmanager
def find_warehouse(settings: Settings) -> Iterator[Warehouse | None]:
    """The warehouse as it stands, for looking at it: makes no role and migrates nothing. None when its roles lack.

    Starts the embedded server if need be. Raises psycopg.OperationalError and MyiError.
    """
    if settings.database_url is not None:
        url = _with_database(settings.database_url.get_secret_value())
        warehouse = _as_it_stands(settings, url, embedded=False)
        if warehouse is None:
            with roles.administrator(url):
                pass  # it answers, and its version will do
        yield warehouse
        return
    with embedded_server(settings.home) as server:
        yield _as_it_stands(settings, server.url(DEFAULT_DATABASE), embedded=True)


def _with_database(url: str) -> str:
    given = parse_url(url)
    return url if given.get("dbname") else compose_url(given | {"dbname": DEFAULT_DATABASE})


def _prepare(settings: Settings, url: str, *, migrate: bool, repair: bool, embedded: bool = False) -> Warehouse:
    url = _with_database(url)
    try:
        warehouse = None if repair else _as_it_stands(settings, url, embedded=embedded)
        if warehouse is None:
            warehouse = _with_roles(settings, url, repair=repair, embedded=embedded)
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
        place = "the embedded database" if embedded else "the database of MYI_DATABASE_URL"
        raise Transient(f"{place} cannot be reached: {_first_line(error)}") from error
    return warehouse


def _own_urls(settings: Settings, url: str) -> dict[str, str]:
    """The URLs that came from outside, by login. With all of them, MYI_DATABASE_URL is the owner's."""
    urls = settings.role_urls()
    if settings.dagster_database_url is not None:
        urls[roles.DAGSTER] = settings.dagster_database_url.get_secret_value()
    if set(ROLES_WITH_A_URL) <= set(urls) and roles.DAGSTER in urls:
        urls[Role.OWNER.value] = url
    return urls


def _password_file(settings: Settings, url: str, *, embedded: bool) -> Path:
    given = parse_url(url)
    server = "embedded" if embedded else f"{given.get('host', '')}:{given.get('port', '5432')}"
    return role_passwords.file_for(settings.secrets_folder, server=server, database=given["dbname"])


def _fingerprint(url: str, own: dict[str, str]) -> str:
    """What the roles depend on: when it changes, they are made again. Holds nothing that reveals a secret."""
    users = {login: parse_url(given).get("user", "") for login, given in own.items()}
    facts = [roles.BOOTSTRAP_VERSION, parse_url(url)["dbname"], sorted(users.items()), roles.LOGINS]
    return hashlib.sha256(
        json.dumps([*facts, {k: dict(v) for k, v in roles.ROLE_SETTINGS.items()}]).encode()
    ).hexdigest()


def _warehouse(url: str, own: dict[str, str], kept: RolePasswords, *, embedded: bool) -> Warehouse:
    database = parse_url(url)["dbname"]

    def login_url(login: str) -> str:
        if login in own:
            return own[login]
        held = database if login != roles.DAGSTER else roles.role_name(database, roles.DAGSTER)
        name = roles.role_name(database, login)
        return with_parameters(url, user=name, password=kept.passwords[login], dbname=held)

    urls = {role: login_url(role) for role in Role}
    return Warehouse(urls=urls, dagster_url=login_url(roles.DAGSTER), embedded=embedded)


def _as_it_stands(settings: Settings, url: str, *, embedded: bool) -> Warehouse | None:
    """The warehouse, if its roles were made before and still stand: one connection, one query. Else None."""
    own = _own_urls(settings, url)
    kept = role_passwords.read(_password_file(settings, url, embedded=embedded))
    if Role.OWNER not in own and kept.bootstrap != _fingerprint(url, own):
        return None
    warehouse = _warehouse(url, own, kept, embedded=embedded)
    names = [name for login, name in warehouse.names().items() if login != "database"]
    try:
        with warehouse.connect(Role.OWNER, autocommit=True) as connection:
            roles.check_version(connection)
            found = connection.execute("select count(*) from pg_roles where rolname = any (%s)", (names,)).fetchone()
    except psycopg.OperationalError as error:
        if Role.OWNER in own or not _is_about_the_login(error):
            raise
        return None
    if found and found[0] == len(set(names)):
        return warehouse
    if Role.OWNER in own:
        raise Permanent("a role of one of the MYI_DATABASE_URL_<ROLE> URLs does not exist on the server")
    return None


def _with_roles(settings: Settings, url: str, *, repair: bool, embedded: bool) -> Warehouse:
    own = _own_urls(settings, url)
    if Role.OWNER in own:
        return _warehouse(url, own, RolePasswords(), embedded=embedded)
    database = parse_url(url)["dbname"]
    file = _password_file(settings, url, embedded=embedded)
    with roles.administrator(url) as admin:
        if not roles.can_create_roles(admin):
            missing = [f"MYI_DATABASE_URL_{role.upper()}" for role in ROLES_WITH_A_URL if role not in own]
            missing += [] if roles.DAGSTER in own else ["MYI_DAGSTER_DATABASE_URL"]
            raise Permanent(
                f"the role of MYI_DATABASE_URL may not create roles, so MYI also needs {', '.join(missing)}"
            )
        # Look again under the lock: another process may have made them meanwhile, and be migrating already.
        if not repair and (warehouse := _as_it_stands(settings, url, embedded=embedded)) is not None:
            return warehouse
        kept = role_passwords.read(file)
        passwords = {login: kept.passwords.get(login) or role_passwords.new_password() for login in roles.LOGINS}
        # Written before the server knows them: a crash in between leaves passwords that the next start sets.
        role_passwords.write(file, RolePasswords("", passwords))
        roles.ensure(
            admin,
            url=url,
            database=database,
            prefix=database,
            passwords=passwords,
            given={login: parse_url(value).get("user", "") for login, value in own.items()},
        )
        kept = RolePasswords(_fingerprint(url, own), passwords)
        role_passwords.write(file, kept)
    return _warehouse(url, own, kept, embedded=embedded)


def _is_about_the_login(error: psycopg.OperationalError) -> bool:
    """The server answered, but does not know this login or database; libpq gives no SQLSTATE while connecting."""
    if isinstance(error, (errors.InvalidPassword, errors.InvalidAuthorizationSpecification, errors.InvalidCatalogName)):
        return True
    text = str(error)
    return any(part in text for part in ("authentication failed", "does not exist", "permission denied for database"))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
