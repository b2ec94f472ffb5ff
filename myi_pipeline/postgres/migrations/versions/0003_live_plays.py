"""Live plays: polling, top lists, the catalogue's queue and learnt clocks."""

from __future__ import annotations

from alembic import context, op

from myi_pipeline.postgres.migrations.runner import NAMES, run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), revision, context.config.attributes[NAMES])
