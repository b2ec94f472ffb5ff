"""The playlist files in a ZIP: Spotify's account data, or a folder of files that a person or Exportify packed.

Nothing is unpacked to disk. Counts and sizes are limited, first by what the directory says, then by what is actually
unpacked. Only the two common compression methods are accepted, because LZMA's dictionary can be of any size.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from myi_pipeline.errors import BadInput, UnsafeArchive
from myi_pipeline.playlists.files.records import Limits
from myi_pipeline.playlists.files.spotify_account import NAMES

MARKS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_END: Final = struct.Struct("<4s4H2LH")
_END_MARK: Final = b"PK\x05\x06"
_LONGEST_COMMENT: Final = 65_535
# A directory entry with a name of usual length; the longest possible takes 196 kB.
_ENTRY_BYTES: Final = 1_024
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, struct.error,
    OverflowError,
)  # fmt: skip


def members(handle: BinaryIO, *, place: str, limits: Limits, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The path and content of each file that may hold playlists, in the order of their paths.

    In Spotify's account data these are only Playlist*.json and YourLibrary.json; otherwise, files with these suffixes.
    Raises BadInput if the ZIP is broken, UnsafeArchive if it exceeds the limits.
    """
    _check_directory(handle, place=place, limits=limits)
    try:
        with zipfile.ZipFile(handle) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            of_account = [info for info in infos if NAMES.fullmatch(PurePosixPath(info.filename).name)]
            chosen = of_account or [info for info in infos if _is_wanted(info.filename, suffixes)]
            if not chosen:
                raise BadInput(
                    f"{place}: the ZIP holds no playlists: none of its {len(infos):,} files is one that MYI reads.",
                    place=place,
                    rule="playlist files",
                )
            left = limits.max_unpacked_bytes
            for info in sorted(chosen, key=lambda info: info.filename):
                data = _content(archive, info, place=f"{place}/{info.filename}", limits=limits)
                left -= len(data)
                if left < 0:
                    raise _unsafe(place, f"its files add up to more than {limits.max_unpacked_bytes:,} bytes")
                yield info.filename, data
    except _BROKEN as error:
        raise BadInput(f"{place}: the ZIP cannot be read: {error}.", place=place, rule="a whole ZIP file") from None


def _is_wanted(name: str, suffixes: tuple[str, ...]) -> bool:
    # macOS adds a shadow file for each file.
    path = PurePosixPath(name)
    return path.suffix.lower() in suffixes and "__MACOSX" not in path.parts and not path.name.startswith("._")


def _check_directory(handle: BinaryIO, *, place: str, limits: Limits) -> None:
    """Refuse a directory that would fill the memory, because zipfile reads all of it at once."""
    size = handle.seek(0, 2)
    start = max(0, size - _END.size - _LONGEST_COMMENT)
    handle.seek(start)
    tail = handle.read(size - start)
    at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        raise BadInput(
            f"{place}: the ZIP is cut off (its directory, at the end, is missing). Download it again.",
            place=place,
            rule="a whole ZIP file",
        )
    _, _, _, _, count, length, _, _ = _END.unpack_from(tail, at)
    if count == 0xFFFF or length == 0xFFFFFFFF or b"PK\x06\x07" in tail[max(0, at - 20) : at]:
        raise _unsafe(place, "it is a ZIP64, which only archives beyond 4 GB need")
    if count > limits.max_members or length > limits.max_members * _ENTRY_BYTES:
        raise _unsafe(place, f"it has more than {limits.max_members:,} files")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, place: str, limits: Limits) -> bytes:
    if info.flag_bits & 1:
        raise BadInput(f"{place}: the file is encrypted.", place=place, rule="files without a password")
    if info.compress_type not in _METHODS:
        raise BadInput(
            f"{place}: the file is compressed by an unsupported method.", place=place, rule="stored or deflated"
        )
    with archive.open(info) as opened:
        data = opened.read(limits.max_bytes + 1)
    if len(data) > limits.max_bytes:
        raise _unsafe(place, f"it has more than {limits.max_bytes:,} bytes")
    return data


def _unsafe(place: str, what: str) -> UnsafeArchive:
    return UnsafeArchive(f"{place}: not read: {what}.", place=place, rule="a ZIP of playlists")
