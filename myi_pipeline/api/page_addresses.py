"""Which track, artist, album, year or list an address names.

Belongs here: values that are one of a few, or a number of something. Not here: dates and texts (page_queries).
Invariant: what names nothing is answered 404 or 422 with a sentence, whatever it is; it never reaches a statement.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from starlette.requests import Request

from myi_pipeline.api.listing import MOST_INT
from myi_pipeline.api.page_queries import wrong
from myi_pipeline.api.problems import Problem
from myi_pipeline.api.spans import LAST_DAY

_ID = re.compile(r"[1-9]\d{0,9}\Z", re.ASCII)
_YEAR = re.compile(r"[1-9]\d{3}\Z", re.ASCII)

Choice = TypeVar("Choice", bound=str)


def choice_of(request: Request, name: str, choices: Sequence[Choice]) -> Choice | None:
    """One of `choices`, or None when nothing is chosen. Raises Problem 422."""
    given = request.query_params.get(name, "").strip()
    for each in choices:
        if given == each:
            return each
    if given:
        raise wrong(f"“{name}” must be one of {', '.join(choices)}.")
    return None


def id_in_path(text: str, *, what: str) -> int:
    """The number of a track, artist or album. Raises Problem 404."""
    if not _ID.match(text) or int(text) > MOST_INT:
        raise missing(f"There is no such {what}.")
    return int(text)


def year_in_path(text: str) -> int:
    """A year of the calendar. Raises Problem 404."""
    if not _YEAR.match(text) or int(text) >= LAST_DAY.year:
        raise missing("There is no such year.")
    return int(text)


def missing(detail: str) -> Problem:
    return Problem(404, "not-found", detail)
