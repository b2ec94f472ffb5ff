"""Rules for share reports: addresses, titles, expiry, and what can be chosen."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from string import ascii_letters, digits
from typing import Literal, get_args

from myi_pipeline.errors import BadInput

Kind = Literal["year", "month", "range", "top", "story"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Part = Literal["figures", "artists", "tracks", "albums", "over_time", "clock"]
PARTS: tuple[Part, ...] = get_args(Part)
LONGEST_TITLE = 100
# Nobody can keep track of more links.
MOST_SHARES = 200
# Leaves room for time zone conversions.
_LATEST_YEAR = 9998
_ID_LENGTH, _ALPHABET = 12, digits + ascii_letters
_ID = re.compile(r"[0-9A-Za-z]{12}\Z", re.ASCII)


def new_share_id() -> str:
    """71 random bits, as 12 characters that need no quoting anywhere."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def is_share_id(text: str) -> bool:
    """Whether a text has the form of an id; others are not looked up."""
    return _ID.match(text) is not None


def checked_title(text: str) -> str:
    """The title with normalised spaces. Raises BadInput."""
    title = " ".join(text.split())
    if not title or len(title) > LONGEST_TITLE or not title.isprintable():
        raise BadInput(f"a title has 1 to {LONGEST_TITLE} printable characters", place="title", rule="printable")
    return title


def checked_expiry(at: datetime | None, *, now: datetime) -> datetime | None:
    """Returns `at`; None: never expires. Raises BadInput for a time in the past."""
    if at is None:
        return None
    if at <= now:
        raise BadInput("the expiry date has passed", place="expires_at", rule="later than now")
    if at.year > _LATEST_YEAR:
        raise BadInput("the expiry date must be before the year 9999", place="expires_at", rule="a date to come")
    return at


def usual_expiry(*, days: int, now: datetime) -> datetime:
    """The default expiry of a report."""
    return now + timedelta(days=days)
