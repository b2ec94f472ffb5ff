"""Reads pairs of tracks from any file: JSON lines, a JSON list, or a table with a header.

Reading is lenient: the sides are `left` and `right` (or a and b, source and target, wanted and candidate; `left_title`
in a table), fields have the names that common exports use, artists are a string or a list, and a length is in the unit
that its field's name says. An unusable row is reported with its line and the broken rule, and the rest is read.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from myi_pipeline.errors import BadInput
from myi_pipeline.providers.playlists import EntryKind, ListedTrack

MOST_ROWS, MOST_CANDIDATES, LONGEST_NAME = 500_000, 200, 2_000
_LONGEST_MS = 7 * 24 * 3600 * 1000
SIDES = (
    ("left", "right"), ("a", "b"), ("source", "target"), ("wanted", "candidate"), ("wanted", "candidates"),
    ("left", "candidates"), ("source", "candidates"), ("first", "second"), ("one", "other"), ("track_a", "track_b"),
    ("1", "2"),
)  # fmt: skip
_TITLES = ("title", "name", "track_name", "track", "song", "recording_name", "trackname")
_ARTISTS = ("artists", "artist", "artist_names", "artist_name", "artist_name_s", "creator", "artistname")
_ALBUMS = ("album", "album_name", "release", "release_name", "albumname")
_CODES = ("isrc", "isrcs")
_EXPLICIT = ("is_explicit", "explicit")
_RECORDINGS = ("recording_mbid", "mbid", "musicbrainz_id")
_URIS = ("uri", "track_uri", "id", "track_id", "url")
_LENGTHS = (
    ("duration_ms", 1), ("length_ms", 1), ("track_duration_ms", 1), ("ms_duration", 1), ("durationms", 1),
    ("duration_s", 1000), ("length_s", 1000), ("duration_sec", 1000), ("duration_secs", 1000), ("seconds", 1000),
    ("duration_seconds", 1000), ("length_seconds", 1000), ("duration", 0), ("length", 0), ("time", 0),
)  # fmt: skip
# A `duration` without a unit is in milliseconds from this number on: no track lasts this many seconds.
_SURELY_MS = 20_000
_ISO = re.compile(r"P(?:T)?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class PairRow:
    """A pair. `line`: its line in the file, or its place in a JSON list, from 1. `label`: the row's own id, if any."""

    line: int
    label: str | None
    left: ListedTrack
    right: tuple[ListedTrack, ...]


@dataclass(frozen=True, slots=True)
class BadRow:
    line: int
    rule: str


class _Refused(Exception):
    """The message is the broken rule."""


def read_pairs(text: str) -> Iterator[PairRow | BadRow]:
    """The pairs and unusable rows of a file. Raises BadInput if the file as a whole is in none of these forms."""
    for count, (line, row) in enumerate(_rows(text.removeprefix("\ufeff"))):
        if count >= MOST_ROWS:
            raise BadInput(f"more than {MOST_ROWS:,} pairs", place=f"line {line}", rule=f"at most {MOST_ROWS:,} pairs")
        if isinstance(row, str):
            yield BadRow(line, row)
            continue
        try:
            yield _pair(line, row)
        except _Refused as refused:
            yield BadRow(line, str(refused))


