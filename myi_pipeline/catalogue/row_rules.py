"""The checks that rows of archives and items of polls share, and what is kept of a row that fails one.

A row that cannot be a play raises BadRow with one of these reason codes, and is quarantined with it:

- `not_an_object`, `nested`: the row is not a JSON object, or is nested too deeply
- `missing_timestamp`, `bad_timestamp`, `too_early`, `in_the_future`: its time
- `bad_ms_played`, `bad_type`, `text_too_long`: a value (archives/files/fields.py and rows.py)
- `now_playing`, `missing_names`: a scrobble that is not over, or does not say what was played
  (archives/files/scrobbles.py)
- `not_json`, `bad_columns`, `bad_text`: a line of a text file that is not a row (archives/files/text_rows.py)
- `bad_item`: an item of a poll that is not what Spotify documents, or a scrobble that does not say what was played
- `too_large`: a submitted listen (submissions/listens.py)

Rows of archives go to ops.quarantine, items of polls to ops.polls.refused. Postgres can store all text that this module
returns: it contains neither NUL nor lone surrogates.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from myi_pipeline.catalogue.plays import QuarantinedRow, Source
from myi_pipeline.catalogue.sources import TRAITS, SourceTraits

ONE_DAY: Final = timedelta(days=1)
# The reason code of a row that may become a play when its time has come.
IN_THE_FUTURE: Final = "in_the_future"
# Never stored, in any kind of row and at any depth; compared without case.
PERSONAL_KEYS: Final = frozenset({"ip_addr", "ip_addr_decrypted", "user_agent_decrypted", "username", "user_name"})
MAX_KEPT_BYTES: Final = 4_096
# A real row takes about a kilobyte; rows larger than this are not kept for later.
_MAX_WHOLE_BYTES: Final = 16_384
_MAX_DEPTH: Final = 3
_MAX_WHOLE_DEPTH: Final = 4
_NOT_STORABLE: Final = re.compile("[\x00\ud800-\udfff]")


class BadRow(Exception):
    """A row cannot be a play: `reason` is a stable code, the message a sentence without values from the row.

    `due_at` is the time of a row whose only fault is to be dated in the future.
    """

    def __init__(self, reason: str, detail: str, *, due_at: datetime | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.due_at = due_at


def latest_believed(now: datetime) -> datetime:
    """The first moment too far in the future to be believed. Clocks may be wrong by up to a day."""
    return now + ONE_DAY


def check_played_at(
    played_at: datetime, *, latest: datetime, key: str, traits: SourceTraits = TRAITS[Source.EXTENDED_HISTORY]
) -> None:
    """Raises BadRow unless traits.earliest <= played_at < latest. `key` is what the source calls the time."""
    if played_at < traits.earliest:
        raise BadRow("too_early", f"{key} is before {traits.why_earliest}.")
    if played_at >= latest:
        raise BadRow(IN_THE_FUTURE, f"{key} is more than a day in the future.", due_at=played_at)


def storable_text(text: str) -> str:
    """The text with each character that Postgres cannot store replaced by U+FFFD."""
    return _NOT_STORABLE.sub("\ufffd", text)


def storable_json(value: object) -> str:
    """JSON that a jsonb column accepts."""
    # ASCII only, so that lone surrogates become escapes. The only other escape that jsonb refuses is NUL.
    text = json.dumps(value, default=str).replace("\\u0000", "\\ufffd")
    return re.sub(r"\\ud[89a-f][0-9a-f]{2}", r"\\ufffd", text)


def quarantined(index: int, row: object, bad: BadRow) -> QuarantinedRow:
    """The row at `index` of its file or page, with the reason for its refusal and what is kept of it: at most
    MAX_KEPT_BYTES of JSON, without personal fields."""
    for max_text, max_items in ((300, 60), (60, 40), (20, 20)):
        kept = _kept(row, max_text=max_text, max_items=max_items, depth=0)
        if len(json.dumps(kept)) <= MAX_KEPT_BYTES:
            break
    else:
        kept = {"omitted": "the row is too large to keep"}
    whole = _whole(row) if bad.due_at is not None else None
    return QuarantinedRow(index, bad.reason, str(bad), kept, bad.due_at if whole is not None else None, whole)


def _kept(value: object, *, max_text: int, max_items: int, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable_text(value[:max_text]) + ("…" if len(value) > max_text else "")
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, dict | list) and depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        pairs = [(str(key), entry) for key, entry in value.items() if str(key).casefold() not in PERSONAL_KEYS]
        return {
            storable_text(key[:max_text]): _kept(entry, max_text=max_text, max_items=max_items, depth=depth + 1)
            for key, entry in pairs[:max_items]
        }
    if isinstance(value, list):
        return [_kept(entry, max_text=max_text, max_items=max_items, depth=depth + 1) for entry in value[:max_items]]
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number"
    # Decimals, and integers beyond 64 bits, become text, which is exact.
    return str(value)[:max_text]


def _whole(row: object) -> dict[str, object] | None:
    """All of a row except its personal fields, so that it can be read again; None if it does not look like a play."""
    if not isinstance(row, dict):
        return None
    try:
        values = {
            storable_text(str(key)): _whole_value(value, depth=0)
            for key, value in row.items()
            if str(key).casefold() not in PERSONAL_KEYS
        }
    except _TooNested:
        return None
    return values if len(json.dumps(values)) <= _MAX_WHOLE_BYTES else None


class _TooNested(Exception):
    """No play is nested so deeply."""


def _whole_value(value: object, *, depth: int) -> object:
    if not isinstance(value, dict | list):
        return _scalar(value)
    # A ListenBrainz listen names its artists four levels down.
    if depth == _MAX_WHOLE_DEPTH:
        raise _TooNested
    if isinstance(value, list):
        return [_whole_value(entry, depth=depth + 1) for entry in value]
    return {
        storable_text(str(key)): _whole_value(entry, depth=depth + 1)
        for key, entry in value.items()
        if str(key).casefold() not in PERSONAL_KEYS
    }


def _scalar(value: object) -> object:
    if isinstance(value, str):
        return storable_text(value)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    # To the reader 1234.0 is a whole number. Any other fraction becomes text, which it refuses just like the number.
    is_whole = isinstance(value, Decimal) and value.is_finite() and abs(value) < 2**63 and value % 1 == 0
    return int(value) if is_whole and isinstance(value, Decimal) else str(value)[:100]
