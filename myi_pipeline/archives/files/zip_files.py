"""ZIP files: the standard library's zipfile behind guards, and members unpacked as streams.

zipfile alone reads a directory of any size into memory, trusts it without looking at the local headers, and (3.11.7)
accepts entries that overlap, so that 12 kB unpack to 500 MB. Therefore the directory is checked before zipfile parses
it, and every entry is checked before a byte is unpacked; a ZIP that breaks one rule is refused as a whole. Members are
inflated here and not by zipfile, which drops the last buffer of a member whose checksum is wrong, hides anything beyond
a member's declared size, and reads ahead too far for its ratio to be measured. Layout: PKWARE APPNOTE 6.3.10.
"""

from __future__ import annotations

import itertools
import os
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final

from myi_pipeline.archives.files.kinds import is_archive
from myi_pipeline.archives.files.members import CHUNK_BYTES, MIB, Limits
from myi_pipeline.archives.files.remote import read_at
from myi_pipeline.errors import BadInput, BrokenFile, UnsafeArchive

_END: Final = struct.Struct("<4s4H2LH")
_END64_LOCATOR: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_END64_MARK: Final = b"PK\x06\x06"
# In the fixed part of a directory entry: the lengths of name, extra field and comment, which follow it.
_ENTRY_LENGTHS: Final = struct.Struct("<3H")
_ENTRY_LENGTHS_AT: Final = 28
_ENTRY_BYTES: Final = 46
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_ENTRY_MARK, _LOCAL_MARK, _END_MARK = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
ZIP_MARKS: Final = (_LOCAL_MARK, _END_MARK)
_LONGEST_COMMENT: Final = 65_536
_FULL16: Final = 0xFFFF
_FULL32: Final = 0xFFFFFFFF
_UTF8_NAME: Final = 0x800
_SIZES_FOLLOW: Final = 0x8
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
# Names, extra fields and comments: three 16-bit lengths could make one entry 196 kB.
_MAX_ENTRY_BYTES: Final = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipMember:
    """A member of the ZIP behind `handle`, which stays open as long as the member is used.

    `data_start` is the offset of its packed bytes in the file; the parts of its name are separated by `/`.
    """

    handle: BinaryIO
    info: zipfile.ZipInfo
    data_start: int
    max_ratio: int

    @property
    def name(self) -> str:
        # Some tools on Windows write backslashes, never as part of a name.
        return self.info.orig_filename.replace("\\", "/")

    @property
    def size(self) -> int:
        return self.info.file_size

    @property
    def crc(self) -> int:
        return self.info.CRC

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def can_be_unpacked(self) -> bool:
        """Whether it uses one of the two compression methods that all ZIP tools support."""
        return self.info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

    def chunks(self) -> Iterator[bytes]:
        """See Member: never more than the declared size, and a stream that ends without an error had the right CRC.

        Several members of one handle may be read alternately, but not by several threads.
        """
        crc = 0
        produced = 0
        for piece, taken in self._unpacked():
            good = piece[: self.size - produced]
            crc = zlib.crc32(good, crc)
            produced += len(good)
            if good:
                yield good
            if len(good) < len(piece):
                raise self._broken(produced, "is longer than the ZIP's directory says", "honest sizes")
            if produced > max(MIB, taken * self.max_ratio):
                raise self._broken(
                    produced, f"unpacks to more than {self.max_ratio} times its packed size", "max_ratio"
                )
        if produced < self.size:
            raise self._broken(produced, "is shorter than the ZIP's directory says", "honest sizes")
        if crc != self.crc:
            raise self._broken(
                produced, "does not have the checksum that the ZIP's directory gives", "a correct CRC-32"
            )

    def _packed(self) -> Iterator[bytes]:
        position, left = self.data_start, self.info.compress_size
        while left:
            try:
                # Not seek and read: the position of the handle is shared with other members, and with forked readers.
                data = read_at(self.handle, position, min(CHUNK_BYTES, left))
            except OSError as error:
                raise self._broken(0, f"cannot be read ({error.strerror})", "a readable file") from error
            if not data:
                return
            position += len(data)
            left -= len(data)
            yield data

    def _unpacked(self) -> Iterator[tuple[bytes, int]]:
        """Pieces of at most CHUNK_BYTES, each with the number of packed bytes used so far."""
        taken = produced = 0
        if self.info.compress_type == zipfile.ZIP_STORED:
            for data in self._packed():
                taken += len(data)
                yield data, taken
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        # At the end, the inflater may still hold output for which it needs no more input.
        for data in itertools.chain(self._packed(), itertools.repeat(b"")):
            taken += len(data)
            is_last = not data
            while not inflater.eof and (data or is_last):
                try:
                    piece = inflater.decompress(data, CHUNK_BYTES)
                except zlib.error:
                    raise self._broken(produced, "is damaged inside the ZIP", "a complete deflate stream") from None
                if is_last and not piece:
                    raise self._broken(produced, "ends too early inside the ZIP", "a complete deflate stream")
                data = inflater.unconsumed_tail
                produced += len(piece)
                yield piece, taken - len(data)
            if inflater.eof and is_last:
                return

    def _broken(self, offset: int, what: str, rule: str) -> BrokenFile:
        return BrokenFile(f"{self.name}, byte {offset:,}: the file {what}.", place=self.name, rule=rule, offset=offset)