def _rows(text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    start = text.lstrip()
    if not start:
        raise BadInput("the file is empty", rule="pairs as JSON lines, a JSON list or a table")
    if start[0] == "[" or (start[0] == "{" and _is_one_document(start)):
        yield from _listed(start)
    elif start[0] == "{":
        for line, each in enumerate(text.splitlines(), 1):
            if each.strip():
                yield line, _object(each)
    else:
        yield from _table(text)


def _is_one_document(text: str) -> bool:
    """Whether this is one JSON document rather than JSON lines: its object spans several lines, or has `pairs`."""
    first = text.split("\n", 1)[0]
    found = _object(first)
    return isinstance(found, str) or "pairs" in found


def _object(text: str) -> Mapping[str, object] | str:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "a line must be one JSON object"
    return found if isinstance(found, dict) else "a row must be a JSON object"


def _listed(text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise BadInput("the JSON is nested too deeply", rule="a JSON list of pairs") from error
    except ValueError as error:
        if text[0] == "{":
            # JSON lines whose first line is broken.
            for line, each in enumerate(text.splitlines(), 1):
                if each.strip():
                    yield line, _object(each)
            return
        raise BadInput(f"not JSON: {error}", rule="a JSON list of pairs") from error
    if isinstance(document, dict):
        document = document.get("pairs", [document])
    if not isinstance(document, list):
        raise BadInput("`pairs` is not a list", rule="a JSON list of pairs")
    for place, row in enumerate(document, 1):
        yield place, row if isinstance(row, dict) else "a row must be a JSON object"


def _table(text: str) -> Iterator[tuple[int, Mapping[str, object] | str]]:
    header = text.split("\n", 1)[0]
    delimiter = max((",", ";", "\t"), key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [_name(each) for each in next(rows)]
    if not any(_side(name, side) for name in names for pair in SIDES for side in pair):
        raise BadInput(
            "the header does not name two sides", place="line 1", rule="columns such as left_title and right_title"
        )
    try:
        for row in rows:
            if not any(row):
                continue
            if len(row) > len(names):
                yield rows.line_num, "a row must not have more cells than the header"
                continue
            yield rows.line_num, _nested(dict(zip(names, row, strict=False)))
    except csv.Error as error:
        raise BadInput(f"not a table: {error}", place=f"line {rows.line_num}", rule="one row per pair") from error


def _name(column: str) -> str:
    return re.sub(r"[\W_]+", "_", column.strip().lower()).strip("_")


def _side(column: str, side: str) -> str | None:
    """The field of this side that a column holds; None if it belongs to another."""
    if column.startswith(f"{side}_"):
        return column[len(side) + 1 :]
    if column.endswith(f"_{side}"):
        return column[: -len(side) - 1]
    return None


def _nested(row: Mapping[str, object]) -> Mapping[str, object]:
    found: dict[str, object] = dict(row)
    for pair in SIDES:
        sides: dict[str, dict[str, object]] = {side: {} for side in pair}
        for column, cell in row.items():
            for side in pair:
                field = _side(column, side)
                if field and cell != "":
                    sides[side][field] = cell
        if all(sides.values()):
            return {**found, **sides}
    return found


def _pair(line: int, row: Mapping[str, object]) -> PairRow:
    named = {_name(key): value for key, value in row.items()}
    found = next(((named[a], named[b]) for a, b in SIDES if a in named and b in named), None)
    if found is None:
        nested = _nested(named)
        found = next(((nested[a], nested[b]) for a, b in SIDES if a in nested and b in nested), None)
    if found is None:
        raise _Refused("a pair must have left and right")
    left, right = found
    several = right if isinstance(right, list) else [right]
    if len(several) > MOST_CANDIDATES:
        raise _Refused(f"right must have at most {MOST_CANDIDATES} candidates")
    label = next((named[key] for key in ("pair_id", "id", "key") if isinstance(named.get(key), str | int)), None)
    return PairRow(
        line,
        None if label is None else str(label)[:200],
        _track(left, "left"),
        tuple(_track(each, "right") for each in several),
    )


def _track(record: object, side: str) -> ListedTrack:
    if not isinstance(record, Mapping):
        raise _Refused(f"{side} must be an object")
    fields = {_name(str(key)): value for key, value in record.items()}
    title = _text(_first(fields, _TITLES), side, "title")
    if not title:
        raise _Refused(f"{side} must have a title")
    version = _text(fields.get("version"), side, "version")
    if version and version.casefold() not in title.casefold():
        # TIDAL has the version in a field of its own.
        title = f"{title} ({version})"
    return ListedTrack(
        kind=_kind(fields.get("kind") or fields.get("type")),
        uri=_text(_first(fields, _URIS), side, "uri") or None,
        title=title,
        artists=_artists(_first(fields, _ARTISTS), side),
        album=_text(_first(fields, _ALBUMS), side, "album") or None,
        isrc=_isrc(fields, side),
        recording_mbid=_text(_first(fields, _RECORDINGS), side, "recording_mbid") or None,
        duration_ms=_length(fields, side),
        is_explicit=_flag(_first(fields, _EXPLICIT)),
    )


def _first(fields: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((fields[name] for name in names if fields.get(name) not in (None, "", [])), None)


def _text(value: object, side: str, field: str) -> str:
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("title")
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None:
        return ""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise _Refused(f"{side}.{field} must be text")
    text = str(value).strip()
    if len(text) > LONGEST_NAME:
        raise _Refused(f"{side}.{field} must have at most {LONGEST_NAME:,} characters")
    return text


def _artists(value: object, side: str) -> tuple[str, ...]:
    several = value if isinstance(value, list) else [value]
    return tuple(name for each in several[:50] if (name := _text(each, side, "artists")))


def _isrc(fields: Mapping[str, object], side: str) -> str | None:
    value = _first(fields, _CODES)
    ids = fields.get("external_ids")
    if value is None and isinstance(ids, Mapping):
        value = ids.get("isrc")
    return _text(value, side, "isrc") or None


def _length(fields: Mapping[str, object], side: str) -> int | None:
    for name, unit in _LENGTHS:
        value = fields.get(name)
        if value in (None, ""):
            continue
        ms = _ms(value, unit)
        if ms is None or not 0 <= ms <= _LONGEST_MS:
            raise _Refused(f"{side}.{name} must be a length, 0 or more")
        # Many exports write 0 for an unknown length.
        return round(ms) or None
    return None


def _ms(value: object, unit: int) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str):
        text = value.strip()
        if clock := _CLOCK.fullmatch(text):
            hours, minutes, seconds = clock.groups()
            return (int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)) * 1000
        if (iso := _ISO.fullmatch(text)) and any(iso.groups()):
            hours, minutes, seconds = iso.groups()
            return (int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)) * 1000
        try:
            value = float(text)
        except ValueError:
            return None
    if not math.isfinite(value):
        return None
    return value * (unit or (1 if value >= _SURELY_MS else 1000))


def _flag(value: object) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            value.strip().lower()
        )
    return bool(value) if isinstance(value, bool | int) else None


def _kind(value: object) -> EntryKind:
    return EntryKind(value) if isinstance(value, str) and value in set(EntryKind) else EntryKind.TRACK
