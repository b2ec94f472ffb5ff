"""The list of what a ZIP file holds, read without trusting it.

Belongs here: finding and reading the central directory and the local headers. Not here: the rules of what is safe
(zip_safety) and unpacking (zip_member).
Invariant: at most `max_entries` entries are ever held, and every entry's data lies where its own local header says.

The standard library's zipfile is not used: it reads a directory of any size into memory, and 3.11.7 accepts entries
that overlap (12 kB unpack to 500 MB). Layout: PKWARE APPNOTE 6.3.10.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from myi_pipeline.core.errors import BadInput, UnsafeArchive

_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_MAX_COMMENT: Final = 65_535
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
_UTF8_NAME: Final = 0x800
SIZES_FOLLOW: Final = 0x8
# Names, extra fields and comments: three 16-bit lengths could make one entry 196 kB.
_MAX_ENTRY_BYTES: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipEntry:
    """One entry; `start` is the offset of its local header in the file, `data_start` that of its packed bytes."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    unpacked: int
    mode: int
    start: int
    data_start: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def end(self) -> int:
        return self.data_start + self.packed


@dataclass(frozen=True, slots=True)
class _Directory:
    start: int
    size: int
    count: int
    shift: int  # bytes of something else before the ZIP proper


def read_directory(handle: BinaryIO, *, place: str, max_entries: int) -> list[ZipEntry]:
    """All entries in the directory's order. Raises BadInput for what is no whole ZIP, UnsafeArchive for a lying one."""
    size = handle.seek(0, os.SEEK_END)
    directory = _find_directory(handle, size, place)
    if directory.count > max_entries or directory.size > max_entries * _MAX_ENTRY_BYTES:
        raise UnsafeArchive(
            f"{place}: the ZIP has {directory.count:,} entries; at most {max_entries:,} are taken.",
            place=place,
            rule="max_entries",
        )
    handle.seek(directory.start)
    data = handle.read(directory.size)
    entries = []
    position = 0
    for _ in range(directory.count):
        entry, position = _read_entry(handle, data, position, directory, place)
        entries.append(entry)
    if position != directory.size:
        raise _lying(place, "its directory holds more than the entries it counts")
    return entries


def _find_directory(handle: BinaryIO, size: int, place: str) -> _Directory:
    tail_start = max(0, size - _END.size - _MAX_COMMENT)
    handle.seek(tail_start)
    tail = handle.read(size - tail_start)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        handle.seek(0)
        if handle.read(4) in (b"PK\x03\x04", b"PK\x05\x06"):
            raise BadInput(
                f"{place}: the ZIP is cut off (its directory, at the end, is missing). Download it again.",
                place=place,
                rule="a whole ZIP file",
            )
        raise BadInput(f"{place}: this is not a ZIP file.", place=place, rule="a ZIP file")
    _, disk, first_disk, _, count, length, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    # Some writers add the ZIP64 record though the old one could hold the numbers; then it is the one that counts.
    handle.seek(max(0, end - _END64_LOCATOR.size))
    locator = handle.read(_END64_LOCATOR.size)
    if len(locator) == _END64_LOCATOR.size and locator.startswith(b"PK\x06\x07"):
        end = end - _END64_LOCATOR.size - _END64.size
        handle.seek(max(0, end))
        record = handle.read(_END64.size)
        if len(record) < _END64.size or not record.startswith(b"PK\x06\x06"):
            raise _lying(place, "its ZIP64 directory is not where it must be")
        _, _, _, _, disk, first_disk, _, count, length, offset = _END64.unpack(record)
    if disk or first_disk:
        raise BadInput(f"{place}: this is one part of a ZIP in several parts.", place=place, rule="one ZIP file")
    start = end - length
    if start < 0 or offset > start:
        raise BadInput(
            f"{place}: the ZIP is damaged: its directory does not fit into it. Download it again.",
            place=place,
            rule="a whole ZIP file",
        )
    return _Directory(start=start, size=length, count=count, shift=start - offset)


