"""Creating the databases and login roles, on any server.

The result is the same whatever state the server is in and however many processes do this concurrently. Databases and
roles of others are not taken over, and passwords are sent to the server only as SCRAM verifiers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors, sql

from myi_pipeline.errors import Permanent
from myi_pipeline.postgres.connections import CONNECT_TIMEOUT_S, Connection, Role, statement, with_parameters

log = logging.getLogger(__name__)

DAGSTER = "dagster"
LOGINS: tuple[str, ...] = (*(role.value for role in Role), DAGSTER)
OLDEST, NEWEST = 15, 19
# An arbitrary constant, "myi r" in ASCII. The lock serialises bootstraps on one server.
_LOCK = 0x6D79692072
_ATTEMPTS = 5
_FORBIDDEN = frozenset({"postgres", "template0", "template1"})
# The schemas that a database may already contain when MYI starts to use it.
_OUR_SCHEMAS = ("app", "raw", "ops", "staging", "intermediate", "marts", "public")

# Defaults for each session. Roles can change their own timeouts, so these protect against accidents; privileges and row
# security protect against intent.
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
_FOR_ALL = {
    "timezone": "UTC",
    # Locks and other resources of a lost host are released after half a minute instead of two hours.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
_LARGE_OBJECT_FUNCTIONS = (
    "select oid::regprocedure::text from pg_proc"
    " where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^(lo_|loread$|lowrite$)'"
)
# Imports, refreshes and `myi up` exclude each other with advisory locks.
_ADVISORY_LOCK_FUNCTIONS = (
    "select oid::regprocedure::text from pg_proc"
    " where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_'"
)
_TAKES_ADVISORY_LOCKS = (Role.OWNER, Role.INGEST, Role.DBT, Role.APP)
_VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")
_MAKES_TEMPORARY_TABLES = (Role.OWNER, Role.INGEST, Role.DBT, Role.ANALYST)
# Must be increased when this module changes roles, so that the next start bootstraps again.
BOOTSTRAP_VERSION = "4"


def role_name(prefix: str, login: str) -> str:
    return f"{prefix}_{login}"


def check_version(connection: psycopg.Connection[Any]) -> None:
    """Raises Permanent unless MYI supports the version of the server."""
    major = connection.info.server_version // 10000
    if not OLDEST <= major <= NEWEST:
        raise Permanent(f"the database server is Postgres {major}; MYI needs {OLDEST} to {NEWEST}")


@contextmanager
def administrator(url: str) -> Iterator[Connection]:
    """A connection for creating databases, to `postgres` or else to the URL's database; holds the bootstrap lock."""
    keep: dict[str, Any] = {
        "autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S, "application_name": "myi set-up"
    }  # fmt: skip
    try:
        connection = psycopg.connect(with_parameters(url, dbname="postgres"), **keep)
    except psycopg.OperationalError as first:
        try:
            connection = psycopg.connect(url, **keep)
        except psycopg.OperationalError as second:
            # If both fail, the cause is the server or the login; the URL's database may not exist yet.
            raise (second if 'database "postgres"' in str(first) else first) from None
    with connection:
        check_version(connection)
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        yield connection


def can_create_roles(connection: Connection) -> bool:
    return bool(_value(connection, "select rolsuper or rolcreaterole from pg_roles where rolname = current_user"))


def ensure(
    admin: Connection,
    *,
    url: str,
    database: str,
    prefix: str,
    passwords: Mapping[str, str],
    given: Mapping[str, str],
    owns_server: bool = False,
) -> None:
    """Create or correct the roles and databases. `owns_server`: nobody else uses the server.

    `admin` comes from administrator(); `url` is that of the same server. `passwords` (by login) are set on every call.
    A login in `given` (login -> role name) has a URL of its own: it is only granted access to the database.
    """
    if database in _FORBIDDEN:
        raise Permanent(f"MYI does not use the database {database!r}: name another at the end of MYI_DATABASE_URL")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _ensure_once(admin, url=url, database=database, prefix=prefix, passwords=passwords, given=given)
        except errors.InternalError_ as error:
            # "tuple concurrently updated": a migration is granting privileges on the same database.
            if attempt == _ATTEMPTS or "concurrently updated" not in str(error):
                raise
            time.sleep(0.2 * attempt)
        else:
            lockers = [given.get(role.value, role_name(prefix, role.value)) for role in _TAKES_ADVISORY_LOCKS]
            revoke_defaults(admin, url=url, database=database, lockers=lockers, owns_server=owns_server)
            return