def open_zip(handle: BinaryIO, *, place: str, limits: Limits) -> list[ZipMember]:
    """The members of a ZIP in the order of its directory, without folders.

    Raises BadInput if the file is not a complete ZIP, UnsafeArchive if it contradicts itself or breaks a safety rule.
    """
    directory_start, count = _check_directory(handle, place=place, max_entries=limits.max_entries)
    try:
        with zipfile.ZipFile(handle) as archive:
            infos = archive.infolist()
    except UnicodeDecodeError:
        raise _lying(place, "a file name in it cannot be read") from None
    except NotImplementedError as error:
        raise BadInput(f"{place}: the ZIP cannot be read ({error}).", place=place, rule="a common ZIP file") from None
    except zipfile.BadZipFile as error:
        raise _lying(place, f"its directory cannot be read: {error}") from None
    if len(infos) != count:
        raise _lying(place, "its directory is ambiguous")
    data_starts = [0] * count
    # Once through the file, whatever the order of the directory: of a remote one each jump is a request.
    for number in sorted(range(count), key=lambda number: infos[number].header_offset):
        data_starts[number] = _check_local_header(handle, infos[number], directory_start, place)
    members = [
        ZipMember(handle=handle, info=info, data_start=data_start, max_ratio=limits.max_ratio)
        for info, data_start in zip(infos, data_starts, strict=True)
    ]
    _check_members(members, place=place, limits=limits)
    return [member for member in members if not member.is_folder]


