"""What the pages of top lists, of one track, artist or album, and of a year read.

Belongs here: a statement's parameters as a function's. Not here: which page shows what. Invariant: nothing is listed
that this user never played; the catalogue alone is no list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listing import MOST_BIGINT, MOST_INT, Row, fetch
from myi_pipeline.api.page_reads import Entity, coverage_gaps
from myi_pipeline.api.spans import LAST_DAY, Period, moment, parts_of
from myi_pipeline.api.sql_files import load_sql

# Loaders refuse plays before 2006, and what is more than a day ahead.
OLDEST = date(2006, 1, 1)
# A place beyond this says nothing, and counting further would take longer than reading the page.
LAST_RANK = 1_000
_NAMES = ("uri", "name", "artist_id", "artist_name", "album_id", "album_name", "duration_ms", "picture")
TERMS = ("short_term", "medium_term", "long_term")


@dataclass(frozen=True)
class After:
    """The row of a top list after which a page begins: its keys, its rank, and the plays of the list's first."""

    counted_plays: int = MOST_INT
    ms_played: int = MOST_BIGINT
    id: int = 0
    rank: int = 0
    most: int = 0

    @property
    def keys(self) -> tuple[int, ...]:
        return (self.counted_plays, self.ms_played, self.id, self.rank, self.most)


@dataclass(frozen=True)
class TopPage:
    """`next` is None on the last page; `most` are the plays of the list's first, to which bars are drawn."""

    rows: Sequence[Row]
    most: int
    next: After | None


async def top_page(
    marts: Snapshot, entity: Entity, *, period: Period | None, first: date, last: date, after: After, limit: int
) -> TopPage:
    """A page of a period's top list; with `period` None, of the days from `first` to `last`."""
    keys = {"counted_plays": after.counted_plays, "ms_played": after.ms_played, f"{entity}_id": after.id}
    values: dict[str, object] = {"limit": limit + 1, **{f"after_{name}": value for name, value in keys.items()}}
    if period is not None:
        rows = await fetch(
            marts, load_sql(f"pages/top_{entity}s"), {**values, "period": period.value, "period_start": first}
        )
    else:
        parts = parts_of(max(first, OLDEST), last)
        values |= {
            "periods": [period.value for period, _ in parts.periods],
            "period_starts": [start for _, start in parts.periods],
            "first_days": [start for start, _ in parts.days],
            "last_days": [end for _, end in parts.days],
        }
        rows = await fetch(marts, load_sql(f"pages/top_{entity}s_of_range"), values)
    has_more = len(rows) > limit
    ranked = [{"rank": rank, **row} for rank, row in enumerate(rows[:limit], start=after.rank + 1)]
    most = after.most or (ranked[0]["counted_plays"] if ranked else 0)
    if not has_more:
        return TopPage(ranked, most, None)
    final = ranked[-1]
    return TopPage(
        ranked, most, After(final["counted_plays"], final["ms_played"], final[f"{entity}_id"], final["rank"], most)
    )


async def evident_gaps(marts: Snapshot) -> list[Row]:
    """Spans that are known not to be covered; those in which only an offline play can be missing are none."""
    return [gap for gap in await coverage_gaps(marts) if gap["is_evident"]]


async def heard_span(marts: Snapshot) -> tuple[date, date] | None:
    """The first and the last day with a play, or None."""
    (found,) = await fetch(marts, load_sql("pages/heard_span"), {})
    return None if found["first_heard"] is None else (found["first_heard"], found["last_heard"])


async def entity_periods(marts: Snapshot, entity: Entity, id: int) -> list[Row]:
    """Sums of all time, of each year and each month; none for what this user never played."""
    return await fetch(marts, load_sql("pages/entity_periods"), {"entity": entity, "id": id})


async def entity_names(marts: Snapshot, entity: Entity, id: int) -> Row:
    found = await fetch(marts, load_sql("pages/entity_names"), {"entity": entity, "id": id})
    return found[0] if found else dict.fromkeys(_NAMES)


async def entity_rank(marts: Snapshot, entity: Entity, id: int, row: Row) -> int | None:
    """Its place in the top list of one of its rows; None beyond LAST_RANK."""
    names = ("period", "period_start", "counted_plays", "ms_played")
    values = {"entity": entity, "id": id, "most": LAST_RANK, **{name: row[name] for name in names}}
    (found,) = await fetch(marts, load_sql("pages/entity_rank"), values)
    return int(found["rank"]) if found["rank"] <= LAST_RANK else None


async def most_heard_of(marts: Snapshot, entity: Entity, id: int, *, limit: int) -> tuple[list[Row], list[Row]]:
    """The tracks of an artist or album, and the albums of an artist, of all time."""
    if entity == "track":
        return [], []
    values = {"entity": entity, "id": id, "limit": limit}
    rows = await fetch(marts, load_sql("pages/most_heard_of"), values)
    tracks, albums = ([row for row in rows if row["kind"] == kind] for kind in ("track", "album"))
    return _ranked(tracks), _ranked(albums)


async def last_plays_of(marts: Snapshot, entity: Entity, id: int, *, limit: int) -> list[Row]:
    return await fetch(marts, load_sql("pages/last_plays"), {"entity": entity, "id": id, "limit": limit})


async def spotify_ranks(marts: Snapshot, entity: Entity, id: int) -> dict[str, list[Row]]:
    """Where Spotify's own lists had it, by term, the oldest first; terms without it are not there."""
    if entity == "album":
        return {}
    found = {}
    for term in TERMS:
        values = {"kind": entity, "id": id, "term": term, "day": LAST_DAY}
        if rows := await fetch(marts, load_sql("marts/ranks_of_entity"), values):
            found[term] = rows[::-1]
    return found


async def year_variety(marts: Snapshot, start: date, zone: ZoneInfo) -> Row:
    """How many tracks and artists a year has, and how many of the artists were new."""
    end = start.replace(year=start.year + 1)
    values = {"year_start": start, "from_at": moment(start, zone), "to_at": moment(end, zone)}
    (found,) = await fetch(marts, load_sql("pages/year_variety"), values)
    return found


async def new_artists(marts: Snapshot, start: date, *, limit: int) -> list[Row]:
    return _ranked(await fetch(marts, load_sql("pages/new_artists"), {"year_start": start, "limit": limit}))


async def streak_marks(marts: Snapshot, today: date) -> dict[str, Row | None]:
    """The streak that goes on (`current`) and the `longest`."""
    rows = await fetch(marts, load_sql("marts/streak_marks"), {"yesterday": today - timedelta(days=1)})
    return {"current": None, "longest": None, **{row["mark"]: row for row in rows}}


async def longest_streak(marts: Snapshot, *, first: date, last: date) -> tuple[date, date] | None:
    """The most days in a row with plays within a span, as its first and last day."""
    values = {"first_day": first, "last_day": last, "after_streak_start": LAST_DAY, "limit": MOST_INT}
    rows = await fetch(marts, load_sql("marts/streaks"), values)
    within = [(max(row["streak_start"], first), min(row["streak_end"], last)) for row in rows]
    return max(within, key=lambda days: days[1] - days[0], default=None)


def _ranked(rows: Sequence[Row]) -> list[Row]:
    return [{"rank": rank, **row} for rank, row in enumerate(rows, start=1)]
