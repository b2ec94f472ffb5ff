"""Last.fm's scrobbles, as written by the usual exporters. Last.fm itself offers no file.

- lastfm-to-csv by Ben Foxall (benjaminbenben.com/lastfm-to-csv): CSV without a header, with artist, album, track and a
  time such as `31 Dec 2019 23:11`. Maloja imports the same (import_scrobbles.py of krateng/maloja: `parse_lastfm`,
  UTC), as do users of ListenBrainz. Its times are truncated to the minute.
- lastfm.ghan.nl/export: CSV with the header uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid, and
  JSON, a list of pages (`LastFMExportPage` in internal/importer/lastfm.go of gabehf/Koito).
- lastfm-backup and others: the answers of user.getRecentTracks unchanged, a list of tracks or of pages of tracks.
- lastfmstats.com by felhag: JSON with `username` and `scrobbles`, each with `track`, `artist`, `album`, `albumId` and
  `date` in milliseconds; and the same as CSV with semicolons.

Last.fm's mbid of a track is not stored as the recording's: it identifies a recording, a track of a release, or
something that MusicBrainz has merged away. ListenBrainz keeps it separate for the same reason (`lastfm_track_mbid` in
its importer).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from myi_pipeline.archives.files.fields import parse_timestamp
from myi_pipeline.archives.files.scrobbles import (
    Scrobble,
    ScrobbleRows,
    has_seconds,
    parse_unix_time,
    parse_written_time,
)
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.catalogue.row_rules import PERSONAL_KEYS, BadRow

HEADLESS_COLUMNS: Final = ("artist", "album", "track", "date")
_TITLE_COLUMNS: Final = ("track", "track_name", "title", "song", "name")
_ARTIST_COLUMNS: Final = ("artist", "artist_name")
_ALBUM_COLUMNS: Final = ("album", "album_name")
# The most reliable first: a number, then text.
_TIME_COLUMNS: Final = ("uts", "timestamp", "unix_timestamp", "date", "utc_time", "time", "datetime", "date_time")
_LEFT_OUT: Final = (
    "artist_mbid", "album_mbid", "track_mbid", "mbid", "albumid", "album_artist", "url", "image", "loved", "streamable",
)  # fmt: skip
TABLE_KEYS: Final = PERSONAL_KEYS.union(_TITLE_COLUMNS, _ARTIST_COLUMNS, _ALBUM_COLUMNS, _TIME_COLUMNS, _LEFT_OUT)


def looks_headless(row: dict[str, object]) -> bool:
    """Whether the last of the four columns is a time as Last.fm writes it."""
    try:
        parse_written_time(row.get("date"), key="date")
    except BadRow:
        return False
    return True


def looks_like_table(row: dict[str, object]) -> bool:
    """Whether a header has a scrobble's columns, and the row has a time to the second."""
    return _is_table(row) and has_seconds(row[_columns_of(row).time])


def looks_like_table_of_minutes(row: dict[str, object]) -> bool:
    """The same with times truncated to the minute."""
    return _is_table(row) and not has_seconds(row[_columns_of(row).time])


class _Columns(NamedTuple):
    """The names of a table's columns, "" for those it does not have."""

    time: str
    title: str
    artist: str
    album: str


def _columns_of(row: dict[str, object]) -> _Columns:
    def first(keys: tuple[str, ...]) -> str:
        return next((key for key in keys if key in row), "")

    return _Columns(first(_TIME_COLUMNS), first(_TITLE_COLUMNS), first(_ARTIST_COLUMNS), first(_ALBUM_COLUMNS))


def _is_table(row: dict[str, object]) -> bool:
    columns = _columns_of(row)
    if not (row.get(columns.title) and row.get(columns.artist)):
        return False
    try:
        _parse_time(row.get(columns.time))
    except BadRow:
        return False
    return True