def _check_directory(handle: BinaryIO, *, place: str, max_entries: int) -> tuple[int, int]:
    """Where the directory begins, found as zipfile finds it, and how many entries it has.

    Its size and the number of its entries are as declared, and within bounds.
    """
    size = handle.seek(0, os.SEEK_END)
    tail_start = max(0, size - _END.size - _LONGEST_COMMENT)
    handle.seek(tail_start)
    tail = handle.read(size - tail_start)
    at = len(tail) - _END.size
    if not (at >= 0 and tail[at : at + 4] == _END_MARK and tail.endswith(b"\0\0")):
        at = tail.rfind(_END_MARK)
    if at < 0 or len(tail) - at < _END.size:
        handle.seek(0)
        if handle.read(4) in ZIP_MARKS:
            raise BadInput(
                f"{place}: the ZIP is cut off (its directory, at the end, is missing). Download it again.",
                place=place,
                rule="a complete ZIP file",
            )
        raise BadInput(f"{place}: this is not a ZIP file.", place=place, rule="a ZIP file")
    _, disk, first_disk, _, count, length, offset, _ = _END.unpack_from(tail, at)
    end = tail_start + at
    # Some writers add the ZIP64 record although the old one could hold the numbers; then the ZIP64 one counts.
    handle.seek(max(0, end - _END64_LOCATOR.size))
    locator = handle.read(_END64_LOCATOR.size)
    if len(locator) == _END64_LOCATOR.size and locator.startswith(b"PK\x06\x07"):
        end = end - _END64_LOCATOR.size - _END64.size
        handle.seek(max(0, end))
        record = handle.read(_END64.size)
        if len(record) < _END64.size or not record.startswith(_END64_MARK):
            raise _lying(place, "its ZIP64 directory is not where it should be")
        _, record_size, _, _, disk, first_disk, _, count, length, offset = _END64.unpack(record)
        # Older versions of zipfile take the record before the locator; since 3.11.14, 3.12.12 and 3.13.10 they first
        # look where the locator points, and allow other data in between. Both must find the same one.
        pointed_at = _END64_LOCATOR.unpack(locator)[2]
        if record_size != _END64.size - 12 or pointed_at > end:
            raise _lying(place, "its ZIP64 directory is not where it should be")
        handle.seek(pointed_at)
        if pointed_at != end and handle.read(4) == _END64_MARK:
            raise _lying(place, "it has two ZIP64 directories")
    if disk or first_disk:
        raise _in_parts(place)
    start = end - length
    if start < 0 or offset > start:
        raise BadInput(
            f"{place}: the ZIP is damaged: its directory does not fit into it. Download it again.",
            place=place,
            rule="a complete ZIP file",
        )
    if count > max_entries or length > max_entries * _MAX_ENTRY_BYTES:
        raise UnsafeArchive(
            f"{place}: the ZIP has {count:,} entries; at most {max_entries:,} are allowed.",
            place=place,
            rule="max_entries",
        )
    handle.seek(start)
    data = handle.read(length)
    position = 0
    for _ in range(count):
        if len(data) - position < _ENTRY_BYTES or data[position : position + 4] != _ENTRY_MARK:
            raise _lying(place, "its directory ends before its entries do")
        position += _ENTRY_BYTES + sum(_ENTRY_LENGTHS.unpack_from(data, position + _ENTRY_LENGTHS_AT))
    if position != length:
        raise _lying(place, "its directory contains more than the entries it counts")
    return int(start), int(count)


def _check_local_header(handle: BinaryIO, info: zipfile.ZipInfo, directory_start: int, place: str) -> int:
    """Where the entry's data begins. The local header must agree with the directory."""
    if info.volume not in (0, _FULL16):
        raise _in_parts(place)
    if _FULL32 in (info.file_size, info.compress_size):
        raise _lying(place, "an entry's ZIP64 sizes are missing")
    start = info.header_offset
    if not 0 <= start < directory_start:
        # A 64-bit offset may exceed any file, which seek refuses with an error of its own.
        raise _lying(place, "an entry is not where the directory says")
    name = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8_NAME else "cp437")
    handle.seek(start)
    header = handle.read(_LOCAL.size + len(name))
    if len(header) < _LOCAL.size or not header.startswith(_LOCAL_MARK):
        raise _lying(place, "an entry is not where the directory says")
    _, _, flags, method, _, _, crc, packed, unpacked, name_length, extra_length = _LOCAL.unpack_from(header)
    if name_length != len(name) or header[_LOCAL.size :] != name:
        raise _lying(place, "an entry's name differs between the directory and its data")
    if method != info.compress_type or (flags ^ info.flag_bits) & (_SIZES_FOLLOW | 1):
        raise _lying(place, "an entry's compression differs between the directory and its data")
    are_known = not info.flag_bits & _SIZES_FOLLOW and _FULL32 not in (packed, unpacked)
    if are_known and (crc, packed, unpacked) != (info.CRC, info.compress_size, info.file_size):
        raise _lying(place, "an entry's size differs between the directory and its data")
    data_start = start + _LOCAL.size + int(name_length) + int(extra_length)
    if data_start + info.compress_size > directory_start:
        raise _lying(place, "an entry reaches into the directory")
    return data_start


