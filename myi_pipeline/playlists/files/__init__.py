"""Playlists in files: M3U8, M3U, PLS, XSPF, JSPF, the CSV of three services, Spotify's account data. Each format is a
module with `read` and `write`, listed in formats.py. All sizes are limited, and no file is trusted."""

from myi_pipeline.playlists.files.formats import (
    FORMATS,
    WRITABLE,
    FileFormat,
    Reading,
    read_bytes,
    read_file,
    read_lists_beside_plays,
    read_open_file,
    write_playlists,
)
from myi_pipeline.playlists.files.records import Limits, Playlist

__all__ = [
    "FORMATS",
    "WRITABLE",
    "FileFormat",
    "Limits",
    "Playlist",
    "Reading",
    "read_bytes",
    "read_file",
    "read_lists_beside_plays",
    "read_open_file",
    "write_playlists",
]
