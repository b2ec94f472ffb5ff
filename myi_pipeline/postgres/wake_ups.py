"""Telling `myi up` that there is something to do, by Postgres' NOTIFY.

A notification is a hint: it goes out when the transaction commits, nobody has to hear it, and whoever should act looks
at the tables. What was not heard is found by the next regular look.
"""

from __future__ import annotations

from enum import StrEnum

from myi_pipeline.postgres.connections import Connection

CHANNEL = "myi_wake"


class Wake(StrEnum):
    """Who should look, by the name of the sensor; `live`: somebody asks for a poll or for what is
    playing; `listens`: a player has submitted some."""

    CHANGES = "changes"
    USERS = "users"
    UPLOADS = "uploads"
    POLLS = "polls"
    LIVE = "live"
    LISTENS = "listens"


def wake(connection: Connection, *whom: Wake) -> None:
    """Once this transaction has committed; at once in autocommit mode. Any role may."""
    for each in whom:
        connection.execute("select pg_notify(%s, %s)", (CHANNEL, each.value))
