"""What is known, what may be missing, and the login at Spotify by which plays are polled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from myi_pipeline.providers.login_terms import days_left, ends_at
from myi_pipeline.web.reads.database import Marts, Pools, load_sql


@dataclass(frozen=True)
class GapRow:
    """A span in which plays of music may be missing. Not evident: polling covers it, and only what was heard offline
    can be missing."""

    gap_start: datetime
    gap_end: datetime | None
    reason: str
    is_evident: bool

    def in_zone(self, zone: ZoneInfo) -> GapRow:
        """The same span by the clocks of a zone."""
        end = self.gap_end.astimezone(zone) if self.gap_end is not None else None
        return replace(self, gap_start=self.gap_start.astimezone(zone), gap_end=end)

    def days_within(self, *, first: date, last: date, zone: ZoneInfo) -> tuple[date, date] | None:
        """Its first and last day within these, in the zone; None when it touches none of them."""
        begins = self.gap_start.astimezone(zone).date()
        ends = last if self.gap_end is None else self.gap_end.astimezone(zone).date()
        return (max(begins, first), min(ends, last)) if begins <= last and ends >= first else None


@dataclass(frozen=True)
class CoveredSpanRow:
    """`kind` is music, podcasts, audiobooks or video."""

    kind: str
    covered_from: datetime
    covered_to: datetime


@dataclass(frozen=True)
class LoginRow:
    status: str
    authorised_at: datetime
    ends_at: datetime
    days_left: int
    refreshed_at: datetime


async def coverage_gaps(marts: Marts) -> list[GapRow]:
    """The oldest first."""
    return await marts.fetch(GapRow, load_sql("coverage_gaps"))


async def evident_gaps(marts: Marts) -> list[GapRow]:
    return [gap for gap in await coverage_gaps(marts) if gap.is_evident]


async def covered_spans(marts: Marts) -> list[CoveredSpanRow]:
    """From when to when archives hold everything of a kind, music first."""
    return await marts.fetch(CoveredSpanRow, load_sql("covered_spans"))


# A day or two is what a poll brings, all the time; more is an archive.
_MANY_DAYS = 8


async def is_being_counted(pools: Pools, user_id: int) -> bool:
    """Whether an archive's plays are still on their way to the marts. Raises DatabaseGone."""
    found = await pools.ask_access(load_sql("access/days_to_count"), {"user_id": user_id, "at_most": _MANY_DAYS})
    return found is not None and found[0] == _MANY_DAYS


async def find_login(pools: Pools, user_id: int) -> LoginRow | None:
    """None for a user who only uploads. Raises DatabaseGone."""
    found = await pools.ask_access(load_sql("access/show_login"), {"user_id": user_id})
    if found is None:
        return None
    status, is_paused, authorised_at, refreshed_at = found
    return LoginRow(
        status="paused" if is_paused and status == "active" else status,
        authorised_at=authorised_at,
        ends_at=ends_at(authorised_at),
        days_left=days_left(authorised_at, datetime.now(UTC)),
        refreshed_at=refreshed_at,
    )
