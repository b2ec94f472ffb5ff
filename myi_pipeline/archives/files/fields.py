"""Single values of a row, checked and normalised, and counters for rows besides their plays.

What leaves this module fits Postgres: text without NUL or lone surrogates, numbers in range, times in UTC.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from myi_pipeline.archives.files.json_rows import TooDeep
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.catalogue.row_rules import ONE_DAY, BadRow, storable_text
from myi_pipeline.catalogue.sources import TRAITS

MAX_MS_PLAYED: Final = 2_147_483_647
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Offline times are milliseconds in old files and seconds in new ones, mixed within one export. As seconds, this number
# is the year 5138; as milliseconds, it is 1973: no real time can be on the wrong side.
_MILLISECONDS_FROM: Final = 100_000_000_000
_TIMESTAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?([.,][0-9]{1,9})? ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)


_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
# No number in a row is longer, and Python refuses to print an integer of some thousand digits.
_MAX_DIGITS: Final = 40


@dataclass(frozen=True, slots=True)
class NoRow:
    """Represents something in a text file that is not a row: why it is not one, and its text."""

    reason: str
    detail: str
    found: object


def not_an_object(row: object) -> BadRow:
    """The error for a row that is not a JSON object, or was nested too deeply to be read as one."""
    if isinstance(row, NoRow):
        return BadRow(row.reason, row.detail)
    if isinstance(row, TooDeep):
        return BadRow("nested", "The row is nested too deeply.")
    return BadRow("not_an_object", f"A row must be an object, not {type_name(row)}.")


def clean_text(value: object, *, key: str, max_chars: int) -> str | None:
    """Text that Postgres can store; "" and null are None, and a title that is a number ("1989") may come as one.

    Raises BadRow for other types and for text that is too long.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < _MILLISECONDS_FROM else value
    if not isinstance(value, str):
        raise BadRow("bad_type", f"{key} must be text or null, not {type_name(value)}.")
    if len(value) > max_chars:
        raise BadRow("text_too_long", f"{key} has {len(value):,} characters; at most {max_chars:,} are allowed.")
    return storable_text(value) or None


def parse_timestamp(value: object, *, key: str) -> datetime:
    """An aware UTC time from ISO 8601, with or without seconds, fraction and offset; without an offset, it is UTC."""
    if type(value) is str and len(value) == 20 and value[7::3] == "-T::Z":
        # Nearly all times, at a fifth of the cost: 2020-05-17T08:09:10Z.
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass
    if value is None:
        raise BadRow("missing_timestamp", f"{key} is missing.")
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) and len(value) < 60 else None
    if found is None:
        raise BadRow("bad_timestamp", f"{key} must be a time such as 2024-01-31T23:59:59Z.")
    day, minute, second, fraction, offset = found.groups()
    text = f"{day}T{minute}{second or ':00'}{(fraction or '').replace(',', '.')[:7]}"
    try:
        moment = datetime.fromisoformat(text + ("+00:00" if offset in (None, "Z", "UTC") else offset))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadRow("bad_timestamp", f"{key} is not a time that exists.") from None


def parse_ms_played(value: object, *, key: str) -> int | None:
    """Whole milliseconds from any form of number, or None if the source does not say. Raises BadRow."""
    if type(value) is int and 0 <= value <= MAX_MS_PLAYED:
        return value
    if value is None:
        return None
    number = _number(value)
    # Compared before it is converted: int(Decimal("1e999999")) would run for hours.
    if number is None or not 0 <= number <= MAX_MS_PLAYED:
        raise BadRow("bad_ms_played", f"{key} must be a number of milliseconds from 0 to {MAX_MS_PLAYED:,}.")
    return round(number)


def parse_flag(value: object, *, key: str) -> bool | None:
    """A truth value, also as text or as 0 and 1. Raises BadRow for anything else."""
    if value is None or isinstance(value, bool):
        return value
    flag = _FLAGS.get(value.strip().casefold() if isinstance(value, str) else str(value)[:10])
    if flag is None:
        raise BadRow("bad_type", f"{key} must be true, false or null.")
    return flag


def parse_offline_at(value: object, *, key: str, played_at: datetime) -> datetime | None:
    """When an offline play began. 0 and implausible times (before 2006, a day or more after the play) are None."""
    if value is None or (type(value) is int and value == 0):
        return None
    number = value if type(value) is int else _number(value)
    if number is None:
        raise BadRow("bad_type", f"{key} must be a number or null, not {type_name(value)}.")
    if not 0 < number < 10**15:
        return None
    try:
        if number >= _MILLISECONDS_FROM:
            moment = _EPOCH + timedelta(milliseconds=int(number))
        else:
            moment = _EPOCH + timedelta(seconds=int(number))
    except OverflowError:
        return None
    return moment if TRAITS[Source.EXTENDED_HISTORY].earliest <= moment <= played_at + ONE_DAY else None


def _number(value: object) -> Decimal | None:
    """The finite number that a value is, or spells."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str) or len(str(value)) > _MAX_DIGITS:
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def type_name(value: object) -> str:
    """The JSON name of a value's type, for people."""
    names = {bool: "a truth value", str: "text", dict: "an object", list: "a list", type(None): "null"}
    return names.get(type(value), "a number")


OTHER: Final = "(other)"
_MAX_KEY_CHARS: Final = 100
_MAX_USERNAMES: Final = 100


class Tally:
    """`unknown_keys` counts rows by key: all keys beyond `max_keys` under OTHER, unreadable values under `KEY
    (unreadable)`. `account_hashes` are keyed hashes."""

    def __init__(self, *, hash_account: Callable[[str], bytes], max_keys: int) -> None:
        self.unknown_keys: Counter[str] = Counter()
        self.account_hashes: set[bytes] = set()
        self._usernames: set[str] = set()
        self._hash = hash_account
        self._max_keys = max_keys

    def count_unknown(self, keys: Iterable[object]) -> None:
        """Count one row's unknown keys."""
        for key in keys:
            name = str(key)[:_MAX_KEY_CHARS].encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
            if name not in self.unknown_keys and len(self.unknown_keys) >= self._max_keys:
                name = OTHER
            self.unknown_keys[name] += 1

    def count_unreadable(self, key: str) -> None:
        """Count one row that has an unreadable value under a known key and is used without it."""
        self.count_unknown([f"{key} (unreadable)"])

    def note_username(self, username: object) -> None:
        """Hash a user name that is new here; other types and empty text are dropped."""
        if not isinstance(username, str) or not username or username in self._usernames:
            return
        if len(self._usernames) < _MAX_USERNAMES:
            self._usernames.add(username)
            self.account_hashes.add(self._hash(username.encode("utf-8", "replace").decode()[:1000]))
