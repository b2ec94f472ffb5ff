"""Files that would harm a careless reader, made on demand, each with exactly one defect.

A maker writes `path` and nothing else. All but huge_string, many_entries and many_play_files stay under 1 MB on disk.
Without its defect, each would be a readable extended history of a few plays.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.hostile import documents, zips
from tests.hostile.decoys import zip_of

Maker = Callable[[Path], Path]


def technical_log(path: Path) -> Path:
    """The wrong package: Spotify's technical log."""
    entries = json.dumps([{"timestamp_utc": "2020-01-01T00:00:00.000Z", "context_device_type": "phone"}]).encode()
    return zip_of(
        path,
        ("Spotify Technical Log Information/AddedToPlaylist.json", entries),
        ("Spotify Technical Log Information/Share.json", entries),
    )


def unrelated_zip(path: Path) -> Path:
    return zip_of(path, ("holiday/notes.txt", b"Sand everywhere."), ("holiday/list.json", b'{"towels": 4}'))


def _by_name(*makers: Maker) -> dict[str, Maker]:
    return {maker.__name__: maker for maker in makers}


# Refused as a whole, before anything is loaded.
UNSAFE_ZIPS = _by_name(
    zips.overlapping_entries,
    zips.shared_data,
    zips.encrypted,
    zips.symlink,
    zips.absolute_path,
    zips.drive_path,
    zips.parent_path,
    zips.backslash_parent_path,
    zips.duplicate_names,
    zips.names_differing_in_case,
    zips.lying_packed_size,
    zips.high_ratio,
    zips.two_directories,
    zips.many_entries,
    zips.many_play_files,
    zips.nested_zip,
)
BROKEN_ZIPS = _by_name(zips.truncated_zip, zips.not_a_zip, zips.empty_file, zips.empty_zip)
WRONG_PACKAGES = _by_name(technical_log, unrelated_zip)
# Read up to where they break, or without the row that is bad.
BROKEN_MEMBERS = _by_name(
    zips.lying_size_small,
    zips.lying_size_large,
    zips.bad_crc,
    zips.broken_deflate,
    documents.truncated_json,
    documents.garbage_json,
    documents.deep_nesting,
    documents.huge_string,
    documents.huge_number,
    documents.utf16,
    documents.latin1,
    documents.object_at_top,
)
# Unusual, and read whole.
ODD_MEMBERS = _by_name(
    documents.byte_order_mark, documents.lone_surrogate, documents.null_character, documents.repeated_keys
)
