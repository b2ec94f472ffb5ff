"""What XSPF allows where: elements and how often they may occur, their attributes, and their text.

From the XSPF 1 specification (https://xspf.org/spec, 2008) and its errata on Xiph's wiki. Values of `anyURI` need not
conform to RFC 3986: XML Schema's anyURI accepts almost any text, and players write paths there. Version 0 differs
little: no extensions, at least one track, and dates in ISO 8601.
"""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

NAMESPACE: Final = "http://xspf.org/ns/0/"


class Content(Enum):
    """What an element may contain. `ANY` is foreign content, which is not checked."""

    ELEMENTS = "other elements only"
    TEXT = "text"
    URI = "an address"
    DATE = "a date"
    NUMBER = "a whole number"
    ANY = "anything"


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """The rules for an element in its parent. `once`: at most once; `needs`: the attribute that it must have."""

    content: Content
    once: bool = True
    needs: str | None = None


_TEXT, _URI = Element(content=Content.TEXT), Element(content=Content.URI)
_MANY_URIS = Element(content=Content.URI, once=False)
_LINK = Element(content=Content.URI, once=False, needs="rel")
_META = Element(content=Content.TEXT, once=False, needs="rel")
_EXTENSION = Element(content=Content.ANY, once=False, needs="application")

ROOT: Final = Element(content=Content.ELEMENTS, needs="version")
CHILDREN: Final[dict[str, dict[str, Element]]] = {
    "playlist": {
        "title": _TEXT,
        "creator": _TEXT,
        "annotation": _TEXT,
        "info": _URI,
        "location": _URI,
        "identifier": _URI,
        "image": _URI,
        "date": Element(content=Content.DATE),
        "license": _URI,
        "attribution": Element(content=Content.ELEMENTS),
        "link": _LINK,
        "meta": _META,
        "extension": _EXTENSION,
        "trackList": Element(content=Content.ELEMENTS),
    },
    "attribution": {"location": _MANY_URIS, "identifier": _MANY_URIS},
    "trackList": {"track": Element(content=Content.ELEMENTS, once=False)},
    "track": {
        "location": _MANY_URIS,
        "identifier": _MANY_URIS,
        "title": _TEXT,
        "creator": _TEXT,
        "annotation": _TEXT,
        "info": _URI,
        "image": _URI,
        "album": _TEXT,
        "trackNum": Element(content=Content.NUMBER),
        "duration": Element(content=Content.NUMBER),
        "link": _LINK,
        "meta": _META,
        "extension": _EXTENSION,
    },
}

_DATE: Final = re.compile(
    r"(-?(?:[1-9][0-9]{3,8}|0[0-9]{3}))-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_NUMBER: Final = re.compile(r"\+?([0-9]{1,100})|-(0{1,100})")
_NOT_IN_URI: Final = re.compile(r"[\s<>\"{}|\\^`]|%(?![0-9A-Fa-f]{2})")


def number_of(text: str) -> int | None:
    """XML Schema's nonNegativeInteger; None if the text is not one."""
    found = _NUMBER.fullmatch(text)
    return int(found[1] or found[2]) if found else None


def is_date(text: str) -> bool:
    """Whether the text is an XML Schema 1.0 dateTime."""
    found = _DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month) and year != 0):
        return False
    if not (
        (hour <= 23 and minute <= 59 and second <= 59) or (hour, minute, second, int(found[7] or 0)) == (24, 0, 0, 0)
    ):
        return False
    offset = found[8]
    return offset in (None, "Z") or ((int(offset[1:3]), int(offset[4:])) <= (14, 0) and int(offset[4:]) <= 59)


def _days_in(year: int, month: int) -> int:
    return 29 if month == 2 and calendar.isleap(year) else (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def moment_of_date(text: str) -> datetime | None:
    """The moment of a dateTime, in UTC if it has no offset; None for years that Python does not support."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    offset = found[8] or "Z"
    microsecond = int((found[7] or "0")[:6].ljust(6, "0"))
    try:
        moment = datetime(year, month, day, hour % 24, minute, second, microsecond, tzinfo=UTC)
        if hour == 24:
            moment += timedelta(days=1)
        if offset != "Z":
            ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:]))
            moment = moment - ahead if offset[0] == "+" else moment + ahead
    except (ValueError, OverflowError):
        return None
    return moment


def is_uri(text: str) -> bool:
    """Whether the text contains nothing that is forbidden in a URI (RFC 3986) or IRI (RFC 3987)."""
    return _NOT_IN_URI.search(text) is None
