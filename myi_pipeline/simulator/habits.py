"""When the listener listens: hours, silent days, holidays, nights of a clock change. The daily quotas add up exactly to
the number of plays in the spec.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from myi_pipeline.simulator.spec import ArchiveSpec

UNIX_DAY = 86_400
MEAN_SESSION = 14

# Sessions by local hour: quiet nights, a commute, lunch, long evenings.
_HOUR_WEIGHTS = bytes((2, 1, 1, 1, 1, 2, 6, 12, 11, 7, 6, 6, 8, 7, 6, 6, 8, 12, 12, 11, 12, 12, 9, 5))


def day_start(day: date, zone: ZoneInfo) -> int:
    """The start of a local day, in unix seconds."""
    return int(datetime.combine(day, time(), zone).timestamp())


def clock_change(day: date, zone: ZoneInfo) -> int | None:
    """When the zone's offset changes during a local day, in unix seconds; None if it does not."""
    before, after = day_start(day, zone), day_start(day + timedelta(days=1), zone)
    if after - before == UNIX_DAY:
        return None
    offset = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def _holidays(spec: ArchiveSpec, rng: Random) -> set[date]:
    days: set[date] = set()
    for year in range(spec.first_day.year, spec.last_day.year + 1):
        for _ in range(spec.holidays_per_year):
            first = date(year, 1, 1) + timedelta(days=rng.randrange(350))
            days.update(first + timedelta(days=number) for number in range(rng.randrange(7, 15)))
    return days


def daily_quotas(spec: ArchiveSpec) -> list[int]:
    """Plays per day, given habits, silent days and holidays; a day with a clock change is never silent."""
    rng = Random(f"days {spec.seed} {spec.listener}")
    zone = ZoneInfo(spec.time_zone)
    holidays = _holidays(spec, rng)
    count = (spec.last_day - spec.first_day).days + 1
    weights: list[float] = []
    for number in range(count):
        day = spec.first_day + timedelta(days=number)
        weight = (1.25 if day.weekday() >= 5 else 1.0) * (0.35 + rng.random() * 1.3)
        if rng.random() < spec.silent_days or day in holidays:
            weight = 0.0
        if clock_change(day, zone) is not None:
            weight = 2.0
        weights.append(weight)
    weights[0] = weights[0] or 1.0
    if count > 1:
        weights[-1] = weights[-1] or 1.0
    total, reached, given, quotas = sum(weights), 0.0, 0, []
    for weight in weights:
        reached += weight
        upto = round(spec.plays * reached / total)
        quotas.append(upto - given)
        given = upto
    return quotas


def hour_wheel() -> tuple[int, ...]:
    return tuple(hour for hour, weight in enumerate(_HOUR_WEIGHTS) for _ in range(weight))
