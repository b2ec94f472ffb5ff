"""Covers: stored pictures, the results of fetching them, and the only function that returns their bytes."""

from __future__ import annotations

from alembic import context, op

from myi_pipeline.postgres.migrations.runner import NAMES, run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), revision, context.config.attributes[NAMES])
