"""What a correction would reach, and what corrections hide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date

from myi_pipeline.people.corrections import Described
from myi_pipeline.web.reads.cursors import After
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.plays import PLAYS, PlayRow
from myi_pipeline.web.reads.sql_files import load_sql


@dataclass(frozen=True)
class ReachedRow:
    """The plays that are shown now and that a correction would reach; without any, both days are None."""

    plays: int
    counted_plays: int
    ms_played: int
    days: int
    first_day: date | None
    last_day: date | None


async def reached_by(marts: Marts, described: Described) -> ReachedRow:
    """In figures, as the marts stand: what is still to be counted is not among them."""
    sql, values = reached_statement(described)
    (row,) = await marts.fetch(ReachedRow, sql, **values)
    return row


def reached_statement(described: Described) -> tuple[bytes, dict[str, object]]:
    """The statement of reached_by and its values, without `user_id`: for a command, which has no Marts."""
    given = {name: value for name in _NAMES if (value := getattr(described, name)) is not None}
    is_by_content = bool(given.keys() & {"artist_id", "kind"})
    return load_sql("corrected_plays", given=tuple(given), is_by_content=is_by_content), given


async def hidden_plays(marts: Marts, *, after: After, limit: int) -> Sequence[PlayRow]:
    """Newest first."""
    return await marts.fetch(PlayRow, load_sql("hidden_plays"), limit=limit, **PLAYS.values(after))


_NAMES = tuple(each.name for each in fields(Described))
