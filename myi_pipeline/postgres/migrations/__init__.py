"""Versions of the schema: finding out which one a database has, and upgrading it.

The schema is plain SQL in sql/, in files named after their revision. A revision is applied atomically, by one process,
as the owner. A program never touches a schema that is newer than itself.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from psycopg import errors

from myi_pipeline.errors import Permanent, SchemaMismatch
from myi_pipeline.postgres.connections import Role, Warehouse, statement

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
# Oldest first. A test compares this with the files.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011", "0012")
HEAD = REVISIONS[-1]
VERSION_SCHEMA, VERSION_TABLE = "ops", "alembic_version"
# An arbitrary constant, "myi m" in ASCII.
_LOCK = 0x6D7969206D


@dataclass(frozen=True)
class SchemaState:
    """`current` is None for a database without a schema."""

    current: str | None
    head: str = HEAD

    @property
    def is_current(self) -> bool:
        return self.current == self.head

    @property
    def is_behind(self) -> bool:
        return self.current is None or self.current in REVISIONS[:-1]

    @property
    def is_ahead(self) -> bool:
        return not (self.is_current or self.is_behind)


def schema_state(warehouse: Warehouse) -> SchemaState:
    """The version of the database's schema. One query."""
    with warehouse.connect(Role.OWNER, autocommit=True) as connection:
        try:
            query = statement("select version_num from {}.{}", VERSION_SCHEMA, VERSION_TABLE)
            found = connection.execute(query).fetchone()
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            found = None
    return SchemaState(str(found[0]) if found else None)


def refuse_newer(state: SchemaState) -> None:
    """Raises SchemaMismatch if the schema is newer than this program."""
    if state.is_ahead:
        raise SchemaMismatch(
            f"the database's schema is at version {state.current}, newer than this program ({state.head}): upgrade MYI"
        )


def migrate(warehouse: Warehouse) -> SchemaState:
    """Upgrade the schema to this program's version, if needed. Raises SchemaMismatch, Permanent."""
    from myi_pipeline.postgres.migrations import runner

    with warehouse.connect(Role.OWNER, autocommit=True, application_name="myi migrate") as connection:
        # Waiting for another migration is normal: no limit on this wait.
        connection.execute("set lock_timeout = 0")
        connection.execute("select pg_advisory_lock(%s)", (_LOCK,))
        state = schema_state(warehouse)
        refuse_newer(state)
        if not state.is_current:
            log.info("migrating the schema from %s to %s", state.current or "nothing", state.head)
            try:
                connection.execute(statement("create schema if not exists {}", VERSION_SCHEMA))
                runner.upgrade(warehouse, HEAD)
            except errors.InsufficientPrivilege as error:
                raise Permanent(f"the owner's role lacks a privilege that the migration needs: {error}") from error
            state = schema_state(warehouse)
    return state
