"""TIDAL: playlists and liked tracks read and written, tracks found by ISRC and by name.

Facts are from TIDAL's published description of its API, version 1.10.104 of August 2026 (tidal-music.github.io/
tidal-api-reference): JSON:API; pages follow an opaque cursor; anything one may not see is left out or 404; enums may
grow; every mutation accepts an Idempotency-Key, whose answer is replayed for an hour.
"""
