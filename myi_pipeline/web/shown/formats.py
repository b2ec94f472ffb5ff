"""How numbers, durations and times are shown on a page: the filters of the templates.

Invariant: an unknown figure is never shown as zero.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from myi_pipeline.catalogue.sources import label_of, short_label_of
from myi_pipeline.web.problems import sentence
from myi_pipeline.web.shown.looks import current

UNKNOWN = "–"
_MS_OF_MINUTE = 60_000
_MINUTES_OF_HOUR = 60
_DAYS_OF_MONTH, _DAYS_OF_TWO_MONTHS = 30.44, 61
_URI = re.compile(r"spotify:(track|artist|album|episode|show):([0-9A-Za-z]{1,64})")
# How errors of the HTTP clients begin, and end: "GET /1/user/x: the connection to ListenBrainz failed (ConnectError)".
_REQUEST = re.compile(r"\b(?:GET|HEAD|POST|PUT|PATCH|DELETE) [^\s:]*: ?")
_CLASS = re.compile(r" \([A-Za-z_.]*(?:Error|Exception|Timeout|Closed)\)")
_ONE_NAME = re.compile(r"[A-Za-z_.]*")
_FOR_OPERATORS = re.compile(r"MYI_[A-Z]|`myi |\bmyi [a-z-]+ ")
# Beyond this, minutes are noise.
_ONLY_HOURS_FROM = 100


def _clock_of(zone: str | tzinfo) -> tzinfo:
    return ZoneInfo(zone) if isinstance(zone, str) else zone


def count(value: int | None) -> str:
    """12345 as `12,345`."""
    return UNKNOWN if value is None else f"{value:,}"


def counted(value: int | None, one: str, many: str | None = None) -> str:
    """`1 play`, `12,345 plays`."""
    return f"{count(value)} {one if value == 1 else many or one + 's'}"


def country_name(code: str) -> str:
    """`DE` as `Germany`, by Unicode's CLDR; a code that it does not have as it is."""
    # Few pages have countries.
    from babel import Locale

    return str(Locale("en").territories.get(code.upper(), code))


def heard(ms: int | None) -> str:
    """Milliseconds as `48 s`, `32 min`, `3 h 20 min`, `1,204 h`."""
    if ms is None:
        return UNKNOWN
    if ms < _MS_OF_MINUTE:
        return f"{ms // 1000} s"
    minutes = round(ms / _MS_OF_MINUTE)
    whole, rest = divmod(minutes, _MINUTES_OF_HOUR)
    if whole == 0:
        return f"{minutes} min"
    if whole >= _ONLY_HOURS_FROM:
        # Rounded like the large figures next to it.
        return f"{hours(ms)} h"
    return f"{whole} h {rest} min" if rest else f"{whole} h"


def hours(ms: int | None) -> str:
    """Milliseconds as hours with one decimal below ten: for axes and large figures."""
    if ms is None:
        return UNKNOWN
    value = ms / _MS_OF_MINUTE / _MINUTES_OF_HOUR
    if 0 < value < 0.05:
        return "under 0.1"
    return f"{value:,.1f}" if 0 < value < 10 else f"{value:,.0f}"


def minutes(ms: int | None) -> str:
    """Milliseconds as whole minutes: for axes on which an hour is never reached."""
    if ms is None:
        return UNKNOWN
    value = round(ms / _MS_OF_MINUTE)
    return f"{value:,}" if value or not ms else "under 1"


def track_length(ms: int | None) -> str:
    """A track's length as `3:54`."""
    if ms is None:
        return UNKNOWN
    seconds = round(ms / 1000)
    return f"{seconds // 60}:{seconds % 60:02}"


def day(value: date | None) -> str:
    """`9 March 2024`."""
    return UNKNOWN if value is None else f"{value.day} {value:%B %Y}"


def weekday(value: date) -> str:
    """`Saturday`."""
    return f"{value:%A}"


def month(value: date) -> str:
    """`March 2024`."""
    return f"{value:%B %Y}"


def days(first: date, last: date) -> str:
    """`3–9 March 2024`, `28 March – 3 April 2024`, `30 December 2024 – 5 January 2025`."""
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day(last)}"
    return f"{day(first) if first.year != last.year else f'{first.day} {first:%B}'} – {day(last)}"


