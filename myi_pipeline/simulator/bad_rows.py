"""Rows that a loader must quarantine, by reason; each row has exactly one defect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, get_args

# The same codes as the reader's, so that a test can compare counts by reason.
BadRow = Literal[
    "not_an_object",
    "missing_timestamp",
    "bad_timestamp",
    "too_early",
    "in_the_future",
    "bad_ms_played",
    "bad_type",
    "text_too_long",
]
BAD_ROWS: tuple[BadRow, ...] = get_args(BadRow)

_NOT_OBJECTS = ("42", '"a play"', "null", "[1, 2]", "true")
_BAD_TIMES = ("yesterday", "2020-13-45T00:00:00Z", "2020-02-30T10:00:00Z", "20200101")
_BAD_MS = (-1, "many", True, [1], 10**15)
_BAD_TYPES = (7.5, ["Song"], {"name": "Song"}, True)


def bad_rows(wanted: Mapping[BadRow, int], *, long_text: int) -> list[tuple[BadRow, bytes]]:
    """The wanted rows for an extended history, reasons alternating. `long_text`: length of a text that is too long."""
    rows: list[tuple[BadRow, bytes]] = []
    for number in range(max(wanted.values(), default=0)):
        for reason in BAD_ROWS:
            if number < wanted.get(reason, 0):
                rows.append((reason, _row(reason, number, long_text)))
    return rows


def _row(reason: BadRow, number: int, long_text: int) -> bytes:
    if reason == "not_an_object":
        return _NOT_OBJECTS[number % len(_NOT_OBJECTS)].encode()
    row: dict[str, object] = {
        "ts": f"2016-05-05T05:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "username": "listener-bad",
        "platform": "android",
        "ms_played": 31_000 + number,
        "conn_country": "DE",
        "ip_addr": "192.0.2.99",
        "master_metadata_track_name": "Never Loaded",
        "master_metadata_album_artist_name": "Nobody at All",
        "master_metadata_album_album_name": "Refused",
        "spotify_track_uri": "spotify:track:7NeverLoadedAtAll00000A",
    }
    if reason == "missing_timestamp":
        del row["ts"]
    elif reason == "bad_timestamp":
        row["ts"] = _BAD_TIMES[number % len(_BAD_TIMES)]
    elif reason == "too_early":
        row["ts"] = "1999-12-31T23:59:59Z"
    elif reason == "in_the_future":
        row["ts"] = "2199-01-01T00:00:00Z"
    elif reason == "bad_ms_played":
        row["ms_played"] = _BAD_MS[number % len(_BAD_MS)]
    elif reason == "bad_type":
        row |= {"spotify_track_uri": None, "master_metadata_track_name": _BAD_TYPES[number % len(_BAD_TYPES)]}
    elif reason == "text_too_long":
        row |= {"spotify_track_uri": None, "master_metadata_track_name": "x" * long_text}
    return json.dumps(row).encode()
