"""Scrobblers, as they speak: addresses, headers and bodies of the clients that are named in api/routes/listenbrainz.py.

The bodies are made up; their fields, and how a client forms its address, are those of its public source.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

MBID = "0b5e6cf8-0d3b-4d5c-9d2e-0e6f6a1b2c3d"
Body = dict[str, Any]


def moment(ago_s: int = 600) -> int:
    """Seconds since 1970, so long ago."""
    return int(time.time()) - ago_s


def navidrome(title: str = "Blue in Green", *, at: int | None = None, kind: str = "single") -> Body:
    """adapters/listenbrainz/client.go: one listen; what is empty is left out."""
    listen: Body = {
        "track_metadata": {
            "artist_name": "Miles Davis",
            "track_name": title,
            "release_name": "Kind of Blue",
            "additional_info": {
                "submission_client": "Navidrome",
                "submission_client_version": "0.58.0 (9dbe0c18)",
                "tracknumber": 3,
                "artist_names": ["Miles Davis"],
                "artist_mbids": ["561d854a-6a28-4aa7-8c99-323e6ce46c2a"],
                "recording_mbid": MBID,
                "duration_ms": 337_000,
            },
        }
    }
    if kind != "playing_now":
        listen = {"listened_at": at if at is not None else moment(), **listen}
    return {"listen_type": kind, "payload": [listen]}


def jellyfin(*times: int, token: str = "") -> Body:
    """SubmitListensRequest.cs in snake case: the token, the address and the endpoint are in the body too."""
    listens = [
        {
            "listened_at": at,
            "track_metadata": {
                "artist_name": "Miles Davis",
                "track_name": f"Part {number}",
                "release_name": "Agharta",
                "additional_info": {
                    "media_player": "Jellyfin",
                    "media_player_version": "10.10.7",
                    "submission_client": "ListenBrainz plugin for Jellyfin",
                    "submission_client_version": "6.0.1.0",
                    "duration_ms": 900_000,
                    "isrc": "USSM1-75000-12",
                },
            },
        }
        for number, at in enumerate(times)
    ]
    return {
        "api_token": token,
        "endpoint": "submit-listens",
        "base_url": "https://music.example.org",
        "query_dict": {},
        "listen_type": "import",
        "payload": listens,
    }


def multi_scrobbler(title: str = "So What", *, at: int | None = None, kind: str = "single") -> Body:
    """lzUtils.ts: artists joined by commas, lengths in seconds, addresses of Spotify's tracks."""
    listen: Body = {
        "listened_at": at if at is not None else moment(),
        "track_metadata": {
            "artist_name": "Miles Davis, John Coltrane",
            "track_name": title,
            "release_name": "Kind of Blue",
            "additional_info": {
                "duration": 545,
                "submission_client": "multi-scrobbler",
                "submission_client_version": "0.10.0",
                "artist_names": ["Miles Davis", "John Coltrane"],
                "media_player": "WebPlayer",
                "music_service": "spotify.com",
                "music_service_name": "Spotify",
                "origin_url": "https://open.spotify.com/track/4vLYewWIvqHfKtJDk8c8tq",
                "spotify_id": "https://open.spotify.com/track/4vLYewWIvqHfKtJDk8c8tq",
            },
        },
    }
    # Of what plays now it tells a time too.
    return {"listen_type": kind, "payload": [listen]}


def pano(*times: int) -> Body:
    """ListenBrainz.kt: batches of pending scrobbles; absent values are nulls or left out."""
    return {
        "listen_type": "import",
        "payload": [
            {
                "listened_at": at,
                "track_metadata": {
                    "artist_name": "Alice Coltrane",
                    "track_name": f"Turiya {number}",
                    "release_name": None,
                    "additional_info": {
                        "duration_ms": None,
                        "submission_client": "Pano Scrobbler",
                        "submission_client_version": "4.0",
                    },
                },
            }
            for number, at in enumerate(times)
        ],
    }


# How each forms its address and its header.
CLIENTS: dict[str, tuple[str, str, str, Callable[..., Body]]] = {
    "Navidrome": ("/1", "/submit-listens", "Token", navidrome),
    "Navidrome, custom root": ("/apis/listenbrainz/1", "/submit-listens", "Token", navidrome),
    "Jellyfin": ("", "/1/submit-listens", "token", lambda: jellyfin(moment(), moment(300))),
    "multi-scrobbler": ("/apis/listenbrainz", "/1/submit-listens", "Token", multi_scrobbler),
    "Pano Scrobbler": ("", "/1/submit-listens", "token", lambda: pano(moment(), moment(100), moment(50))),
}


def submit(client: httpx.Client, body: Body | bytes, *, path: str = "/1/submit-listens") -> httpx.Response:
    if isinstance(body, bytes):
        return client.post(path, content=body, headers={"content-type": "application/json"})
    return client.post(path, json=body)
