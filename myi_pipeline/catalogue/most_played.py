"""What is played most, which providers are asked about first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import psycopg

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

Kind = Literal["track", "artist", "album"]
# The tables that say from which mart run each queue was filled.
State = Literal["catalogue_state", "musicbrainz_state"]


class Played(NamedTuple):
    """A track (its content_id), artist or album, and its plays by all users."""

    entity_kind: Kind
    entity_id: int
    plays: int


def most_played(connection: Connection, kinds: Sequence[Kind], *, most: int) -> list[Played]:
    """Up to `most` of each kind, in the order of `kinds` and then by plays; of tracks, only those
    without a length or an ISRC.

    To be called as Role.ANALYST. Empty as long as there are no marts.
    """
    try:
        rows = connection.execute(load_sql("catalogue/most_played"), {"kinds": list(kinds), "most": most}).fetchall()
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        return []
    return [Played(*row) for row in rows]


def completed_mart_run(connection: Connection) -> int | None:
    """The last complete mart run."""
    found = connection.execute("select completed_run_id from ops.mart_state").fetchone()
    return found[0] if found is not None else None


def newer_mart_run(connection: Connection, *, than: State) -> int | None:
    """The last complete mart run, if the queue was filled from another one."""
    query = (
        f"select m.completed_run_id from ops.mart_state as m cross join ops.{than} as s"
        " where m.completed_run_id is distinct from s.mart_run_id"
    )
    found = connection.execute(query.encode()).fetchone()
    return found[0] if found is not None else None
