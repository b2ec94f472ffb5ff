"""A small honest archive, from which every hostile one is made."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

AUDIO = "MyData/Streaming_History_Audio_2020_0.json"
_MADE_AT = (2024, 1, 1, 0, 0, 0)
REGULAR = 0o100644 << 16


def good_rows(count: int = 20) -> list[dict[str, object]]:
    """A few plays, an hour apart, as any vintage would tell them."""
    return [
        {
            "ts": f"2020-02-{number // 24 + 1:02d}T{number % 24:02d}:30:00Z",
            "platform": "android",
            "ms_played": 180_000 + number,
            "conn_country": "DE",
            "ip_addr": "192.0.2.7",
            "master_metadata_track_name": f"Harmless {number}",
            "master_metadata_album_artist_name": "The Decoys",
            "master_metadata_album_album_name": "Bait",
            "spotify_track_uri": f"spotify:track:{number:022d}",
            "episode_name": None,
            "episode_show_name": None,
            "spotify_episode_uri": None,
            "reason_start": "trackdone",
            "reason_end": "trackdone",
            "shuffle": False,
            "skipped": False,
            "offline": False,
            "offline_timestamp": None,
            "incognito_mode": False,
        }
        for number in range(count)
    ]


def good_json(count: int = 20) -> bytes:
    return json.dumps(good_rows(count)).encode()


def zip_info(name: str, *, attributes: int = REGULAR) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _MADE_AT)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = attributes
    info.create_system = 3
    return info


def zip_of(path: Path, *members: tuple[str, bytes]) -> Path:
    """An honest ZIP of the given members, in order."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            archive.writestr(zip_info(name), data)
    return path


def plain_zip(path: Path) -> Path:
    """Not hostile at all: what every other maker starts from."""
    return zip_of(path, (AUDIO, good_json()))
