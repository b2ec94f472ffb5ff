"""What is kept of a row that cannot be a play.

Invariant: no personal field, at most MAX_BYTES of JSON, and nothing that a jsonb column would refuse.
"""

from __future__ import annotations

import json
import math
from typing import Final

from myi_pipeline.core.plays import QuarantinedRow
from myi_pipeline.history.fields import NOT_STORABLE, BadRow
from myi_pipeline.history.json_scan import TooDeep

# Never stored, in whatever kind of row and at whatever depth; compared without case.
PERSONAL_KEYS: Final = frozenset({"ip_addr", "ip_addr_decrypted", "user_agent_decrypted", "username"})
MAX_BYTES: Final = 4_096
_MAX_DEPTH = 3


def quarantined(index: int, row: object, bad: BadRow) -> QuarantinedRow:
    """The row at `index` of its file, with why it was refused and what may be kept of it."""
    kept: object = None
    if not isinstance(row, TooDeep):
        for max_text, max_items in ((300, 60), (60, 40), (20, 20)):
            kept = _safe(row, max_text=max_text, max_items=max_items, depth=0)
            if len(json.dumps(kept)) <= MAX_BYTES:
                break
        else:
            kept = {"omitted": "the row is too large to keep"}
    return QuarantinedRow(index, bad.reason, str(bad), kept)


def _safe(value: object, *, max_text: int, max_items: int, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return NOT_STORABLE.sub("\ufffd", value[:max_text]) + ("…" if len(value) > max_text else "")
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, dict | list) and depth == _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        pairs = [(str(key), entry) for key, entry in value.items() if str(key).casefold() not in PERSONAL_KEYS]
        return {
            NOT_STORABLE.sub("\ufffd", key[:max_text]): _safe(
                entry, max_text=max_text, max_items=max_items, depth=depth + 1
            )
            for key, entry in pairs[:max_items]
        }
    if isinstance(value, list):
        return [_safe(entry, max_text=max_text, max_items=max_items, depth=depth + 1) for entry in value[:max_items]]
    if isinstance(value, float) and not math.isfinite(value):
        return "not a number"
    # Decimals and integers beyond 64 bits: as text, which is exact.
    return str(value)[:max_text]
