"""What is known, what may be missing, and the login at Spotify by which plays are polled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from myi_pipeline.providers.login_terms import days_left, ends_at
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.pools import Pools
from myi_pipeline.web.reads.spans import moment
from myi_pipeline.web.reads.sql_files import load_sql

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class GapRow:
    """A span in which plays of music may be missing. Not evident: polling covers it, and only what was heard offline
    can be missing."""

    gap_start: datetime
    gap_end: datetime | None
    reason: str
    is_evident: bool

    def in_zone(self, zone: tzinfo) -> GapRow:
        """The same span by the clocks of a zone."""
        end = self.gap_end.astimezone(zone) if self.gap_end is not None else None
        return replace(self, gap_start=self.gap_start.astimezone(zone), gap_end=end)

    def first_day(self, zone: tzinfo) -> date:
        """The first day in the zone of which something may be missing. What has been missing since a day goes on after
        it: history is complete up to that day."""
        begins = self.gap_start.astimezone(zone).date()
        return begins if self.gap_end is not None else begins + timedelta(days=1)

    def days_within(self, *, first: date, last: date, zone: tzinfo) -> tuple[date, date] | None:
        """Its first and last day within these, in the zone; None if it touches none of them."""
        begins = self.first_day(zone)
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
    """Oldest first."""
    return await marts.fetch(GapRow, load_sql("coverage_gaps"))


async def evident_gaps(marts: Marts) -> list[GapRow]:
    return [gap for gap in await coverage_gaps(marts) if gap.is_evident]


# What of an open gap its listener can mend, in a sentence.
_REMEDIES = {
    "login_ended": "The login at Spotify has ended: connect it again, so that no more plays are missed.",
    "paused": "Polling is paused: plays are missed until it is resumed.",
    "missing_files": "Some files of an archive were not uploaded.",
}


@dataclass(frozen=True)
class Completeness:
    """`complete_to` is the day since which something has been missing, else the newest day with a play; `gaps` lie
    before it; `remedy` is what can be done now."""

    complete_to: date | None
    gaps: int
    remedy: str | None


def completeness(gaps: Sequence[GapRow], *, last_heard: date | None, zone: tzinfo) -> Completeness:
    """What the gaps of a user, oldest first, come to."""
    evident = [gap for gap in gaps if gap.is_evident]
    goes_on = [gap for gap in evident if gap.gap_end is None]
    since = min((gap.gap_start.astimezone(zone).date() for gap in goes_on), default=None)
    reasons = [gap.reason for gap in evident if gap.gap_end is None or gap.reason == "missing_files"]
    remedy = next((_REMEDIES[reason] for reason in reasons if reason in _REMEDIES), None)
    return Completeness(since or last_heard, len(evident) - len(goes_on), remedy)


def completeness_within(gaps: Sequence[GapRow], *, first: date, last: date, zone: tzinfo) -> Completeness:
    """The same of some days: `complete_to` is known only where something has been missing since."""
    touching = [gap for gap in gaps if gap.days_within(first=first, last=last, zone=zone)]
    return completeness(touching, last_heard=None, zone=zone)


async def covered_spans(marts: Marts) -> list[CoveredSpanRow]:
    """From when to when archives hold everything of a kind, music first."""
    return await marts.fetch(CoveredSpanRow, load_sql("covered_spans"))


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


def _days_known(gaps: Sequence[GapRow], begins: datetime, ends: datetime) -> tuple[int, int]:
    """The number of known days in a span, and of all its days."""
    asked, missing = ends - begins, timedelta()
    for gap in gaps:
        if gap.is_evident:
            missing += max(timedelta(), min(gap.gap_end or ends, ends) - max(gap.gap_start, begins))
    return max(0, round((asked - missing) / _ONE_DAY)), round(asked / _ONE_DAY)


@dataclass(frozen=True)
class KnownPart:
    """How much of a year or a month is known: `known_days` of the `asked_days` since it began or, if the history began
    later, on `since`."""

    known_days: int
    asked_days: int
    since: date | None

    @property
    def is_whole(self) -> bool:
        return self.since is None and self.known_days == self.asked_days


def known_part(gaps: Sequence[GapRow], *, first: date, last: date, since: date | None, zone: tzinfo) -> KnownPart:
    """What is known of the days from `first` to `last`; of a history that begins among them, from `since` on."""
    begins, ends = moment(since or first, zone), moment(last, zone, is_end=True)
    whole_days = [gap if gap.gap_end else replace(gap, gap_start=moment(gap.first_day(zone), zone)) for gap in gaps]
    return KnownPart(*_days_known(whole_days, begins, ends), since)