def moment(value: datetime | None, zone: str | tzinfo) -> str:
    """`9 March 2024, 21:14` or `9 March 2024, 9:14 PM` in the zone."""
    if value is None:
        return UNKNOWN
    there = value.astimezone(_clock_of(zone))
    return f"{day(there.date())}, {_clock(there.time())}"


def local_day(value: datetime | None, zone: str | tzinfo) -> str:
    """`9 March 2024`: the day of a moment in the zone."""
    return UNKNOWN if value is None else day(value.astimezone(_clock_of(zone)).date())


def last_day(value: datetime, zone: str | tzinfo) -> date:
    """The last day that begins before a moment: something that holds until midnight holds on the day before."""
    return (value.astimezone(UTC) - timedelta(microseconds=1)).astimezone(_clock_of(zone)).date()


def clock_time(value: datetime | None, zone: str | tzinfo) -> str:
    """`21:14` or `9:14 PM` in the zone."""
    return UNKNOWN if value is None else _clock(value.astimezone(_clock_of(zone)).time())


def hour(value: int) -> str:
    """`21:00` or `9 PM`; 24 is midnight again."""
    if not current.get().has_12_hours:
        return f"{value:02}:00"
    return f"{value % 12 or 12}\xa0{'AM' if value % 24 < 12 else 'PM'}"


def _clock(value: time) -> str:
    if not current.get().has_12_hours:
        return f"{value:%H:%M}"
    return f"{value.hour % 12 or 12}:{value:%M}\xa0{'AM' if value.hour < 12 else 'PM'}"


def share(part: int, whole: int) -> str:
    """A share as per cent; a part above zero is never `0 %`."""
    if whole <= 0:
        return UNKNOWN
    value = 100 * part / whole
    return "under 1 %" if 0 < value < 1 else f"{value:.0f} %"


def plain_trouble(text: str) -> str:
    """What went wrong with a service, without the request and the names of classes that logs and programs need."""
    said = _CLASS.sub("", _REQUEST.sub("", text)).strip()
    return "something went wrong here" if is_for_operators(said) or _ONE_NAME.fullmatch(said) else said


def is_for_operators(text: str) -> bool:
    """Whether it names a setting or a command, with which a listener can do nothing."""
    return _FOR_OPERATORS.search(text) is not None


def in_spotify(uri: str | None) -> str | None:
    """Spotify's page for this URI; None for local files and unknown URIs."""
    found = _URI.fullmatch(uri or "")
    return f"https://open.spotify.com/{found[1]}/{found[2]}" if found else None


def in_address(value: datetime) -> str:
    """A moment in UTC as a query value."""
    return quote(value.astimezone(UTC).isoformat().replace("+00:00", "Z"), safe="")


def just_after(value: datetime) -> datetime:
    """The end of a span that contains just this moment: no source is more precise than milliseconds."""
    return value + timedelta(milliseconds=1)


def length_of(days: int) -> str:
    """A number of days as `12 days`, `5 months`, `2 years 3 months`."""
    if days < _DAYS_OF_TWO_MONTHS:
        return counted(days, "day")
    years, months = divmod(round(days / _DAYS_OF_MONTH), 12)
    said = [counted(years, "year")] if years else []
    return " ".join([*said, *([counted(months, "month")] if months else [])])


def initials(name: str | None) -> str:
    """The placeholder for a picture: the initials of at most two words."""
    words = [word for word in (name or "").split() if word[:1].isalnum()]
    # Some letters become two when capitalised.
    return "".join(word[0].upper()[0] for word in words[:2]) or "♪"


FILTERS: dict[str, Any] = {
    "count": count,
    "counted": counted,
    "heard": heard,
    "hours": hours,
    "minutes": minutes,
    "track_length": track_length,
    "day": day,
    "between": lambda span: days(*span),
    "weekday": weekday,
    "month": month,
    "moment": moment,
    "local_day": local_day,
    "last_day": last_day,
    "clock_time": clock_time,
    "hour": hour,
    "share": share,
    "in_spotify": in_spotify,
    "in_address": in_address,
    "just_after": just_after,
    "initials": initials,
    "sentence": sentence,
    "plain_trouble": plain_trouble,
    "source_label": label_of,
    "source_short": short_label_of,
    "length_of": length_of,
}