def _parse_time(value: object) -> datetime:
    text = value.strip() if isinstance(value, str) else value
    if not isinstance(text, str) or text.isdigit() or not text:
        return parse_unix_time(text, key="the time")
    if text[:4].isdigit():
        return parse_timestamp(text, key="the time").replace(microsecond=0)
    return parse_written_time(text, key="the time")


class LastfmTable(ScrobbleRows):
    """CSV with a header, times to the second. All rows have the columns of the first."""

    source = Source.LASTFM_EXPORT
    known_keys = TABLE_KEYS
    time_key = "the time"
    _columns: _Columns | None = None

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        columns = self._columns
        if columns is None:
            columns = self._columns = _columns_of(row)
        get = row.get
        return Scrobble(self._time(get(columns.time)), get(columns.title), get(columns.artist), get(columns.album))

    def _time(self, value: object) -> datetime:
        played_at = _parse_time(value)
        if not has_seconds(value):
            raise BadRow("bad_timestamp", "the time has no seconds, unlike others in the file.")
        return played_at


class LastfmTableOfMinutes(LastfmTable):
    """CSV with a header, times truncated to the minute."""

    source = Source.LASTFM_EXPORT_MINUTES

    def _time(self, value: object) -> datetime:
        return _parse_time(value).replace(second=0)


class LastfmHeadless(ScrobbleRows):
    """CSV without a header: artist, album, track, time."""

    source = Source.LASTFM_EXPORT_MINUTES
    known_keys = frozenset(HEADLESS_COLUMNS)
    time_key = "the time"

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        played_at = parse_written_time(row["date"], key="the time")
        return Scrobble(played_at.replace(second=0), row["track"], row["artist"], row["album"])


class LastfmTracks(ScrobbleRows):
    """Tracks as in answers of user.getRecentTracks, also with extended=1 (`artist.name` for `artist.#text`)."""

    source = Source.LASTFM_EXPORT
    known_keys = PERSONAL_KEYS.union(
        ("artist", "name", "album", "date", "mbid", "@attr", "url", "image", "streamable", "loved", "artist_mbid")
    )
    time_key = "date.uts"

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        date, marks = row.get("date"), row.get("@attr")
        if isinstance(marks, dict) and str(marks.get("nowplaying")).lower() == "true" and not date:
            raise BadRow("now_playing", "The track was playing when the file was written: not a play yet.")
        uts = date.get("uts") if isinstance(date, dict) else date
        return Scrobble(
            parse_unix_time(uts, key=self.time_key),
            row.get("name"),
            _text_of(row.get("artist")),
            _text_of(row.get("album")),
        )


def _text_of(value: object) -> object:
    if isinstance(value, dict):
        return value.get("#text") or value.get("name")
    return value


def tracks_of(page: object) -> list[object]:
    """The tracks of one page of answers; anything that is not a page counts as one row."""
    while isinstance(page, dict):
        inside = next((page[key] for key in ("recenttracks", "track") if key in page), None)
        if inside is None:
            return [page]
        # In Last.fm's JSON, a single track is not a list.
        page = [inside] if isinstance(inside, dict) and "name" in inside else inside
    return page if isinstance(page, list) else [page]


def looks_like_track(row: dict[str, object]) -> bool:
    """Whether a row is a track of user.getRecentTracks."""
    return "name" in row and "artist" in row and ("date" in row or "@attr" in row) and "track_metadata" not in row


class LastfmStats(ScrobbleRows):
    """Scrobbles of lastfmstats.com's JSON."""

    source = Source.LASTFM_EXPORT
    known_keys = PERSONAL_KEYS.union(("track", "artist", "album", "albumId", "date"))
    time_key = "date"

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        played_at = parse_unix_time(row.get("date"), key=self.time_key)
        return Scrobble(played_at, row.get("track"), row.get("artist"), row.get("album"))


def looks_like_stats(row: dict[str, object]) -> bool:
    """Whether a row is a scrobble of lastfmstats.com."""
    return isinstance(row.get("track"), str) and "artist" in row and "date" in row
