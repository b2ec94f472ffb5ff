"""Covers: pictures that the house keeps, what became of fetching them, and one narrow door to their bytes."""

from __future__ import annotations

from alembic import context, op

from myi_pipeline.warehouse.migrations.runner import NAMES, run_sql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), revision, context.config.attributes[NAMES])
