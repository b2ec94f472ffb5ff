"""One JSON value at a position of a text, and what to do with values that no parser should have to take.

Belongs here: the choice of the scanner and its odd cases. Not here: buffers and files (json_rows).
Invariant: no text harms the process: neither its depth nor the length of its numbers.

Built on the C scanner of the standard library and not on ijson (3.6, yajl2_c), after measuring both on 800-byte
history rows: 215,000 against 75,000 rows/s. Moreover ijson dies with a segmentation fault on an integer of more
than 4,300 digits, takes 8.9 GB for 60 kB of "[", and gives up a file at an escaped lone surrogate.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from json import JSONDecoder
from json import scanner as json_scanner

from myi_pipeline.core.errors import Permanent

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{}"]', re.DOTALL)
_SCALAR = re.compile(r"[^,\]\s]+")
Scan = Callable[[str, int], tuple[object, int]]


class TooDeep:
    """Stands for a row that is nested deeper than the interpreter can hold."""


def c_scanner(*, parse_int: Callable[[str], object] | None = None) -> Scan:
    """From a text and a position to the value there and the position after it, exact in its numbers."""
    make = getattr(json_scanner, "c_make_scanner", None)
    if make is None:
        raise Permanent("This Python lacks the C part of its json module; install a complete CPython.")
    scan: Scan = make(JSONDecoder(parse_float=_number, parse_int=parse_int))
    return scan


def _number(text: str) -> object:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent that Decimal cannot hold: infinite, so no valid value of any field
        return float(text)


def scan_tolerantly(row: str) -> tuple[object, int]:
    """Like the scanner at 0, but an integer of thousands of digits becomes infinite: no valid value of any field."""
    scan = c_scanner(parse_int=lambda digits: int(digits) if len(digits) < 400 else float("inf"))
    return scan(row, 0)


def end_of_row(text: str, start: int) -> int | None:
    """Where the row that begins at `start` ends, by counting brackets outside strings; None if not in this text."""
    if text[start] not in "[{":
        found = _SCALAR.match(text, start)
        return found.end() if found is not None and found.end() < len(text) else None
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if (mark := token[0]) == '"':
            return None
        if mark in "[{":
            depth += 1
        elif mark in "]}":
            depth -= 1
            if depth == 0:
                return token.end()
    return None
