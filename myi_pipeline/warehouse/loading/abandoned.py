"""Clearing away the staging tables of imports that died and were never repeated.

An import that is repeated does this for itself. Invariant: the tables of an import that still lives are left alone,
however long it has been silent (a suspended machine): it holds its archive's lock, and only who gets that lock drops.
"""

from __future__ import annotations

from typing import Any

import psycopg

from myi_pipeline.core.errors import Busy
from myi_pipeline.warehouse.import_log import archive_lock
from myi_pipeline.warehouse.loading.staging import StagingTables
from myi_pipeline.warehouse.sql_files import load_sql


def drop_abandoned_staging(connection: psycopg.Connection[Any]) -> int:
    """Drop them; returns how many imports had any. The connection is in autocommit mode, as the ingest role."""
    dropped = 0
    for import_id, user_id, sha256 in connection.execute(load_sql("maintain/staged_imports")).fetchall():
        try:
            with archive_lock(connection, user_id=user_id or 0, sha256=sha256 or bytes(32), wait_s=0):
                StagingTables(import_id).drop(connection)
        except Busy:
            continue
        dropped += 1
    return dropped
