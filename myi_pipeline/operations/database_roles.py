"""The roles by which processes reach the database: recognised by what this home knows of them, and else made.

Their passwords are in MYI_HOME alone. Roles of an external server may be in use by another home, so they get new ones
only with leave.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import psycopg
from psycopg import errors

from myi_pipeline.errors import Permanent
from myi_pipeline.operations.database_urls import own_urls, warehouse_of
from myi_pipeline.postgres import role_passwords, roles
from myi_pipeline.postgres.connections import (
    CONNECT_TIMEOUT_S,
    Connection,
    Role,
    Warehouse,
    parse_url,
    with_parameters,
)
from myi_pipeline.postgres.role_passwords import RolePasswords
from myi_pipeline.settings import ROLES_WITH_A_URL, Settings


def as_it_stands(settings: Settings, url: str, *, embedded: bool) -> Warehouse | None:
    """The warehouse, if its roles were set up before and still exist: one connection, one query. Otherwise None."""
    own = own_urls(settings, url)
    kept = role_passwords.read(password_file(settings, url, embedded=embedded))
    if Role.OWNER not in own and kept.bootstrap != _fingerprint(url, own):
        return None
    warehouse = warehouse_of(url, own, kept, embedded=embedded)
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


def with_roles(settings: Settings, url: str, *, repair: bool, make_roles: bool, embedded: bool) -> Warehouse:
    """The warehouse after its roles were made, or set again. Raises Permanent if they may not be."""
    own = own_urls(settings, url)
    if Role.OWNER in own:
        return warehouse_of(url, own, RolePasswords(), embedded=embedded)
    database = parse_url(url)["dbname"]
    file = password_file(settings, url, embedded=embedded)
    with roles.administrator(url) as admin:
        if not roles.can_create_roles(admin):
            names = {role: f"MYI_DATABASE_URL_{role.upper()}" for role in ROLES_WITH_A_URL}
            names[roles.DAGSTER] = "MYI_DAGSTER_DATABASE_URL"
            given = set(settings.role_urls()) | (
                {roles.DAGSTER} if settings.dagster_database_url is not None else set()
            )
            missing = [
                name + (" (with a user)" if login in given else "") for login, name in names.items() if login not in own
            ]
            raise Permanent(
                f"the role of MYI_DATABASE_URL may not create roles, so MYI also needs {', '.join(missing)}"
            )
        # Checked again under the lock: another process may have made them meanwhile, and already be migrating.
        if not repair and (warehouse := as_it_stands(settings, url, embedded=embedded)) is not None:
            return warehouse
        if not make_roles:
            refuse_unknown_roles(settings, url, admin)
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
    return warehouse_of(url, own, kept, embedded=embedded)


def password_file(settings: Settings, url: str, *, embedded: bool) -> Path:
    """Where this home keeps the passwords of a warehouse."""
    given = parse_url(url)
    server = "embedded" if embedded else f"{given.get('host', '')}:{given.get('port', '5432')}"
    return role_passwords.file_for(settings.secrets_folder, server=server, database=given["dbname"])


def _fingerprint(url: str, own: dict[str, str]) -> str:
    """What the roles depend on: if it changes, they are set up again. Reveals no secret."""
    users = {login: parse_url(given).get("user", "") for login, given in own.items()}
    facts = [roles.BOOTSTRAP_VERSION, parse_url(url)["dbname"], sorted(users.items()), roles.LOGINS]
    return hashlib.sha256(
        json.dumps([*facts, {k: dict(v) for k, v in roles.ROLE_SETTINGS.items()}]).encode()
    ).hexdigest()


def refuse_unknown_roles(settings: Settings, url: str, admin: Connection) -> None:
    """Raises Permanent unless this home knows the password of every role that it would touch.

    Roles of an external server may be in use by another home, which a new password would lock out.
    """
    own = own_urls(settings, url)
    database = parse_url(url)["dbname"]
    file = password_file(settings, url, embedded=False)
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
