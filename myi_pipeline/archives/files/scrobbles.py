"""What all formats of scrobbles have in common: a time, a title and an artist, and perhaps more about the recording.

A scrobble says when a play began, and that it was heard long enough to count, but not how long, so `ms_played` is None
unless a format really has the time heard. A row without a title or an artist is quarantined, and so is one that only
says what was playing when the file was written.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from myi_pipeline.archives.files.fields import Tally, clean_text, type_name
from myi_pipeline.archives.files.rows import MAX_CACHED, KnownNames, RowReader
from myi_pipeline.catalogue.plays import Content, ContentKind, Context, PlayRecord, content_if_known, make_context
from myi_pipeline.catalogue.row_rules import BadRow, check_played_at
from myi_pipeline.catalogue.sources import TRAITS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# As seconds, this is the year 5138; as milliseconds, it is 1973: no scrobble can be on the wrong side.
_MILLISECONDS_FROM: Final = 100_000_000_000
_NOT_A_TIME_FROM: Final = 100_000_000_000_000
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
# 31 Dec 2019 23:11, or with a comma before the hour, as in user.getRecentTracks of Last.fm's API, in UTC.
_WRITTEN: Final = re.compile(r"([0-9]{1,2}) ([A-Za-z]{3}) ([0-9]{4}),? ([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
# Country, owner, year and designation (ISO 3901); written with or without hyphens.
_ISRC: Final = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
_SPOTIFY_TRACK: Final = re.compile(
    r"(?:https?://open\.spotify\.com/(?:intl-[a-z-]+/)?tracks?/|spotify:track:)([0-9A-Za-z]{22})(?:[?#/].*)?"
)
# No recording is longer: a greater length is a mistake, such as seconds for milliseconds.
_LONGEST_MS: Final = 24 * 3_600_000


class Scrobble(NamedTuple):
    """What one row says, with its names and identifiers unchanged. `client` is the player or program that reported
    it."""

    played_at: datetime
    title: object
    artist: object
    album: object = None
    recording_mbid: object = None
    isrc: object = None
    address: object = None
    duration_ms: int | None = None
    ms_played: int | None = None
    client: object = None
    skipped: bool | None = None


class ScrobbleRows(RowReader):
    """Rows of one format of scrobbles: a format defines where each value is."""

    time_key: str

    def __init__(self, *, now: datetime, max_chars: int, tally: Tally, known: KnownNames | None = None) -> None:
        known = known or KnownNames()
        super().__init__(now=now, max_chars=max_chars, tally=tally, known=known)
        self._scrobbled = known.scrobbled

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        raise NotImplementedError

    def _record(self, index: int, row: dict[str, object]) -> PlayRecord:
        scrobble = self._scrobble(row)
        check_played_at(scrobble.played_at, latest=self._latest, key=self.time_key, traits=TRAITS[self.source])
        names = scrobble[1:8]
        try:
            content = self._scrobbled[names]
        except (KeyError, TypeError):  # not met yet, or a list or an object where text belongs
            content = self._content(scrobble)
            # As dictionary keys, 1 and true are equal; by now, a length is a number.
            if all(value is None or type(value) is str for value in names[:-1]):
                if len(self._scrobbled) >= MAX_CACHED:
                    self._scrobbled.clear()
                self._scrobbled[names] = content
        context = None
        if scrobble.client:
            words = (scrobble.client,)
            try:
                context = self._contexts[words]
            except (KeyError, TypeError):
                context = self._client(scrobble.client)
                self._keep(self._contexts, words, context)
        return PlayRecord(
            index, scrobble.played_at, content, scrobble.ms_played, context, None, None, scrobble.skipped, None, None
        )

    def _content(self, scrobble: Scrobble) -> Content:
        title = clean_text(scrobble.title, key="the title", max_chars=self._max_chars)
        artist = clean_text(scrobble.artist, key="the artist", max_chars=self._max_chars)
        if title is None or artist is None:
            raise BadRow("missing_names", "The row does not name what was heard: title or artist is missing.")
        album = self._optional(clean_text, scrobble.album, key="album", max_chars=self._max_chars)
        content = content_if_known(
            kind=ContentKind.TRACK,
            uri=spotify_uri(scrobble.address),
            title=title,
            creator=artist,
            collection=album,
        )
        if content is None:
            raise BadRow("missing_names", "The row does not name what was heard: title and artist are unknown.")
        return content._replace(
            isrc=self._optional(parse_isrc, scrobble.isrc, key="isrc"),
            recording_mbid=self._optional(parse_mbid, scrobble.recording_mbid, key="recording_mbid"),
            duration_ms=scrobble.duration_ms,
        )

    def _client(self, client: object) -> Context | None:
        name = self._optional(clean_text, client, key="client", max_chars=self._max_chars)
        return make_context(platform=name, conn_country=None, reason_start=None, reason_end=None)

    def _length(self, value: object, *, key: str, unit_ms: int) -> int | None:
        """Milliseconds from a length in units of `unit_ms`; None, and counted, if it is not one."""
        return self._optional(parse_length, value, key=key, unit_ms=unit_ms)


def parse_unix_time(value: object, *, key: str) -> datetime:
    """A UTC time in whole seconds, from seconds or milliseconds since 1970 as a number or as text. Raises BadRow."""
    if type(value) is str and len(value) == 10 and value.isascii() and value.isdigit():
        # Nearly all times given as text, at half the cost.
        return datetime.fromtimestamp(int(value), UTC)
    if value is None or value == "":
        raise BadRow("missing_timestamp", f"{key} is missing.")
    number: int | None = None
    if type(value) is int:
        number = value
    elif isinstance(value, str) and len(value) <= 24:
        text = value.strip()
        number = int(text) if text.isascii() and text.isdigit() else None
    elif isinstance(value, Decimal) and value.is_finite() and abs(value) < _NOT_A_TIME_FROM:
        number = int(value)
    if number is None or not 0 <= number < _NOT_A_TIME_FROM:
        raise BadRow("bad_timestamp", f"{key} must be seconds or milliseconds since 1970.")
    return _EPOCH + timedelta(seconds=number // 1000 if number >= _MILLISECONDS_FROM else number)


def parse_written_time(value: object, *, key: str) -> datetime:
    """A UTC time from text such as `31 Dec 2019, 23:11`. Raises BadRow."""
    if value is None or value == "":
        raise BadRow("missing_timestamp", f"{key} is missing.")
    found = _WRITTEN.fullmatch(value.strip()) if isinstance(value, str) and len(value) < 40 else None
    month = _MONTHS.get(found[2].lower()) if found is not None else None
    if found is None or month is None:
        raise BadRow("bad_timestamp", f"{key} must be a time such as 31 Dec 2019, 23:11.")
    day, _, year, hour, minute, second = found.groups()
    try:
        return datetime(int(year), month, int(day), int(hour), int(minute), int(second or 0), tzinfo=UTC)
    except ValueError:
        raise BadRow("bad_timestamp", f"{key} is not a time that exists.") from None


def has_seconds(value: object) -> bool:
    """Whether a time is given to the second: a number, or text with seconds in it."""
    if isinstance(value, int | Decimal):
        return True
    if not isinstance(value, str):
        return False
    if value.isdigit():
        return True
    written = _WRITTEN.fullmatch(value.strip())
    if written is not None:
        return written[6] is not None
    return value.strip().isdigit() or value.count(":") >= 2


def parse_mbid(value: object, *, key: str) -> str | None:
    """A MusicBrainz identifier (a UUID) as text, or None if there is none. Raises BadRow."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) == 36:
        try:
            return str(UUID(value))
        except ValueError:
            pass
    raise BadRow("bad_type", f"{key} must be a UUID.")


