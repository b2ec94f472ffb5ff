"""ZIP files with one defect in the container. See `makers` for what they share."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

from tests.hostile.decoys import AUDIO, REGULAR, good_json, plain_zip, zip_info, zip_of

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_ENCRYPTED = 0x1
_SYMLINK = 0o120777 << 16
_END64_BYTES = 56

# Raw records, for what zipfile rightly refuses to write.


def _local_header(name: bytes, *, flags: int, crc: int, packed: int, unpacked: int) -> bytes:
    return struct.pack("<4s5H3I2H", _LOCAL, 20, flags, 8, 0, 0x5821, crc, packed, unpacked, len(name), 0) + name


def _central_header(name: bytes, *, flags: int, crc: int, packed: int, unpacked: int, offset: int) -> bytes:
    return (
        struct.pack(
            "<4s6H3I5H2I",
            _CENTRAL, 0x0314, 20, flags, 8, 0, 0x5821, crc, packed, unpacked, len(name), 0, 0, 0, 0, REGULAR, offset,
        )
        + name
    )  # fmt: skip


def _end_record(count: int, *, size: int, offset: int) -> bytes:
    return struct.pack("<4s4H2IH", _END, 0, 0, count, count, size, offset, 0)


def _end64_record(count: int, *, size: int, offset: int, more: int = 0) -> bytes:
    return struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", _END64_BYTES - 12 + more, 45, 45, 0, 0, count, count, size, offset)


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _raw_zip(
    path: Path, *, name: str = AUDIO, flags: int = 0, crc_off: int = 0, unpacked_off: int = 0, packed_off: int = 0
) -> Path:
    data = good_json()
    packed, encoded = _deflate(data), name.encode()
    crc = (zlib.crc32(data) + crc_off) & 0xFFFFFFFF
    sizes = {"crc": crc, "packed": len(packed) + packed_off, "unpacked": len(data) + unpacked_off}
    body = _local_header(encoded, flags=flags, **sizes) + packed
    central = _central_header(encoded, flags=flags, offset=0, **sizes)
    path.write_bytes(body + central + _end_record(1, size=len(central), offset=len(body)))
    return path


def overlapping_entries(path: Path, *, entries: int = 50, unpacked: int = 10 * 1024 * 1024) -> Path:
    """A few kB that unpack to 500 MB; some versions of zipfile read them without complaint.

    Every entry's packed data run to the end of the last one's: first a stored block that quotes the next entry's
    header, then that entry's data, and so on to the one block of blanks that all of them share.
    """
    kernel = b"[" + b" " * (unpacked - 2) + b"]"
    body = _deflate(kernel)
    quoted = central = b""
    headers: list[tuple[bytes, dict[str, int], int]] = []
    for number in reversed(range(entries)):
        name = b"MyData/endsong_%d.json" % number
        sizes = {"crc": zlib.crc32(kernel, zlib.crc32(quoted)), "packed": len(body), "unpacked": unpacked + len(quoted)}
        header = _local_header(name, flags=0, **sizes)
        headers.append((name, sizes, len(header) + len(body)))
        if number:
            # Not the last block, not packed; its length and the complement of that.
            block = struct.pack("<BHH", 0, len(header), len(header) ^ 0xFFFF)
            quoted = header + quoted
            body = block + header + body
        else:
            body = header + body
    for name, sizes, from_end in reversed(headers):
        central += _central_header(name, flags=0, offset=len(body) - from_end, **sizes)
    path.write_bytes(body + central + _end_record(entries, size=len(central), offset=len(body)))
    return path


def shared_data(path: Path, *, entries: int = 50) -> Path:
    """Many entries that all point at one header and its data."""
    data = good_json()
    packed = _deflate(data)
    sizes = {"crc": zlib.crc32(data), "packed": len(packed), "unpacked": len(data)}
    body = _local_header(b"MyData/endsong_0.json", flags=0, **sizes) + packed
    central = b"".join(
        _central_header(b"MyData/endsong_%d.json" % number, flags=0, offset=0, **sizes) for number in range(entries)
    )
    path.write_bytes(body + central + _end_record(entries, size=len(central), offset=len(body)))
    return path


def encrypted(path: Path) -> Path:
    """The entry says that it needs a password."""
    return _raw_zip(path, flags=_ENCRYPTED)


def symlink(path: Path) -> Path:
    """An entry that is a symbolic link to a file outside."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zip_info(AUDIO), good_json())
        archive.writestr(zip_info("MyData/endsong_9.json", attributes=_SYMLINK), "../../../../etc/passwd")
    return path


