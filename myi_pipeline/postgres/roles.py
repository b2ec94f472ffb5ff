"""Making the databases and the login roles, on any server.

Belongs here: roles, their limits, database ownership and the right to connect. Not here: rights on schemas and tables
(the migrations grant those). Invariant: whatever state a server is in, and however many processes do this at once, the
roles end up the same; nothing foreign is taken over, and a password reaches the server only as a SCRAM verifier.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors, sql

from myi_pipeline.core.errors import Permanent
from myi_pipeline.warehouse.connections import CONNECT_TIMEOUT_S, Role, statement, with_parameters

log = logging.getLogger(__name__)

DAGSTER = "dagster"
LOGINS: tuple[str, ...] = (*(role.value for role in Role), DAGSTER)
OLDEST, NEWEST = 15, 18
# Any constant will do; it spells "myi r" and keeps two bootstraps on one server apart.
_LOCK = 0x6D79692072
_ATTEMPTS = 5
_FORBIDDEN = frozenset({"postgres", "template0", "template1"})
# Whose schemas may be in a database that MYI takes as its own.
_OUR_SCHEMAS = ("app", "raw", "ops", "staging", "intermediate", "marts", "public")

# Limits that hold whatever a client asks for at first; a role can raise its own timeouts, so they protect against
# accidents, and rights and row-level security against intent.
ROLE_SETTINGS: Mapping[str, Mapping[str, str]] = {
    Role.OWNER: {"lock_timeout": "30s"},
    Role.INGEST: {"lock_timeout": "60s", "idle_in_transaction_session_timeout": "10min"},
    Role.DBT: {},
    Role.API: {
        "default_transaction_read_only": "on",
        "statement_timeout": "5s",
        "idle_in_transaction_session_timeout": "15s",
    },
    Role.APP: {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "1min"},
    Role.MONITOR: {"default_transaction_read_only": "on", "statement_timeout": "10s"},
    Role.ANALYST: {
        "default_transaction_read_only": "on",
        "statement_timeout": "60s",
        "idle_in_transaction_session_timeout": "5min",
    },
    DAGSTER: {},
}
_MAKES_TEMPORARY_TABLES = (Role.OWNER, Role.INGEST, Role.DBT, Role.ANALYST)
# Grows when this module makes roles differently, so that the next start does it again.
BOOTSTRAP_VERSION = "1"

Connection = psycopg.Connection[tuple[Any, ...]]


def role_name(prefix: str, login: str) -> str:
    return f"{prefix}_{login}"


def check_version(connection: psycopg.Connection[Any]) -> None:
    """Raises Permanent unless the server is one that MYI is tested with."""
    major = connection.info.server_version // 10000
    if not OLDEST <= major <= NEWEST:
        raise Permanent(f"the database server is Postgres {major}; MYI needs {OLDEST} to {NEWEST}")


@contextmanager
def administrator(url: str) -> Iterator[Connection]:
    """A connection for making databases, alone on the server: to `postgres` if possible, else to the URL's own."""
    keep: dict[str, Any] = {
        "autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S, "application_name": "myi set-up"
    }  # fmt: skip
    try:
        connection = psycopg.connect(with_parameters(url, dbname="postgres"), **keep)
    except psycopg.OperationalError:
        connection = psycopg.connect(url, **keep)
    with connection:
        check_version(connection)
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        yield connection


def can_create_roles(connection: Connection) -> bool:
    return bool(_value(connection, "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"))


def ensure(
    admin: Connection, *, url: str, database: str, prefix: str, passwords: Mapping[str, str], given: Mapping[str, str]
) -> None:
    """Make roles and databases as they should be.

    `admin` comes from administrator(); `url` is the same server's. `passwords` are by login and set on every call;
    a login in `given` (login -> role name) has a URL of its own: it is not touched, only let into the database.
    """
    if database in _FORBIDDEN:
        raise Permanent(f"MYI does not use the database {database!r}: name another at the end of MYI_DATABASE_URL")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _ensure_once(admin, url=url, database=database, prefix=prefix, passwords=passwords, given=given)
        except errors.InternalError_ as error:
            # "tuple concurrently updated": a migration grants rights on the same database at this moment.
            if attempt == _ATTEMPTS or "concurrently updated" not in str(error):
                raise
            time.sleep(0.2 * attempt)
        else:
            return


def _ensure_once(
    admin: Connection, *, url: str, database: str, prefix: str, passwords: Mapping[str, str], given: Mapping[str, str]
) -> None:
    names = {login: given.get(login) or role_name(prefix, login) for login in LOGINS}
    for login in LOGINS:
        if login not in given:
            _ensure_role(admin, names[login], passwords[login], ROLE_SETTINGS[login])
    if Role.OWNER not in given:
        _become_member(admin, names[Role.OWNER])
        if Role.DBT not in given:
            # Migrations make dbt's schemas and hand them over, for which the owner must be a member.
            admin.execute(statement("grant {} to {}", names[Role.DBT], names[Role.OWNER]))
    _ensure_database(admin, url=url, database=database, owner=names[Role.OWNER])
    let_in(admin, database=database, names=names)
    if DAGSTER not in given:
        _become_member(admin, names[DAGSTER])
        dagster_database = role_name(database, DAGSTER)
        _ensure_database(admin, url=url, database=dagster_database, owner=names[DAGSTER], may_hold_tables=True)
        admin.execute(statement("revoke all on database {} from public", dagster_database))


