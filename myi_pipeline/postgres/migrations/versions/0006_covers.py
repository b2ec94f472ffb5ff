"""Covers: the pictures that MYI keeps, what became of fetching them, and the one function that returns their bytes."""

from __future__ import annotations

from alembic import context, op

from myi_pipeline.postgres.migrations.runner import NAMES, run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), revision, context.config.attributes[NAMES])
