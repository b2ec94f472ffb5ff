"""Alembic's entry point: uses only the connection that runner.upgrade passes."""

from __future__ import annotations

from alembic import context

from myi_pipeline.postgres.migrations import VERSION_SCHEMA, VERSION_TABLE
from myi_pipeline.postgres.migrations.runner import CONNECTION

context.configure(
    connection=context.config.attributes[CONNECTION],
    version_table=VERSION_TABLE,
    version_table_schema=VERSION_SCHEMA,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
