"""Query parameters: their types, checks and schemas.

Invariant: a value is accepted exactly when its schema allows it, except for rules that no schema can express (an
unknown time zone, a cursor of another list, a span that ends before it begins). Those are answered with 422 and the
parameter's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator, WithJsonSchema

from myi_pipeline.web.problems import one_of
from myi_pipeline.web.reads.cursors import LONGEST, MOST_INT
from myi_pipeline.web.reads.spans import BEGINNING, END, FIRST_DAY, LAST_DAY, Period, moment, zone_of
from myi_pipeline.web.reads.top import Listed
from myi_pipeline.web.security.identity import CurrentUser

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})\Z", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"-?\d{1,12}\Z", re.ASCII)
_MOST_ITEMS = 500
LONGEST_TEXT = 100
_CURSOR = r"^[A-Za-z0-9_-]+$"
_TEXT = r"^[^\u0000-\u001f\u007f]+$"


def _number(first: int, last: int) -> Callable[[object], object]:
    def check(value: object) -> object:
        # int() would also accept " 1", "1.0" and "1_0".
        if isinstance(value, str):
            if not _NUMBER.match(value) or not first <= int(value) <= last:
                raise ValueError(f"must be a whole number from {first} to {last}")
            return int(value)
        return value

    return check


def _choice(choices: type[StrEnum]) -> Callable[[object], object]:
    def check(value: object) -> object:
        if isinstance(value, str) and value not in tuple(choices):
            raise ValueError(one_of(list(choices), value))
        return choices(value) if isinstance(value, str) else value

    return check


def _cursor(value: object) -> object:
    if isinstance(value, str) and (len(value) > LONGEST or not re.fullmatch(_CURSOR[1:-1], value)):
        raise ValueError("is not a valid cursor")
    return value


def _text(value: object) -> object:
    if isinstance(value, str) and not (len(value) <= LONGEST_TEXT and re.fullmatch(_TEXT[1:-1], value)):
        raise ValueError(f"must be a text of 1 to {LONGEST_TEXT} characters without control characters")
    return value


def _day(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _DATE.match(value):
        raise ValueError("must be a date such as 2024-03-09")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a day in the calendar") from None
    if not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError("is outside the supported calendar")
    return day


def whole_number(value: object) -> object:
    """Python counts true as 1 and takes "1" for a whole number; JSON Schema takes neither."""
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


def _day_or_null(value: object) -> object:
    if value is None or isinstance(value, str):
        return _day(value)
    raise ValueError("must be a date such as 2024-03-09")


def _day_or_moment(value: object) -> object:
    if not isinstance(value, str) or _DATE.match(value):
        return _day(value)
    if not _MOMENT.match(value):
        raise ValueError("must be a date such as 2024-03-09 or a time such as 2024-03-09T21:14:07Z")
    try:
        at = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a valid time") from None
    return min(max(at, BEGINNING), END)


def _moment(value: object) -> object:
    if value is None or (isinstance(value, str) and _MOMENT.match(value)):
        return _day_or_moment(value)
    raise ValueError("must be a time such as 2024-03-09T21:14:07Z")


def _zone(value: object) -> object:
    return zone_of(value) if isinstance(value, str) else value


_DATE_SCHEMA = {"type": "string", "format": "date", "examples": ["2024-03-09"]}
Day = Annotated[Any, BeforeValidator(_day), WithJsonSchema(_DATE_SCHEMA)]
DayOrMoment = Annotated[
    Any,
    BeforeValidator(_day_or_moment),
    WithJsonSchema(
        {"anyOf": [_DATE_SCHEMA, {"type": "string", "format": "date-time", "examples": ["2024-03-09T21:14:07Z"]}]}
    ),
]
# Days and times in the body of a request.
BodyDay = Annotated[
    Any,
    BeforeValidator(_day_or_null),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}),
]
Moment = Annotated[
    datetime | None,
    BeforeValidator(_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}),
]
# `Any`, so that optional fields are not described as nullable.
Id = Annotated[
    Any,
    BeforeValidator(_number(1, MOST_INT)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_INT, "examples": [271]}),
]
ListedOf = Annotated[
    Any,
    BeforeValidator(_choice(Listed)),
    WithJsonSchema({"type": "string", "enum": list(Listed), "examples": ["recording"]}),
]
PeriodOf = Annotated[
    Any,
    BeforeValidator(_choice(Period)),
    WithJsonSchema({"type": "string", "enum": list(Period), "examples": ["month"]}),
]
Text = Annotated[
    Any,
    BeforeValidator(_text),
    WithJsonSchema(
        {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT, "pattern": _TEXT, "examples": ["bjork"]}
    ),
]
Limit = Annotated[
    Any,
    BeforeValidator(_number(1, _MOST_ITEMS)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": _MOST_ITEMS, "examples": [50]}),
]
_Cursor = Annotated[
    Any, BeforeValidator(_cursor), WithJsonSchema({"type": "string", "pattern": _CURSOR, "maxLength": LONGEST})
]
_Zone = Annotated[
    Any,
    BeforeValidator(_zone),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
            "maxLength": 64,
            "examples": ["Europe/Berlin"],
        }
    ),
]


COUNTED_BY = (
    "`recording` counts a song once, whichever of its tracks was heard, and uses the id of one of them."
    " `track` counts each track separately."
)


def wrong(place: str, message: str) -> RequestValidationError:
    """The error for a rule that no schema can express."""
    return RequestValidationError([{"loc": ("query", place), "msg": message, "type": "value_error"}])


@dataclass(frozen=True)
class Page:
    """The page of a list that a request asks for, and the maximum number of items."""

    limit: int
    cursor: str | None


async def _page(
    limit: Annotated[Limit, Query(description="Maximum number of items on the page.")] = 50,
    cursor: Annotated[
        _Cursor, Query(description="Where the page begins: `next` of the previous page, with the same filters.")
    ] = None,
) -> Page:
    return Page(limit, cursor)


@dataclass(frozen=True)
class Window:
    """A span of time, its end excluded; times in the answer are shown in `zone`, or in UTC if it is None."""

    from_at: datetime
    to_at: datetime
    zone: ZoneInfo | None

    @property
    def values(self) -> dict[str, datetime]:
        return {"from_at": self.from_at, "to_at": self.to_at}


_FROM = "From this day or time on; days begin in `time_zone`."
_TO = "Up to the end of this day, or up to but not including this time."


async def _window(
    visitor: CurrentUser,
    first: Annotated[DayOrMoment, Query(alias="from", description=_FROM)] = None,
    last: Annotated[DayOrMoment, Query(alias="to", description=_TO)] = None,
    time_zone: Annotated[
        _Zone,
        Query(
            description="IANA zone of days and times; by default, days begin in your own zone and times are UTC.",
        ),
    ] = None,
) -> Window:
    zone = time_zone or visitor.zones
    from_at = BEGINNING if first is None else moment(first, zone)
    to_at = END if last is None else moment(last, zone, is_end=True)
    # A span of days that ends one day before it begins would be empty, too.
    if from_at > to_at or (from_at == to_at and not isinstance(last, datetime)):
        raise wrong("from", "must not be after 'to'")
    return Window(from_at, to_at, time_zone)


@dataclass(frozen=True)
class Days:
    """A span of local dates, both ends included; None if the request leaves an end open."""

    first: date | None
    last: date | None

    @property
    def is_given(self) -> bool:
        return self.first is not None or self.last is not None

    @property
    def values(self) -> dict[str, date]:
        return {"first_day": self.first or FIRST_DAY, "last_day": self.last or LAST_DAY}


async def _days(
    first: Annotated[Day, Query(alias="from", description="The first day, in your time zone.")] = None,
    last: Annotated[Day, Query(alias="to", description="The last day, in your time zone.")] = None,
) -> Days:
    if first is not None and last is not None and first > last:
        raise wrong("from", "must not be after 'to'")
    return Days(first, last)


PageOf = Annotated[Page, Depends(_page)]
WindowOf = Annotated[Window, Depends(_window)]
DaysOf = Annotated[Days, Depends(_days)]


def no_truth(value: object) -> object:
    """Python counts true as 1; JSON Schema does not."""
    if isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value
