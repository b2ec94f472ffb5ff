"""What is played most, for whoever asks a provider about that first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import psycopg

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql

Kind = Literal["track", "artist", "album"]


class Played(NamedTuple):
    """A track (its content_id), artist or album, and its plays by all users."""

    entity_kind: Kind
    entity_id: int
    plays: int


def most_played(connection: Connection, kinds: Sequence[Kind], *, most: int) -> list[Played]:
    """Up to `most` of each kind, in the order of `kinds` and then by plays; of tracks, those without a length or ISRC.

    To be called as Role.ANALYST. Empty while there are no marts.
    """
    try:
        rows = connection.execute(load_sql("catalogue/most_played"), {"kinds": list(kinds), "most": most}).fetchall()
    except psycopg.errors.UndefinedTable:
        connection.rollback()
        return []
    return [Played(*row) for row in rows]
