"""Scrobbles of self-hosted servers: Maloja and Koito.

Maloja: `maloja export` writes {"maloja": {"export_time": ...}, "scrobbles": [...]} (proccontrol/tasks/export.py of
krateng/maloja); its API answers {"status": "ok", "list": [...]} with the same rows, which Koito imports as well
(test_assets/maloja_api_format_test.json of gabehf/Koito). `time` is the start in seconds, `track.length` the length of
the track and `duration` the time heard, both in seconds (import_scrobbles.py: `scrobble_duration` is Spotify's time
heard). Older versions had no `album`, or one with `name` instead of `albumtitle`.

Koito: {"version": "1", "exported_at", "user", "listens": [...]} (internal/export/export.go of gabehf/Koito), where
names are lists of aliases, one of which is primary, and `track.duration` is in seconds, 0 if it is unknown.
"""

from __future__ import annotations

from typing import Final

from myi_pipeline.archives.files.fields import parse_ms_played, parse_timestamp
from myi_pipeline.archives.files.scrobbles import Scrobble, ScrobbleRows, parse_length, parse_unix_time
from myi_pipeline.catalogue.plays import Source
from myi_pipeline.catalogue.row_rules import PERSONAL_KEYS

_MOST_ARTISTS: Final = 50


class MalojaScrobbles(ScrobbleRows):
    """`duration` is the only time heard in any of these formats; clients that do not know it send 0."""

    source = Source.MALOJA_EXPORT
    known_keys = PERSONAL_KEYS.union(
        (
            "time",
            "track",
            "duration",
            "origin",
            "extra",
            "rawscrobble",
            "track_id",
            "artists",
            "title",
            "album",
            "length",
        )
    )
    time_key = "time"

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        track = row.get("track")
        # Before version 3, the names were in the row itself.
        track = track if isinstance(track, dict) else row
        album = track.get("album")
        title = album.get("albumtitle") or album.get("name") if isinstance(album, dict) else album
        heard_ms = self._optional(parse_length, row.get("duration"), key="duration", unit_ms=1000)
        return Scrobble(
            played_at=parse_unix_time(row.get("time"), key=self.time_key),
            title=track.get("title"),
            artist=_joined(track.get("artists")),
            album=title,
            duration_ms=self._length(track.get("length"), key="track.length", unit_ms=1000),
            ms_played=parse_ms_played(heard_ms, key="duration"),
            client=row.get("origin"),
        )


def looks_like_maloja(row: dict[str, object]) -> bool:
    """Whether a row is a scrobble of Maloja's."""
    is_flat = isinstance(row.get("artists"), list) and "title" in row
    return "time" in row and (is_flat or isinstance(row.get("track"), dict))


class KoitoListens(ScrobbleRows):
    """Names are the primary alias; of several artists, all, with the primary one first."""

    source = Source.KOITO_EXPORT
    known_keys = PERSONAL_KEYS.union(("listened_at", "client", "track", "album", "artists"))
    time_key = "listened_at"

    def _scrobble(self, row: dict[str, object]) -> Scrobble:
        track, album, artists = row.get("track"), row.get("album"), row.get("artists")
        track = track if isinstance(track, dict) else {}
        named = [artist for artist in artists if isinstance(artist, dict)] if isinstance(artists, list) else []
        named = sorted(named[:_MOST_ARTISTS], key=lambda artist: artist.get("is_primary") is not True)
        return Scrobble(
            played_at=parse_timestamp(row.get("listened_at"), key=self.time_key).replace(microsecond=0),
            title=_primary(track),
            artist=_joined([_primary(artist) for artist in named]),
            album=_primary(album) if isinstance(album, dict) else None,
            recording_mbid=track.get("mbid"),
            duration_ms=self._length(track.get("duration"), key="track.duration", unit_ms=1000),
            client=row.get("client"),
        )


def _primary(named: dict[str, object]) -> object:
    aliases = named.get("aliases")
    known = [alias for alias in aliases if isinstance(alias, dict)] if isinstance(aliases, list) else []
    primary = next((alias for alias in known if alias.get("is_primary") is True), known[0] if known else {})
    return primary.get("alias")


def _joined(names: object) -> object:
    """Several artists as one name, as players write them."""
    if not isinstance(names, list):
        return names
    texts = [name for name in names[:_MOST_ARTISTS] if isinstance(name, str) and name]
    return ", ".join(texts) if texts else None


def looks_like_koito(row: dict[str, object]) -> bool:
    """Whether a row is a listen of Koito's."""
    return "listened_at" in row and isinstance(row.get("artists"), list) and isinstance(row.get("track"), dict)