def _check_members(members: Sequence[ZipMember], *, place: str, limits: Limits) -> None:
    """Raises UnsafeArchive with the first rule that is broken."""
    ordered = sorted(members, key=lambda member: member.info.header_offset)
    for before, after in itertools.pairwise(ordered):
        if before.data_start + before.info.compress_size > after.info.header_offset:
            raise _unsafe(place, f"{before.name!r} and {after.name!r} share bytes", "no overlapping entries")
    for member in members:
        _check_name(member.name, place)
        _check_type(member, place)
        _check_size(member, place, limits)
    total = sum(member.size for member in members)
    if total > limits.max_total_bytes:
        raise _unsafe(
            place, f"it unpacks to {total:,} bytes; at most {limits.max_total_bytes:,} are allowed", "max_total_bytes"
        )
    seen: dict[str, ZipMember] = {}
    for member in members:
        key = unicodedata.normalize("NFC", member.name.rstrip("/")).casefold()
        other = seen.setdefault(key, member)
        if other is not member and not (other.is_folder and member.is_folder):
            raise _unsafe(place, f"the name {member.name!r} occurs twice", "distinct names, whatever their case")


def _check_name(name: str, place: str) -> None:
    parts = name.rstrip("/").split("/")
    if not name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise _unsafe(place, "a file name is empty or contains control characters", "printable names")
    if name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        raise _unsafe(place, f"the path {name!r} is absolute", "relative paths")
    if ".." in parts:
        raise _unsafe(place, f"the path {name!r} leads out of the archive", "no '..' in paths")


def _check_type(member: ZipMember, place: str) -> None:
    if member.info.flag_bits & _ENCRYPTED:
        raise _unsafe(
            place,
            f"{member.name!r} is encrypted, unlike any export; unpack it and import the folder",
            "no encryption",
        )
    kind = stat.S_IFMT(member.info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        raise _unsafe(place, f"{member.name!r} is a symbolic link", "no symbolic links")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(place, f"{member.name!r} is neither a file nor a folder", "files and folders")
    if not member.is_folder and is_archive(member.name):
        raise _unsafe(
            place,
            f"{member.name!r} is an archive in the archive; unpack it and import the inner one",
            "no nested archives",
        )


def _check_size(member: ZipMember, place: str, limits: Limits) -> None:
    packed = member.info.compress_size
    if member.size > limits.max_file_bytes:
        raise _unsafe(
            place,
            f"{member.name!r} unpacks to {member.size:,} bytes; at most {limits.max_file_bytes:,} are allowed",
            "max_file_bytes",
        )
    if member.size > max(MIB, packed * limits.max_ratio):
        raise _unsafe(
            place, f"{member.name!r} unpacks to more than {limits.max_ratio} times its packed size", "max_ratio"
        )
    if member.info.compress_type == zipfile.ZIP_STORED and packed != member.size:
        raise _unsafe(place, f"{member.name!r} is not compressed but has two sizes", "honest sizes")


def _unsafe(place: str, what: str, rule: str) -> UnsafeArchive:
    return UnsafeArchive(f"{place}: refused, because {what}.", place=place, rule=rule)


def _lying(place: str, what: str) -> UnsafeArchive:
    return UnsafeArchive(
        f"{place}: the ZIP contradicts itself ({what}), so it is not trusted. Use the ZIP as it was sent.",
        place=place,
        rule="a consistent ZIP directory",
    )


def _in_parts(place: str) -> BadInput:
    return BadInput(f"{place}: this is one part of a multi-part ZIP.", place=place, rule="one ZIP file")
