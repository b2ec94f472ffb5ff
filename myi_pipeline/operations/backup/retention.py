"""Which backups are kept, and when the next one is due. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

# The key shared by backups of one hour, day and so on. Weeks are ISO weeks, so that a new year does not split one.
_PERIODS: Final[Mapping[str, Callable[[datetime], object]]] = {
    "h": lambda at: (at.date(), at.hour),
    "d": lambda at: at.date(),
    "w": lambda at: at.isocalendar()[:2],
    "m": lambda at: (at.year, at.month),
    "y": lambda at: at.year,
}


def kept(made_at: Sequence[datetime], counts: Mapping[str, int]) -> frozenset[datetime]:
    """Of backups made at these moments (UTC), those to keep: the newest of all, and for each unit of `counts` the
    newest of each of the last so many periods that have one.

    Periods without a backup do not count: after the machine was off for a while, the older ones are still there.
    """
    newest_first = sorted(set(made_at), reverse=True)
    keep = set(newest_first[:1])
    for unit, count in counts.items():
        period = _PERIODS[unit]
        seen: set[object] = set()
        for at in newest_first:
            if len(seen) == count:
                break
            if period(at) not in seen:
                seen.add(period(at))
                keep.add(at)
    return frozenset(keep)


# At night, after the daily chores.
_AT_HOUR: Final = 3


def is_due(last: datetime | None, *, every: str, now: datetime) -> bool:
    """Whether it is time for a backup, `last` being when the last good one began (UTC): none was made in this hour,
    since three o'clock, or since three o'clock on Monday. A machine that was off then makes it as soon as it is on.
    """
    begins = now.replace(minute=0, second=0, microsecond=0)
    if every != "hour":
        begins = begins.replace(hour=_AT_HOUR)
        begins -= timedelta(days=begins.weekday() if every == "week" else 0)
        if begins > now:
            begins -= timedelta(days=7 if every == "week" else 1)
    return last is None or last < begins