def let_in(admin: Connection, *, database: str, names: Mapping[str, str]) -> None:
    """Who may connect to the database, and nobody else."""
    admin.execute(statement("revoke all on database {} from public", database))
    for role in Role:
        admin.execute(statement("grant connect on database {} to {}", database, names[role]))
    for role in _MAKES_TEMPORARY_TABLES:
        admin.execute(statement("grant temporary on database {} to {}", database, names[role]))
    # dbt makes schemas of its own: failing tests' rows, and the marts that `myi verify` builds beside the live ones.
    admin.execute(statement("grant create on database {} to {}", database, names[Role.DBT]))
    admin.execute(statement("alter database {} set timezone to 'UTC'", database))


def _ensure_role(admin: Connection, name: str, password: str, limits: Mapping[str, str]) -> None:
    verifier = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    try:
        if not _value(admin, "select exists (select from pg_roles where rolname = %s)", name):
            admin.execute(statement("create role {} login", name))
        # No attribute but LOGIN: what a superuser alone may take away is only named where it is there.
        admin.execute(statement("alter role {} with login password ", name) + sql.Literal(verifier))
        for setting, value in {"timezone": "UTC", **limits}.items():
            admin.execute(statement("alter role {} set {} to ", name, setting) + sql.Literal(value))
    except errors.InsufficientPrivilege:
        raise Permanent(
            f"the role of MYI_DATABASE_URL may not change the role {name!r}, which somebody else made:"
            " drop that role, or use the one that made it"
        ) from None


def _become_member(admin: Connection, name: str) -> None:
    """A superuser is a member of all; others must be one to hand a database over (from 16 on with SET)."""
    member = "select rolsuper or pg_has_role(current_user, %s, {}) from pg_roles where rolname = current_user"
    kind = "SET" if admin.info.server_version >= 160000 else "MEMBER"
    query = sql.SQL(member).format(sql.Literal(kind))
    found = admin.execute(query, (name,)).fetchone()
    if not (found and found[0]):
        admin.execute(statement("grant {} to current_user", name))


def _ensure_database(admin: Connection, *, url: str, database: str, owner: str, may_hold_tables: bool = False) -> None:
    found = _value(
        admin,
        "select pg_get_userbyid(datdba) || '/' || pg_encoding_to_char(encoding) from pg_database where datname = %s",
        database,
    )
    if found is None:
        try:
            admin.execute(_create_database(admin, database, owner))
        except errors.InsufficientPrivilege:
            raise Permanent(
                f"the role of MYI_DATABASE_URL may not create the database {database!r}: grant it CREATEDB,"
                " or make that database for it"
            ) from None
        return
    holder, _, encoding = str(found).rpartition("/")
    if encoding != "UTF8":
        raise Permanent(f"the database {database!r} is encoded in {encoding}; MYI needs UTF8")
    if holder == owner:
        return
    if not may_hold_tables:
        _refuse_foreign_tables(url, database)
    try:
        admin.execute(statement("alter database {} owner to {}", database, owner))
    except errors.InsufficientPrivilege:
        raise Permanent(
            f"the database {database!r} belongs to {holder!r}; MYI needs it to belong to {owner!r}"
        ) from None


def _create_database(admin: Connection, database: str, owner: str) -> sql.Composed:
    """Order by code point; letters by Unicode where the server can do it without the machine's libraries (17 on)."""
    create = statement("create database {} owner {} template template0 encoding 'UTF8' ", database, owner)
    if admin.info.server_version >= 170000:
        return create + sql.SQL("locale_provider builtin builtin_locale 'C.UTF-8' lc_collate 'C' lc_ctype 'C'")
    letters = _value(
        admin,
        "select datctype from pg_database"
        " where datname = current_database() and pg_encoding_to_char(encoding) = 'UTF8'",
    )
    return create + sql.SQL("locale_provider libc lc_collate 'C' lc_ctype {}").format(sql.Literal(letters or "C"))


def _refuse_foreign_tables(url: str, database: str) -> None:
    query = (
        "select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'"
        " and (n.nspname <> all (%s) or n.nspname = 'public') limit 1"
    )
    with psycopg.connect(with_parameters(url, dbname=database), connect_timeout=CONNECT_TIMEOUT_S) as connection:
        found = connection.execute(query, (list(_OUR_SCHEMAS),)).fetchone()
    if found:
        raise Permanent(
            f"the database {database!r} holds tables that are not MYI's ({found[0]}): give MYI one of its own"
        )


def _value(connection: Connection, query: str, *arguments: object) -> object:
    found = connection.execute(query.encode(), arguments or None).fetchone()
    return found[0] if found else None
