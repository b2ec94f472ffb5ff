"""Tracks as the Web API spells them, built by hand where a test needs two of one name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from myi_pipeline.catalogue.records import PolledTrack
from myi_pipeline.catalogue.spotify_answers import polled_track
from myi_pipeline.providers.spotify.models import Track

START = datetime(2020, 2, 1, tzinfo=UTC)


def uri(kind: str, number: int) -> str:
    return f"spotify:{kind}:{number:022d}"


def answer(number: int = 1, title: str | None = "Song", **fields: Any) -> Track:
    """A track; `artist`, `album` are (number, name), `album_artist` likewise and that of the track by default."""
    artist, album = fields.pop("artist", (1, "Band")), fields.pop("album", (1, "Album"))
    album_artist = fields.pop("album_artist", artist)
    document = {
        "uri": uri("track", number),
        "name": title,
        "type": "track",
        "duration_ms": 200_000,
        "external_ids": {"isrc": f"ZZABC20{number:05d}"},
        "artists": [{"uri": uri("artist", artist[0]), "name": artist[1]}],
        "album": {
            "uri": uri("album", album[0]),
            "name": album[1],
            "artists": [{"uri": uri("artist", album_artist[0]), "name": album_artist[1]}],
            "images": [{"url": f"https://i.scdn.co/image/{album[0]}", "width": 64, "height": 64}],
        },
    }
    return Track.model_validate(document | fields)


def polled(second: int, number: int = 1, title: str | None = "Song", **fields: Any) -> PolledTrack:
    found = polled_track(answer(number, title, **fields), START + timedelta(seconds=second))
    assert found is not None
    return found
