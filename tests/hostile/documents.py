"""Honest ZIPs whose play file has one defect in its JSON or its rows. See `makers` for what they share."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

from tests.hostile.decoys import AUDIO, good_json, good_rows, zip_of


def truncated_json(path: Path) -> Path:
    """Ten whole rows, and the eleventh breaks off."""
    rows = good_rows(11)
    text = json.dumps(rows)
    return zip_of(path, (AUDIO, text[: text.rindex('"ts"') + 40].encode()))


def garbage_json(path: Path) -> Path:
    """Five good rows, then bytes that are no JSON, then five good rows."""
    half = json.dumps(good_rows(5))[1:-1]
    return zip_of(path, (AUDIO, f"[{half}, @@@ ,{half}]".encode()))


def deep_nesting(path: Path, *, depth: int = 100_000) -> Path:
    """A row with lists within lists."""
    row = json.dumps(good_rows(1)[0])[:-1]
    return zip_of(path, (AUDIO, f'[{row}, "deep": {"[" * depth}{"]" * depth}}}]'.encode()))


def huge_string(path: Path, *, size: int = 32 * 1024 * 1024) -> Path:
    """One text of many MB that does not pack well, so that no rule about ratios catches it."""
    noise = Random(1).randbytes(size // 2).hex().encode()
    row = json.dumps(good_rows(1)[0]).encode()
    return zip_of(path, (AUDIO, b"[" + row[:-1] + b', "mood": "' + noise + b'"}]'))


def huge_number(path: Path) -> Path:
    """A number of 100,000 digits where milliseconds are wanted."""
    row = json.dumps(good_rows(1)[0]).replace("180000", "9" * 100_000)
    return zip_of(path, (AUDIO, f"[{row}]".encode()))


def utf16(path: Path) -> Path:
    return zip_of(path, (AUDIO, good_json().decode().encode("utf-16")))


def latin1(path: Path) -> Path:
    """Bytes that are not UTF-8."""
    text = json.dumps(good_rows(3)).replace("The Decoys", "Dècoys")
    return zip_of(path, (AUDIO, text.encode("latin-1")))


def byte_order_mark(path: Path) -> Path:
    """Harmless: UTF-8 with a byte order mark, which a reader should take."""
    return zip_of(path, (AUDIO, b"\xef\xbb\xbf" + good_json()))


def lone_surrogate(path: Path) -> Path:
    """A name that is half a character: legal JSON, but no text that could be stored."""
    rows = good_rows(3)
    rows[1]["master_metadata_track_name"] = "half \ud83d"
    return zip_of(path, (AUDIO, json.dumps(rows).encode()))


def null_character(path: Path) -> Path:
    """A name with a character that Postgres cannot store."""
    rows = good_rows(3)
    rows[1]["master_metadata_track_name"] = "zero \x00 byte"
    return zip_of(path, (AUDIO, json.dumps(rows).encode()))


def repeated_keys(path: Path) -> Path:
    """A row that says ts twice."""
    row = json.dumps(good_rows(1)[0])[:-1] + ', "ts": "2021-01-01T00:00:00Z"}'
    return zip_of(path, (AUDIO, f"[{row}]".encode()))


def object_at_top(path: Path) -> Path:
    """Not a list of plays but one object."""
    return zip_of(path, (AUDIO, json.dumps({"plays": good_rows(3)}).encode()))
