"""Whose turn it is to be polled.

Belongs here: asking for it. Not here: the policy (core/polling_policy), batches (core/poll_batches). Invariant: whoever
is paused, signed out, left alone by the circuit or silent by Spotify's wish is not named.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

from myi_pipeline.settings import Settings
from myi_pipeline.warehouse import poll_store
from myi_pipeline.warehouse.connections import Role, Warehouse
from myi_pipeline.warehouse.poll_store import DueUser

__all__ = ["DueUser", "due_now"]


def due_now(settings: Settings, warehouse: Warehouse, *, now: datetime) -> tuple[DueUser, ...]:
    """Users whose turn has come, the longest waiting first."""
    with closing(warehouse.connect(Role.INGEST, autocommit=True, application_name="myi polls")) as connection:
        return poll_store.due_users(connection, now=now)
