"""The databases that a restore fills, next to the live ones, which they replace in one step when complete.

If every role has its own URL, MYI may not create databases: then the existing one is filled, which must be empty.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import errors

from myi_pipeline.errors import BadInput, Busy
from myi_pipeline.operations.backup.dump import SCHEMAS
from myi_pipeline.operations.open_warehouse import (
    ServerAtHand,
    given_warehouse,
    make_databases,
    server_at_hand,
)
from myi_pipeline.postgres import roles
from myi_pipeline.postgres.connections import (
    CONNECT_TIMEOUT_S,
    Connection,
    Role,
    Warehouse,
    identifier,
    parse_url,
    statement,
    unreachable,
    with_parameters,
)
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.settings import Settings

log = logging.getLogger(__name__)

_IN_USE: Final = "the database is in use ({}): end `myi up` and every other command of MYI first"
_BESIDE: Final = "_restoring"
# `_dagster` and that must fit into 63 bytes with it.
_LONGEST_NAME: Final = 40


@dataclass(frozen=True)
class Target:
    """Empty databases, reachable as every role.

    `replaces`: something exists under the final names. `fills_dagster` is false for a Dagster database with its own URL
    that contains runs: it is not changed.
    """

    server: ServerAtHand
    warehouse: Warehouse
    replaces: bool
    fills_dagster: bool

    @property
    def is_beside(self) -> bool:
        return self.server.makes_databases

    def owner_url(self, *, dagster: bool) -> tuple[str, str | None]:
        """The URL by which one of the databases is filled, and the role to act as; None: as the login itself."""
        own = self.warehouse.dagster_url() if dagster else self.warehouse.url(Role.OWNER)
        given = parse_url(own)
        if not self.is_beside or (dagster and roles.DAGSTER in self.server.given):
            return with_parameters(own), None
        url = with_parameters(self.server.url, dbname=given["dbname"])
        return url, None if self.server.embedded else given["user"]

    def names(self) -> dict[str, str]:
        """The roles by login."""
        names = {login: name for login, name in self.warehouse.names().items() if login != "database"}
        return names | {roles.DAGSTER: parse_url(self.warehouse.dagster_url()).get("user", "")}

    def refuse_used(self) -> None:
        """Raises Busy while somebody uses what is to be replaced."""
        if self.is_beside:
            final = self.server.database
            with roles.administrator(self.server.url) as admin:
                refuse_used(admin, [final, roles.role_name(final, roles.DAGSTER)])

    def put_in_place(self) -> None:
        """Replace what is there. Raises Busy while somebody uses it; then nothing has changed."""
        if not self.is_beside:
            return
        final, beside = self.server.database, self.warehouse.database
        pairs = [(beside, final)]
        if roles.DAGSTER not in self.server.given:
            pairs.append((roles.role_name(beside, roles.DAGSTER), roles.role_name(final, roles.DAGSTER)))
        with roles.administrator(self.server.url) as admin:
            refuse_used(admin, [name for _, name in pairs])
            # Renames first, which are instantaneous; the former ones are dropped when everything else is done.
            old = [(name, _aside(beside, number)) for number, (_, name) in enumerate(pairs) if _exists(admin, name)]
            for _, aside in old:
                admin.execute(statement("drop database if exists {} with (force)", aside))
            try:
                with admin.transaction():
                    for name, aside in old:
                        admin.execute(statement("alter database {} rename to {}", name, aside))
                    for name, final_name in pairs:
                        admin.execute(statement("alter database {} rename to {}", name, final_name))
            except errors.ObjectInUse:
                raise Busy(_IN_USE.format("somebody")) from None
            for _, aside in old:
                admin.execute(statement("drop database if exists {} with (force)", aside))


@contextmanager
def restore_target(settings: Settings, *, replace: bool, make_roles: bool) -> Iterator[Target]:
    """Databases to fill; unless they were put in place, they are dropped when the context ends.

    Raises BadInput if there is something that `replace` does not allow to be replaced, Busy, and MyiError.
    """
    with server_at_hand(settings) as server:
        try:
            if server.makes_databases:
                with _beside(settings, server, replace=replace, make_roles=make_roles) as target:
                    yield target
            else:
                with _in_place(server) as target:
                    yield target
        except psycopg.OperationalError as error:
            raise unreachable("the database", error) from error


def names_beside(database: str) -> tuple[str, ...]:
    """Names of databases that a restore creates and drops; a killed one leaves them behind."""
    name = database[:_LONGEST_NAME] + _BESIDE
    both = (name, roles.role_name(name, roles.DAGSTER))
    return (*both, *(_aside(name, number) for number in range(len(both))))


@contextmanager
def _beside(settings: Settings, server: ServerAtHand, *, replace: bool, make_roles: bool) -> Iterator[Target]:
    name = server.database[:_LONGEST_NAME] + _BESIDE
    both = (name, roles.role_name(name, roles.DAGSTER))
    with roles.administrator(server.url) as admin:
        is_there = _exists(admin, server.database)
        if is_there:
            refuse_used(admin, [server.database, roles.role_name(server.database, roles.DAGSTER)])
        for each in names_beside(server.database):
            admin.execute(statement("drop database if exists {} with (force)", each))
    if is_there and not replace:
        _refuse_filled(with_parameters(server.url, dbname=server.database), server.database)
    warehouse = make_databases(settings, server, database=name, make_roles=make_roles)
    fills_dagster = roles.DAGSTER not in server.given or not _has_tables(warehouse.dagster_url())
    try:
        yield Target(server, warehouse, is_there, fills_dagster)
    finally:
        try:
            with roles.administrator(server.url) as admin:
                for each in both:
                    admin.execute(statement("drop database if exists {} with (force)", each))
        except psycopg.Error as error:
            log.warning("what a restore left is removed by the next one: %s", str(error).partition("\n")[0])


@contextmanager
def _in_place(server: ServerAtHand) -> Iterator[Target]:
    warehouse = given_warehouse(server)
    url = warehouse.url(Role.OWNER)
    _refuse_filled(url, server.database)
    drop = b"drop schema if exists " + b", ".join(schema.encode() for schema in SCHEMAS) + b" cascade"
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        refuse_used(connection, [server.database])
        connection.execute(drop)
    fills_dagster = not _has_tables(warehouse.dagster_url())
    try:
        yield Target(server, warehouse, True, fills_dagster)
    except BaseException:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.execute(drop)
        raise


def refuse_used(connection: Connection, databases: list[str]) -> None:
    """Raises Busy while anybody is connected to one of these databases."""
    row = connection.execute(load_sql("operations/backup/sessions"), {"databases": databases}).fetchone()
    if row is not None and row[0]:
        raise Busy(_IN_USE.format(row[0]))


def _refuse_filled(url: str, database: str) -> None:
    """Raises BadInput if there is a user: a home that was only started has nothing to lose."""
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        row = connection.execute(load_sql("operations/backup/is_empty")).fetchone()
        has_users = row is not None and bool(row[0])
        is_filled = has_users and connection.execute("select exists (select from app.users)").fetchone() == (True,)
    if is_filled or (row is not None and bool(row[1]) and not has_users):
        raise BadInput(
            f"the database {database!r} is not empty: a restore would replace what is in it. If that is what you want,"
            " make a backup of it, and restore with --replace; where every role has a URL of its own, let its"
            " administrator make an empty database instead",
            place=database,
            rule="an empty database",
        )


def _has_tables(url: str) -> bool:
    with psycopg.connect(with_parameters(url), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        return connection.execute("select to_regclass('public.runs') is not null").fetchone() == (True,)


def _aside(beside: str, number: int) -> str:
    """The name of a replaced database until it is dropped; the next restore drops what a killed one left behind."""
    return f"{beside}_old{number}"


def _exists(admin: Connection, database: str) -> bool:
    identifier(database)
    return admin.execute("select from pg_database where datname = %s", (database,)).fetchone() is not None
