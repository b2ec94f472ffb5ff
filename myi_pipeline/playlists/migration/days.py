"""Tells people how many days a migration takes if the service limits look-ups or writes per day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


class Days(Protocol):
    """`ends_by`: when the migration is done if nothing else uses the quota."""

    @property
    def ends_by(self) -> datetime: ...

    def sentence(self) -> str: ...


class Forecast(Protocol):
    """The days that this many lookups and writes take from now on; None if a daily limit does not matter."""

    def __call__(self, *, lookups: int, writes: int) -> Days | None: ...


@dataclass(frozen=True)
class LookupDays:
    """The days at a service that limits only lookups, over the last 24 hours."""

    lookups: int
    a_day: int
    ends_by: datetime

    def sentence(self) -> str:
        return (
            f"{self.lookups:,} tracks are left to look up, at most {self.a_day:,} a day: until"
            f" {self.ends_by:%Y-%m-%d %H:%M} UTC, or later if names have to be searched for"
        )


def lookup_days(*, lookups: int, a_day: int, now: datetime) -> LookupDays | None:
    """None if one day is enough."""
    if lookups <= a_day or a_day <= 0:
        return None
    return LookupDays(lookups, a_day, now + timedelta(days=-(-lookups // a_day) - 1))