def revoke_defaults(admin: Connection, *, url: str, database: str, lockers: Sequence[str], owns_server: bool) -> None:
    """Revoke Postgres's default privileges on large objects, advisory locks and other databases.

    Large objects belong to no schema and are not subject to any limit; anybody could take an advisory lock of MYI's and
    block imports and refreshes. Only a superuser may revoke the functions. On a shared server, other databases are left
    alone.
    """
    if not _value(admin, "select rolsuper from pg_roles where rolname = current_user"):
        log.info("MYI's roles can still use large objects: the role of MYI_DATABASE_URL is not a superuser")
        return
    if owns_server:
        for other in ("postgres", "template1"):
            admin.execute(statement("revoke all on database {} from public", other))
    for each in (database, role_name(database, DAGSTER)):
        if not _value(admin, "select exists (select from pg_database where datname = %s)", each):
            continue
        place = with_parameters(url, dbname=each)
        with psycopg.connect(place, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            for (signature,) in connection.execute(_LARGE_OBJECT_FUNCTIONS).fetchall():
                connection.execute(sql.SQL("revoke execute on function {} from public").format(sql.SQL(signature)))
            if each == database:
                _keep_advisory_locks(connection, lockers)


def _keep_advisory_locks(connection: Connection, lockers: Sequence[str]) -> None:
    """Allow only these roles to use them. The grants come first, so that running commands are not disturbed."""
    granted = sql.SQL(", ").join(map(sql.Identifier, lockers))
    for (signature,) in connection.execute(_ADVISORY_LOCK_FUNCTIONS).fetchall():
        function = sql.SQL(signature)
        connection.execute(sql.SQL("grant execute on function {} to {}").format(function, granted))
        connection.execute(sql.SQL("revoke execute on function {} from public").format(function))


def restore_analyst(admin: Connection, *, name: str, password: str) -> bool:
    """Undo changes that the analyst made to its own role. True if there were any.

    Postgres lets every role change its own password and defaults, and this cannot be forbidden. Needs a superuser. If
    anything was changed, connections as the analyst are closed.
    """
    found = admin.execute(
        "select a.rolpassword, array(select unnest(s.setconfig) order by 1)"
        " from pg_authid as a left join pg_db_role_setting as s on s.setrole = a.oid and s.setdatabase = 0"
        " where a.rolname = %s and not exists"
        " (select from pg_db_role_setting as other where other.setrole = a.oid and other.setdatabase <> 0)",
        (name,),
    ).fetchone()
    # Postgres spells some names differently, such as TimeZone.
    parts = (each.partition("=") for each in (found[1] if found else ()))
    limits = {name.lower(): value for name, _, value in parts}
    if found and limits == _limits(Role.ANALYST) and _is_password(password, found[0] or ""):
        return False
    log.warning("the role %s had changed its own password or limits; they have been reset", name)
    for (database,) in admin.execute(
        "select d.datname from pg_db_role_setting as s inner join pg_database as d on d.oid = s.setdatabase"
        " inner join pg_roles as r on r.oid = s.setrole where r.rolname = %s",
        (name,),
    ).fetchall():
        admin.execute(statement("alter role {} in database {} reset all", name, database))
    admin.execute(statement("alter role {} reset all", name))
    _ensure_role(admin, name, password, ROLE_SETTINGS[Role.ANALYST])
    admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (name,))
    return True


def _is_password(password: str, verifier: str) -> bool:
    """Whether the SCRAM verifier (RFC 5803) is that of this password."""
    found = _VERIFIER.fullmatch(verifier)
    if found is None:
        return False
    iterations, salt, stored, _ = found.groups()
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(salt), int(iterations))
    client = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client).digest(), base64.b64decode(stored))


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
            # Migrations create schemas for dbt and transfer them, for which the owner must be a member of its role.
            admin.execute(statement("grant {} to {}", names[Role.DBT], names[Role.OWNER]))
    _ensure_database(admin, url=url, database=database, owner=names[Role.OWNER])
    let_in(admin, database=database, names=names)
    if DAGSTER not in given:
        _become_member(admin, names[DAGSTER])
        dagster_database = role_name(database, DAGSTER)
        _ensure_database(admin, url=url, database=dagster_database, owner=names[DAGSTER], may_hold_tables=True)
        admin.execute(statement("revoke all on database {} from public", dagster_database))


def let_in(admin: Connection, *, database: str, names: Mapping[str, str]) -> None:
    """Allow exactly these roles to connect to the database."""
    admin.execute(statement("revoke all on database {} from public", database))
    for role in Role:
        admin.execute(statement("grant connect on database {} to {}", database, names[role]))
    for role in _MAKES_TEMPORARY_TABLES:
        admin.execute(statement("grant temporary on database {} to {}", database, names[role]))
    # dbt creates schemas: for rows of failing tests, and for the marts that `myi verify` builds for comparison.
    admin.execute(statement("grant create on database {} to {}", database, names[Role.DBT]))
    admin.execute(statement("alter database {} set timezone to 'UTC'", database))


def _ensure_role(admin: Connection, name: str, password: str, limits: Mapping[str, str]) -> None:
    verifier = admin.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    try:
        if not _value(admin, "select exists (select from pg_roles where rolname = %s)", name):
            admin.execute(statement("create role {} login", name))
        # Only LOGIN is set explicitly: attributes that only a superuser may remove are named only if present.
        admin.execute(statement("alter role {} with login password ", name) + sql.Literal(verifier))
        for setting, value in {**_FOR_ALL, **limits}.items():
            admin.execute(statement("alter role {} set {} to ", name, setting) + sql.Literal(value))
    except errors.InsufficientPrivilege:
        raise Permanent(
            f"the role of MYI_DATABASE_URL may not change the role {name!r}, which another role made:"
            " drop that role, or use the one that made it"
        ) from None


def _limits(login: str) -> dict[str, str]:
    return {**_FOR_ALL, **ROLE_SETTINGS[login]}


def _become_member(admin: Connection, name: str) -> None:
    """Needed to transfer a database to the role (from 16 on, with SET). Superusers are members of all roles."""
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
    """Sorted by code point; character classes from Unicode, if built into the server (17 on), else from its locale."""
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
            f"the database {database!r} contains tables that are not MYI's ({found[0]}): give MYI one of its own"
        )


def _value(connection: Connection, query: str, *arguments: object) -> object:
    found = connection.execute(query.encode(), arguments or None).fetchone()
    return found[0] if found else None