def absolute_path(path: Path) -> Path:
    return zip_of(path, (AUDIO, good_json()), ("/etc/cron.d/endsong_0.json", good_json()))


def drive_path(path: Path) -> Path:
    return _raw_zip(path, name="C:\\Windows\\endsong_0.json")


def parent_path(path: Path) -> Path:
    return zip_of(path, (AUDIO, good_json()), ("MyData/../../endsong_0.json", good_json()))


def backslash_parent_path(path: Path) -> Path:
    return _raw_zip(path, name="MyData\\..\\..\\endsong_0.json")


def duplicate_names(path: Path) -> Path:
    """Two members of one name and different content: which of them is read would be chance."""
    # Written under two names of one length, and then renamed: zipfile warns about duplicates.
    other = AUDIO.replace("_0.json", "_1.json")
    zip_of(path, (AUDIO, good_json(5)), (other, good_json(9)))
    path.write_bytes(path.read_bytes().replace(other.encode(), AUDIO.encode()))
    return path


def names_differing_in_case(path: Path) -> Path:
    return zip_of(path, (AUDIO, good_json(5)), (AUDIO.upper(), good_json(9)))


def lying_size_small(path: Path) -> Path:
    """The headers promise fewer unpacked bytes than come out."""
    return _raw_zip(path, unpacked_off=-1000)


def lying_size_large(path: Path) -> Path:
    """The headers promise more unpacked bytes than come out."""
    return _raw_zip(path, unpacked_off=1000)


def lying_packed_size(path: Path) -> Path:
    """The packed data would run past the central directory."""
    return _raw_zip(path, packed_off=100_000)


def bad_crc(path: Path) -> Path:
    return _raw_zip(path, crc_off=1)


def truncated_zip(path: Path) -> Path:
    """A download that stopped: the first two thirds of a ZIP."""
    plain_zip(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def broken_deflate(path: Path) -> Path:
    """The packed bytes are damaged in the middle."""
    zip_of(path, (AUDIO, good_json(400)))
    data = bytearray(path.read_bytes())
    middle = 30 + len(AUDIO) + (data.index(_CENTRAL) - 30 - len(AUDIO)) // 2
    data[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(bytes(data))
    return path


def not_a_zip(path: Path) -> Path:
    path.write_bytes(b"This is no archive.\n" * 50)
    return path


def empty_file(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def empty_zip(path: Path) -> Path:
    return zip_of(path)


def nested_zip(path: Path) -> Path:
    """A ZIP that holds nothing but another ZIP."""
    plain_zip(path)
    return zip_of(path, ("my_spotify_data.zip", path.read_bytes()))


def high_ratio(path: Path, *, unpacked: int = 64 * 1024 * 1024) -> Path:
    """A play file of blanks: about 1,000 times larger unpacked."""
    rows = good_json(3)
    with zipfile.ZipFile(path, "w") as archive, archive.open(zip_info(AUDIO), "w") as member:
        member.write(rows[:-1])
        for _ in range(unpacked // 65_536):
            member.write(b" " * 65_536)
        member.write(b"]")
    return path


def two_directories(path: Path, *, entries: int = 5_000) -> Path:
    """A ZIP64 whose locator points at one record while another one, of an empty directory, lies directly before it."""
    name = AUDIO.encode()
    entry = _central_header(name, flags=0, crc=0, packed=0, unpacked=0, offset=0)
    directory = entry * entries
    pointed_at = _end64_record(entries, size=len(directory), offset=0, more=_END64_BYTES)
    decoy = _end64_record(0, size=0, offset=len(directory) + len(pointed_at))
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(directory), 1)
    path.write_bytes(directory + pointed_at + decoy + locator + _end_record(0xFFFF, size=0xFFFFFFFF, offset=0xFFFFFFFF))
    return path


def many_entries(path: Path, *, entries: int = 20_000) -> Path:
    return zip_of(path, (AUDIO, good_json()), *((f"MyData/note_{number}.txt", b"") for number in range(entries)))


def many_play_files(path: Path, *, entries: int = 20_000) -> Path:
    return zip_of(path, *((f"MyData/endsong_{number}.json", b"[]") for number in range(entries)))
