"""Files that would harm a careless reader: small to keep, made on demand, each hostile in one way only.

Belongs here: the makers by what they are about, and the wrong packages. Not here: what a reader should answer.
Invariants: a maker writes `path` and nothing else; all but huge_string, many_entries and many_play_files stay under
1 MB on disk; apart from its one defect each would be a readable extended history of a few plays.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from myi_pipeline.simulator.decoys import zip_of
from myi_pipeline.simulator.hostile_json import (
    byte_order_mark,
    deep_nesting,
    garbage_json,
    huge_number,
    huge_string,
    latin1,
    lone_surrogate,
    null_character,
    object_at_top,
    repeated_keys,
    truncated_json,
    utf16,
)
from myi_pipeline.simulator.hostile_zips import (
    absolute_path,
    backslash_parent_path,
    bad_crc,
    broken_deflate,
    drive_path,
    duplicate_names,
    empty_file,
    empty_zip,
    encrypted,
    high_ratio,
    lying_packed_size,
    lying_size_large,
    lying_size_small,
    many_entries,
    many_play_files,
    names_differing_in_case,
    nested_zip,
    not_a_zip,
    overlapping_entries,
    parent_path,
    shared_data,
    symlink,
    truncated_zip,
)

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


# Refused whole before anything is loaded; the rest are refused, cut short or taken, row by row.
UNSAFE_ZIPS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        overlapping_entries,
        shared_data,
        encrypted,
        symlink,
        absolute_path,
        drive_path,
        parent_path,
        backslash_parent_path,
        duplicate_names,
        names_differing_in_case,
        lying_packed_size,
        high_ratio,
        many_entries,
        many_play_files,
        nested_zip,
    )
}
BROKEN_ZIPS: dict[str, Maker] = {maker.__name__: maker for maker in (truncated_zip, not_a_zip, empty_file, empty_zip)}
WRONG_PACKAGES: dict[str, Maker] = {maker.__name__: maker for maker in (technical_log, unrelated_zip)}
BROKEN_MEMBERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        lying_size_small,
        lying_size_large,
        bad_crc,
        broken_deflate,
        truncated_json,
        garbage_json,
        deep_nesting,
        huge_string,
        huge_number,
        utf16,
        latin1,
        object_at_top,
    )
}
ODD_MEMBERS: dict[str, Maker] = {
    maker.__name__: maker for maker in (byte_order_mark, lone_surrogate, null_character, repeated_keys)
}
