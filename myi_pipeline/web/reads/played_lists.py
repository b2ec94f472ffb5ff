"""What a listener played most in some days, as the tracks of a playlist: for pages, the API and commands alike.

Songs are counted as recordings, under whichever of their tracks they were heard; on the list each stands as the track
by which services know it best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from typing import Any

from myi_pipeline.web.reads.cursors import FIRST_PAGE
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import BEGINNING, END, Period, last_day_of, moment, period_start
from myi_pipeline.web.reads.sql_files import load_sql
from myi_pipeline.web.reads.top import OLDEST, By, Entity, Listed, range_values, top_order

MOST_TRACKS = 500
# So far down the list of what was played most is looked for what is new, or was not heard since: further down stands
# what was heard once or twice.
_LOOKED_THROUGH = 2_000


@dataclass(frozen=True, kw_only=True)
class PlayedDays:
    """From the first to the last day; `period` is None for any days."""

    period: Period | None
    first: date
    last: date

    @classmethod
    def of(cls, period: Period, day: date) -> PlayedDays:
        """The period that holds a day."""
        start = period_start(period, day)
        return cls(period=period, first=start, last=last_day_of(period, start))

    @classmethod
    def between(cls, first: date | None, last: date | None, *, today: date) -> PlayedDays:
        """One end is enough: from then on, or up to then. Raises ValueError if they are not in order."""
        if first is not None and last is not None and first > last:
            raise ValueError("the first day must not be after the last")
        return cls(period=None, first=first or min(OLDEST, last or OLDEST), last=last or max(today, first or today))

    @property
    def label(self) -> str:
        match self.period:
            case Period.ALL:
                return "all time"
            case Period.YEAR:
                return f"{self.first:%Y}"
            case Period.MONTH:
                return f"{self.first:%Y-%m}"
            case _:
                return f"{self.first} to {self.last}"


@dataclass(frozen=True, kw_only=True)
class PlayedList:
    """What goes on the list. `new_only`: first heard in these days; `not_since`: not heard on that day or later."""

    days: PlayedDays
    limit: int = 50
    by: By = "plays"
    counted_by: Listed = Listed.RECORDING
    new_only: bool = False
    not_since: date | None = None

    @property
    def entity(self) -> Entity:
        return "recording" if self.counted_by is Listed.RECORDING else "track"

    @property
    def name(self) -> str:
        """What the list is called where nobody names it; the same list has the same name."""
        what = "New in" if self.new_only else "Most played,"
        name = f"{what} {self.days.label}"
        if self.not_since is not None:
            name += f", not since {self.not_since}"
        return name if self.by == "plays" else f"{name}, by time"

    @property
    def description(self) -> str:
        counted = "songs" if self.counted_by is Listed.RECORDING else "tracks"
        told = f"The {self.limit} {counted} that were played most in {self.days.label}"
        ranked = "time heard" if self.by == "time" else "plays"
        more = [", first heard then"] if self.new_only else []
        more += [f", not heard since {self.not_since}"] if self.not_since is not None else []
        return f"{told}, by {ranked}{''.join(more)}."


@dataclass(frozen=True)
class HeardRow:
    """`track_id` is the number of a recording, where those are counted."""

    track_id: int
    counted_plays: int


@dataclass(frozen=True)
class ListedTrackRow:
    track_id: int
    name: str | None
    artist_name: str | None


def top_statement(wanted: PlayedList, *, today: date) -> tuple[bytes, Mapping[str, Any]]:
    """What was heard most, most first; see HeardRow."""
    # A year that has not ended is read as the days that it has.
    last = min(wanted.days.last, today.replace(month=12, day=31))
    is_narrowed = wanted.new_only or wanted.not_since is not None
    values = {
        **range_values(wanted.days.first, last),
        **top_order(wanted.entity, wanted.by).values(FIRST_PAGE),
        "seen": 0,
        "limit": _LOOKED_THROUGH if is_narrowed else wanted.limit,
    }
    return load_sql("top_of_range", entity=wanted.entity, by=wanted.by), values


def tracks_statement(wanted: PlayedList, heard: Sequence[HeardRow], zone: tzinfo) -> tuple[bytes, Mapping[str, Any]]:
    """The tracks that stand for these, in their order; days begin in `zone`. What was only begun is not on the list."""
    values = {
        "ids": [row.track_id for row in heard if row.counted_plays],
        "limit": wanted.limit,
        "first_from": moment(wanted.days.first, zone) if wanted.new_only else BEGINNING,
        "last_before": moment(wanted.not_since, zone) if wanted.not_since is not None else END,
    }
    return load_sql("tracks_for_list", entity=wanted.entity), values


async def tracks_for_list(marts: Marts, wanted: PlayedList, *, today: date, zone: tzinfo) -> list[ListedTrackRow]:
    """In order; none when nothing was heard that fits."""
    sql, values = top_statement(wanted, today=today)
    sql, values = tracks_statement(wanted, await marts.fetch(HeardRow, sql, **values), zone)
    return await marts.fetch(ListedTrackRow, sql, **values)
