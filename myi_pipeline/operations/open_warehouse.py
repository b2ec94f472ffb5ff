"""Opening the warehouse: the only way by which a process reaches the database.

It leads from settings to a warehouse that is reachable and has its roles and its schema, and holds a lease on the
embedded server meanwhile. What is up to date costs one connection, and whatever was started here is released when the
context ends.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import errors

from myi_pipeline.errors import Permanent, SchemaMismatch
from myi_pipeline.postgres import role_passwords, roles
from myi_pipeline.postgres.connections import (
    CONNECT_TIMEOUT_S,
    Connection,
    Role,
    Warehouse,
    compose_url,
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
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings

log = logging.getLogger(__name__)

DEFAULT_DATABASE = "myi"
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
    """The warehouse, for as long as the context lasts; so long the embedded server has the port `tcp` open.

    `migrate` brings an older schema forward (else SchemaMismatch); `repair` sets roles and rights again even when they
    look right. `make_roles` may make roles on an external server and give them new passwords; on the embedded one that
    needs no leave. Raises Transient when the server does not answer, Permanent and SchemaMismatch when it will not do.
    """
    make_home(settings.home)
    if settings.database_url is not None:
        url = with_tls(settings.database_url.get_secret_value())
        yield _prepare(settings, url, migrate=migrate, repair=repair, make_roles=make_roles)
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
    """People come in as the analyst, who may have changed its own password: 5 ms of every command and run."""
    analyst = warehouse.parts(Role.ANALYST)
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as admin:
            roles.restore_analyst(admin, name=analyst.user, password=analyst.password)
    except (errors.InternalError_, psycopg.OperationalError) as error:
        # "tuple concurrently updated": another process does the same at this moment. What else fails here is no reason
        # to keep anybody from the warehouse.
        log.debug("the analyst's role was not looked at: %s", str(error).partition("\n")[0])


@contextmanager
def find_warehouse(settings: Settings) -> Iterator[Warehouse | None]:
    """The warehouse as it stands, for looking at it: makes no role and migrates nothing. None when its roles lack.

    Starts the embedded server if need be. Raises MyiError.
    """
    if settings.database_url is not None:
        url = _with_database(with_tls(settings.database_url.get_secret_value()))
        try:
            warehouse = _as_it_stands(settings, url, embedded=False)
            if warehouse is None:
                with roles.administrator(url):
                    pass  # it answers, and its version will do
        except psycopg.OperationalError as error:
            raise unreachable(_EXTERNAL, error) from error
        yield warehouse
        return
    with embedded_server(settings.home) as server:
        yield _as_it_stands(settings, server.url(DEFAULT_DATABASE), embedded=True)


def adopt_database(settings: Settings) -> Path:
    """Make MYI_HOME the owner of the embedded database that it names, which another home owned; returns its folder.

    Raises Permanent, and Busy while the other home uses it.
    """
    if settings.database_url is not None:
        raise Permanent("the database of MYI_DATABASE_URL belongs to no MYI_HOME: there is nothing to adopt")
    return adopt(settings.home)


def _pause_copied_logins(warehouse: Warehouse, *, original: str) -> None:
    """Spotify replaces a login's token as it is used: of two homes that use one login, one is signed out."""
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


def _with_database(url: str) -> str:
    given = parse_url(url)
    return url if given.get("dbname") else compose_url(given | {"dbname": DEFAULT_DATABASE})


def _prepare(
    settings: Settings, url: str, *, migrate: bool, repair: bool, make_roles: bool, embedded: bool = False
) -> Warehouse:
    url = _with_database(url)
    try:
        warehouse = None if repair else _as_it_stands(settings, url, embedded=embedded)
        if warehouse is None:
            warehouse = _with_roles(settings, url, repair=repair, make_roles=make_roles, embedded=embedded)
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


def _own_urls(settings: Settings, url: str) -> dict[str, str]:
    """The URLs that came from outside, by login. With all of them, MYI_DATABASE_URL is the owner's."""
    urls = {role: with_tls(given) for role, given in settings.role_urls().items()}
    if settings.dagster_database_url is not None:
        urls[roles.DAGSTER] = with_tls(settings.dagster_database_url.get_secret_value())
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


def _with_roles(settings: Settings, url: str, *, repair: bool, make_roles: bool, embedded: bool) -> Warehouse:
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
        if not make_roles:
            _refuse_unknown_roles(settings, url, admin)
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
            owns_server=embedded,
        )
        kept = RolePasswords(_fingerprint(url, own), passwords)
        role_passwords.write(file, kept)
    return _warehouse(url, own, kept, embedded=embedded)


def _refuse_unknown_roles(settings: Settings, url: str, admin: Connection) -> None:
    """Raises Permanent unless this home knows the password of every role that it would touch.

    Roles of an external server may be in use by another home, which a new password would lock out.
    """
    own = _own_urls(settings, url)
    database = parse_url(url)["dbname"]
    file = _password_file(settings, url, embedded=False)
    names = {login: roles.role_name(database, login) for login in roles.LOGINS if login not in own}
    found = admin.execute("select rolname from pg_roles where rolname = any (%s)", (list(names.values()),)).fetchall()
    missing = sorted(set(names.values()) - {name for (name,) in found})
    make = "`myi migrate --make-roles`"
    if len(missing) == len(names):
        raise Permanent(f"the server of MYI_DATABASE_URL has no roles for {database!r} yet: run {make} once")
    if not _knows_passwords(settings, url, file, names):
        raise Permanent(
            f"the roles of {database!r} exist on the server of MYI_DATABASE_URL, and {settings.secrets_folder} does not"
            f" hold their passwords: another MYI_HOME made them. To use both, copy its secrets/{file.name} there;"
            f" or {make} gives the roles new passwords, which the other home then does not know"
        )
    if missing:
        raise Permanent(f"the server of MYI_DATABASE_URL lacks the role {missing[0]!r}: {make} makes it")


def _knows_passwords(settings: Settings, url: str, file: Path, names: dict[str, str]) -> bool:
    """Whether the server takes the passwords that are kept, also those kept under another name of the server."""
    login = Role.OWNER.value if Role.OWNER.value in names else next(iter(names))
    others = sorted(settings.secrets_folder.glob(f"{file.name.rpartition('-')[0]}-*.json"))
    for place in dict.fromkeys((file, *others)):
        kept = role_passwords.read(place)
        if not set(names) <= set(kept.passwords):
            continue
        database = (
            roles.role_name(parse_url(url)["dbname"], login) if login == roles.DAGSTER else parse_url(url)["dbname"]
        )
        as_role = with_parameters(url, user=names[login], password=kept.passwords[login], dbname=database)
        try:
            psycopg.connect(as_role, connect_timeout=CONNECT_TIMEOUT_S).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                continue
            # The login is known; that its database lacks, or is closed to it, is about to be mended.
            if not _is_about_the_login(error):
                raise
        if place != file:
            role_passwords.write(file, kept)
        return True
    return False


def _is_about_the_login(error: psycopg.OperationalError) -> bool:
    """The server answered, but does not know this login or database; libpq gives no SQLSTATE while connecting."""
    if isinstance(error, (errors.InvalidPassword, errors.InvalidAuthorizationSpecification, errors.InvalidCatalogName)):
        return True
    text = str(error)
    return any(part in text for part in ("authentication failed", "does not exist", "permission denied for database"))
