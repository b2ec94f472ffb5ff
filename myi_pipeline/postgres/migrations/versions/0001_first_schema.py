"""The first schema: users and imports, raw events with their ledger, quarantine and mart runs."""

from __future__ import annotations

from alembic import context, op

from myi_pipeline.postgres.migrations.runner import NAMES, run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), revision, context.config.attributes[NAMES])
