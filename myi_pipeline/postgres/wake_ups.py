"""Notifying `myi up` that there is something to do, by Postgres' NOTIFY.

A notification is only a hint, sent when the transaction commits: recipients look at the tables to see what to do. If
nobody receives it, the next regular check finds the work.
"""

from __future__ import annotations

from enum import StrEnum

from myi_pipeline.postgres.connections import Connection

CHANNEL = "myi_wake"


class Wake(StrEnum):
    """Who should check, by sensor name; `live`: somebody requests a poll or the current track; `listens`: a player has
    submitted listens; `playlist_files`: a playlist file was uploaded."""

    CHANGES = "changes"
    USERS = "users"
    UPLOADS = "uploads"
    POLLS = "polls"
    LIVE = "live"
    LISTENS = "listens"
    PLAYLIST_FILES = "playlist_files"
    MIGRATIONS = "migrations"
    EXPORTS = "exports"


def wake(connection: Connection, *whom: Wake) -> None:
    """Notify when this transaction commits, or at once in autocommit mode. Any role may."""
    for each in whom:
        connection.execute("select pg_notify(%s, %s)", (CHANNEL, each.value))