def parse_isrc(value: object, *, key: str) -> str | None:
    """A recording code without hyphens, or None if there is none. Raises BadRow."""
    if value is None or value == "":
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and len(value) <= 20:
        code = value.strip().upper().replace("-", "")
        if _ISRC.fullmatch(code):
            return code
    raise BadRow("bad_type", f"{key} must be an International Standard Recording Code.")


def parse_length(value: object, *, key: str, unit_ms: int) -> int | None:
    """The length of a recording in milliseconds from a number of units; 0 and nothing are None. Raises BadRow."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and len(value) <= 20 and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value.strip()):
        value = Decimal(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise BadRow("bad_type", f"{key} must be a number, not {type_name(value)}.")
    if isinstance(value, Decimal) and not value.is_finite():
        raise BadRow("bad_type", f"{key} must be a number.")
    if not 0 <= value * unit_ms <= _LONGEST_MS:
        raise BadRow("bad_type", f"{key} is not a plausible length of a recording.")
    return int(value * unit_ms) or None


def spotify_uri(address: object) -> str | None:
    """Spotify's URI for the track at an address of Spotify's, such as https://open.spotify.com/track/ID."""
    if not isinstance(address, str) or len(address) > 300:
        return None
    found = _SPOTIFY_TRACK.fullmatch(address.strip())
    return f"spotify:track:{found[1]}" if found else None
