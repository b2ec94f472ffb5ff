"""What the marts say of a user who is polled: plays by source, what archives confirmed, where plays may be missing.

Belongs here: reading. Not here: polling, what is shown. Invariant: reads marts only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, kw_only=True)
class LiveFigures:
    """`polled_only` plays are known from the Web API alone, `confirmed` ones from an archive as well.

    `gaps` counts spans with both ends in which plays may be missing, `gap_hours` how long they are together.
    """

    user_key: str
    plays: int
    polled_only: int
    confirmed: int
    unknown_ms: int
    gaps: int
    gap_hours: float


def live_figures(connection: Connection, *, user_keys: Sequence[str]) -> tuple[LiveFigures, ...]:
    """In the order of users; nobody whom the marts do not know."""
    with connection.cursor(row_factory=class_row(LiveFigures)) as cursor:
        return tuple(cursor.execute(load_sql("listing/live_figures"), {"user_keys": list(user_keys)}).fetchall())
