"""Live Spotify: logins, quota, circuits, polling and the catalogue."""

from __future__ import annotations

from alembic import context, op

from myi_pipeline.postgres.migrations.runner import NAMES, run_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_sql(op.get_bind(), revision, context.config.attributes[NAMES])