def _read_entry(
    handle: BinaryIO, data: bytes, position: int, directory: _Directory, place: str
) -> tuple[ZipEntry, int]:
    if len(data) - position < _CENTRAL.size or data[position : position + 4] != b"PK\x01\x02":
        raise _lying(place, "its directory ends before its entries do")
    fields = _CENTRAL.unpack_from(data, position)
    flags, method, crc, packed, unpacked = fields[3], fields[4], fields[7], fields[8], fields[9]
    name_length, extra_length, comment_length, disk = fields[10:14]
    attributes, offset = fields[15:17]
    name_start = position + _CENTRAL.size
    extra_start = name_start + name_length
    raw_name = data[name_start:extra_start]
    extra = data[extra_start : extra_start + extra_length]
    sizes = _sizes64(extra, unpacked=unpacked, packed=packed, offset=offset, place=place)
    unpacked, packed, offset = sizes
    if disk not in (0, _FULL16):
        raise BadInput(f"{place}: this is one part of a ZIP in several parts.", place=place, rule="one ZIP file")
    name = _decode_name(raw_name, flags, place)
    start = offset + directory.shift
    data_start = _check_local(
        handle,
        start,
        raw_name=raw_name,
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        unpacked=unpacked,
        place=place,
    )
    if data_start + packed > directory.start:
        raise _lying(place, "an entry reaches into the directory")
    entry = ZipEntry(
        name=name,
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        unpacked=unpacked,
        mode=attributes >> 16,
        start=start,
        data_start=data_start,
    )
    return entry, extra_start + extra_length + comment_length


def _sizes64(extra: bytes, *, unpacked: int, packed: int, offset: int, place: str) -> tuple[int, int, int]:
    """Sizes and offset with those that do not fit into 32 bits taken from the ZIP64 extra field, in its fixed order."""
    values = [unpacked, packed, offset]
    wanted = [index for index, value in enumerate(values) if value == _FULL32]
    position = 0
    while wanted and position + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, position)
        body = extra[position + 4 : position + 4 + length]
        position += 4 + length
        if tag == 1 and len(body) >= 8 * len(wanted):
            for order, index in enumerate(wanted):
                values[index] = struct.unpack_from("<Q", body, 8 * order)[0]
            wanted = []
    if wanted:
        raise _lying(place, "an entry's ZIP64 sizes are missing")
    return values[0], values[1], values[2]


def _check_local(
    handle: BinaryIO,
    start: int,
    *,
    raw_name: bytes,
    flags: int,
    method: int,
    crc: int,
    packed: int,
    unpacked: int,
    place: str,
) -> int:
    """Where the entry's data begins. The local header must tell the same as the directory."""
    handle.seek(start)
    header = handle.read(_LOCAL.size + len(raw_name))
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise _lying(place, "an entry is not where the directory says")
    _, _, local_flags, local_method, _, _, local_crc, local_packed, local_unpacked, name_length, extra_length = (
        _LOCAL.unpack_from(header)
    )
    if name_length != len(raw_name) or header[_LOCAL.size :] != raw_name:
        raise _lying(place, "an entry has another name in the directory than at its data")
    if local_method != method or (local_flags ^ flags) & (SIZES_FOLLOW | 1):
        raise _lying(place, "an entry is packed otherwise than the directory says")
    known = not flags & SIZES_FOLLOW and _FULL32 not in (local_packed, local_unpacked)
    if known and (local_crc, local_packed, local_unpacked) != (crc, packed, unpacked):
        raise _lying(place, "an entry has another size in the directory than at its data")
    return start + _LOCAL.size + int(name_length) + int(extra_length)


def _decode_name(raw: bytes, flags: int, place: str) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8_NAME else "cp437")
    except UnicodeDecodeError:
        raise _lying(place, "a file name in it cannot be read") from None


def _lying(place: str, what: str) -> UnsafeArchive:
    return UnsafeArchive(
        f"{place}: the ZIP contradicts itself ({what}), so nothing in it is trusted. Use the ZIP as Spotify sent it.",
        place=place,
        rule="a consistent ZIP directory",
    )
