"""Values in the address and forms of a page, where an empty field counts as missing.

Each is either valid or answered with 404 or 422 and a sentence that says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.requests import Request

from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.cursors import LONGEST, MOST_INT
from myi_pipeline.web.reads.spans import FIRST_DAY, LAST_DAY

LONGEST_TEXT = 100
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
_NUMBER = re.compile(r"[1-9]\d{0,17}\Z", re.ASCII)
_ID = re.compile(r"[1-9]\d{0,9}\Z", re.ASCII)
_YEAR = re.compile(r"[1-9]\d{3}\Z", re.ASCII)
_MOST_FIELDS = 20
_FIRST, _LAST = date(1990, 1, 1), date(2200, 12, 31)

Choice = TypeVar("Choice", bound=str)


def text_of(request: Request, name: str) -> str:
    """The typed text, with single spaces and without invisible characters."""
    given = request.query_params.get(name, "")
    seen = "".join(character if character.isprintable() else " " for character in given)
    text = " ".join(seen.split())
    if len(text) > LONGEST_TEXT:
        raise wrong(f"A search has at most {LONGEST_TEXT} characters.")
    return text


def day_of(request: Request, name: str) -> date | None:
    given = request.query_params.get(name, "").strip()
    if not given:
        return None
    try:
        day = date.fromisoformat(given) if _DATE.match(given) else None
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise wrong(f"The day in “{name}” must be a date such as 2024-03-09.")
    return day


def days_of(request: Request) -> tuple[date | None, date | None]:
    """The values of `from` and `to`, in this order."""
    first, last = day_of(request, "from"), day_of(request, "to")
    if first is not None and last is not None and first > last:
        raise wrong("The first day must not be after the last.")
    return first, last


def cursor_of(request: Request) -> str | None:
    given = request.query_params.get("cursor", "")
    if len(given) > LONGEST:
        raise wrong("This address is not a page of this list.")
    return given or None


def number_in_path(text: str) -> int:
    """An id that may exist. Raises Problem 404 for anything that cannot be one."""
    if not _NUMBER.match(text):
        raise Problem(404, "not-found", "There is nothing here.")
    return int(text)


def choice_of(request: Request, name: str, choices: Sequence[Choice]) -> Choice | None:
    """One of `choices`, or None if nothing is chosen. Raises Problem 422."""
    given = request.query_params.get(name, "").strip()
    for each in choices:
        if given == each:
            return each
    if given:
        raise wrong(f"“{name}” must be one of {', '.join(choices)}.")
    return None


def id_in_path(text: str, *, what: str) -> int:
    """The id of a track, artist or album. Raises Problem 404."""
    if not _ID.match(text) or int(text) > MOST_INT:
        raise missing(f"There is no such {what}.")
    return int(text)


def year_in_path(text: str) -> int:
    """A year in the calendar. Raises Problem 404."""
    if not _YEAR.match(text) or int(text) >= LAST_DAY.year:
        raise missing("There is no such year.")
    return int(text)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a small form, each once, without empty ones."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        fields = parse_qs(body, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise wrong("This form is not from this site.") from None
    # Postgres cannot store NUL.
    return {name: values[0].replace("\0", "").strip() for name, values in fields.items()}


def day_in_form(given: str, name: str) -> date:
    """A day that plays can have. Raises Problem 422."""
    try:
        day = date.fromisoformat(given) if _DATE.match(given) else None
    except ValueError:
        day = None
    if day is None or not _FIRST <= day <= _LAST:
        raise wrong(f"The day in “{name}” must be a date such as 2024-03-09.")
    return day


def moment_in_form(given: str, name: str) -> datetime:
    """A moment with its offset that plays can have. Raises Problem 422."""
    value: datetime | None = None
    with suppress(ValueError):
        value = datetime.fromisoformat(given)
    if value is None or value.tzinfo is None or not _FIRST < value.date() < _LAST:
        raise wrong(f"The moment in “{name}” must be one such as 2024-03-09T21:14:07Z.")
    return value


def wrong(detail: str) -> Problem:
    return Problem(422, "invalid-request", detail)


def missing(detail: str) -> Problem:
    return Problem(404, "not-found", detail)
