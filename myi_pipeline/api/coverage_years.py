"""Years as bars: what is known, what is not.

Belongs here: which part of a year's bar is what. Not here: how it is drawn (templates/coverage.html). Invariant: a gap
is never too short to be seen, and its label tells from when to when it is.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from myi_pipeline.api.gap_words import WORDS, is_evident
from myi_pipeline.api.listing import Row

# A bar is as wide as its year has days, at least this much of it for a gap of minutes.
_LEAST_DAYS = 1.5
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Part:
    """From day `x` of the year, `width` days; `kind` is known, gap or polled."""

    x: float
    width: float
    kind: str
    label: str


@dataclass(frozen=True)
class YearBar:
    """`days` is how wide the bar is; `known_days` of the `asked_days` that lie in it are known."""

    year: int
    days: int
    parts: Sequence[Part]
    known_days: int
    asked_days: int


def years_of(gaps: Sequence[Row], *, first: datetime, now: datetime) -> list[YearBar]:
    """The years from the first play to now, the newest first; `gaps` as the mart has them."""
    return [_bar(year, gaps, first, now) for year in range(now.year, first.year - 1, -1)]


def _bar(year: int, gaps: Sequence[Row], first: datetime, now: datetime) -> YearBar:
    begins, ends = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    begins_known, ends_known = max(begins, first), min(ends, now)
    days = 366 if isleap(year) else 365

    def part(start: datetime, end: datetime, kind: str, label: str) -> Part:
        width = max((end - start) / _DAY, _LEAST_DAYS)
        return Part(min((start - begins) / _DAY, days - width), width, kind, label)

    parts = [part(begins_known, ends_known, "known", f"{year}: known")]
    missing = timedelta()
    for gap in gaps:
        start, end = max(gap["gap_start"], begins_known), min(gap["gap_end"] or now, ends_known)
        if start >= end:
            continue
        evident = is_evident(gap)
        missing += end - start if evident else timedelta()
        words = WORDS.get(gap["reason"])
        said = f"{words.title if words else gap['reason']}: {_date(gap['gap_start'])} to {_date(gap['gap_end'])}"
        parts.append(part(start, end, "gap" if evident else "polled", said))
    asked = ends_known - begins_known
    return YearBar(year, days, parts, max(0, round((asked - missing) / _DAY)), round(asked / _DAY))


def _date(value: datetime | None) -> str:
    return "now" if value is None else f"{value.day} {value:%B %Y}"
