"""Hostile ZIP files: each is refused by its own rule, before a row is read, or breaks one file and nothing else.

On this machine's disk, and in an object store.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import resource
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.archives.files.remote import RemoteFile
from myi_pipeline.archives.files.zip_files import open_zip
from myi_pipeline.errors import BadInput, UnsafeArchive, WrongPackage
from myi_pipeline.storage import object_ranges

CENTRAL = b"PK\x01\x02"
LOCAL = b"PK\x03\x04"
END = b"PK\x05\x06"


@pytest.fixture(params=["disk", "store"])
def read(request: pytest.FixtureRequest, read, monkeypatch: pytest.MonkeyPatch):
    """From a file, and by ranges of an object, in windows so short that the smallest ZIP takes several."""
    if request.param == "disk":
        return read
    monkeypatch.setattr(object_ranges, "_SHORTEST", 64)
    monkeypatch.setattr(object_ranges, "_LONGEST", 16 * 1024)

    def read_by_ranges(path: Path, **limits: int):
        with path.open("rb") as file:

            def fetch(start: int, end: int) -> bytes:
                return os.pread(file.fileno(), end - start, start)

            ranges = object_ranges.ObjectRanges(fetch, size=path.stat().st_size)
            return read(RemoteFile(name=path.name, size=ranges.size, read_at=ranges.read_at), **limits)

    return read_by_ranges


def patched(path: Path, signature: bytes, offset: int, layout: str, value: int, *, nth: int = 0) -> Path:
    """The file with one field of the nth header of that signature replaced."""
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(nth + 1):
        at = data.index(signature, at + 1)
    struct.pack_into(layout, data, at + offset, value)
    path.write_bytes(data)
    return path


def refused(read, path: Path, error: type[BadInput] = UnsafeArchive, **limits: int) -> BadInput:
    with pytest.raises(error) as caught:
        read(path, **limits)
    assert type(caught.value) is error
    assert path.name in str(caught.value)
    return caught.value


def test_too_many_entries_are_refused_by_their_count_alone(zip_of, read, row) -> None:
    path = zip_of({f"endsong_{number}.json": [row()] for number in range(11)})
    assert refused(read, path, max_entries=10).rule == "max_entries"
    assert refused(read, patched(path, END, 10, "<H", 65_000)).rule == "max_entries"


def test_a_directory_larger_than_its_count_explains_is_refused(zip_of, read, row) -> None:
    path = patched(zip_of({f"endsong_{number}.json": [row()] for number in range(3)}), END, 10, "<H", 2)
    assert "more than the entries it counts" in str(refused(read, path))


def test_sizes_are_limited_by_file_and_in_total(zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row()], "endsong_1.json": [row(ms_played=1)]})
    assert refused(read, path, max_file_bytes=100).rule == "max_file_bytes"
    assert refused(read, path, max_total_bytes=1_000).rule == "max_total_bytes"
    assert len(read(path, max_total_bytes=2_000, max_file_bytes=1_000).plays) == 2


def test_a_bomb_is_refused_by_the_ratio_that_it_admits(zip_of, read) -> None:
    assert refused(read, zip_of({"endsong_0.json": b"[" + b" " * 3_000_000 + b"]"})).rule == "max_ratio"


def test_a_bomb_that_lies_about_its_packed_size_is_stopped_while_it_unpacks(tmp_path: Path, read) -> None:
    """The declared packed size reaches far beyond the deflate stream, into padding that no header describes."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(b"[" + b" " * 5_000_000) + bomb.flush()
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("endsong_0.json", packed + b"\0" * 50_000)
    for signature, method, size in ((LOCAL, 8, 22), (CENTRAL, 10, 24)):
        patched(path, signature, method, "<H", 8)
        patched(path, signature, size, "<L", 5_000_001)
    outcome = read(path, max_row_bytes=50_000_000)
    assert [error.rule for error in outcome.broken] == ["max_ratio"]
    assert outcome.bytes_read < 2_500_000


def test_overlapping_entries_are_refused(tmp_path: Path, read, row) -> None:
    """Python 3.11.7's zipfile unpacks this: the second entry lies inside the first one's data."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("endsong_1.json", json.dumps([row()]))
    body = inner.getvalue()
    body = body[: body.index(CENTRAL)]
    path = tmp_path / "overlap.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("endsong_0.json", body)
        archive.writestr("endsong_1.json", json.dumps([row()]))
    data = path.read_bytes()
    start = data.index(LOCAL, 4)
    patched(path, CENTRAL, 42, "<L", start, nth=1)
    assert refused(read, path).rule == "no overlapping entries"


def test_one_piece_of_data_under_two_names_is_refused(zip_of, read, row) -> None:
    path = patched(zip_of({"endsong_0.json": [row()], "endsong_1.json": [row()]}), CENTRAL, 42, "<L", 0, nth=1)
    assert refused(read, path).rule == "a consistent ZIP directory"


@pytest.mark.parametrize("inner", ["my_spotify_data.zip", "a/more.7Z", "x.tar.gz"])
def test_an_archive_in_the_archive_is_refused(inner: str, zip_of, read, row) -> None:
    error = refused(read, zip_of({"endsong_0.json": [row()], inner: b"PK"}))
    assert error.rule == "no nested archives"
    assert "unpack it" in str(error)


def test_an_encrypted_entry_is_refused(zip_of, read, row) -> None:
    path = patched(zip_of({"endsong_0.json": [row()]}), CENTRAL, 8, "<H", 1)
    assert "compression differs" in str(refused(read, path))
    assert refused(read, patched(path, LOCAL, 6, "<H", 1)).rule == "no encryption"


@pytest.mark.parametrize(
    ("mode", "rule"),
    [
        (stat.S_IFLNK | 0o777, "no symbolic links"),
        (stat.S_IFIFO | 0o600, "files and folders"),
        (stat.S_IFBLK, "files and folders"),
    ],
)
def test_links_and_devices_are_refused(mode: int, rule: str, zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row()], "other": b"/etc/passwd"})
    assert refused(read, patched(path, CENTRAL, 38, "<L", mode << 16, nth=1)).rule == rule


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("/endsong_0.json", "relative paths"),
        ("\\endsong_0.json", "relative paths"),
        ("\\\\server\\share\\endsong_0.json", "relative paths"),
        ("C:\\endsong_0.json", "relative paths"),
        ("a\\..\\..\\endsong_0.json", "no '..' in paths"),
        ("C:/endsong_0.json", "relative paths"),
        ("../endsong_0.json", "no '..' in paths"),
        ("a/../../endsong_0.json", "no '..' in paths"),
        ("a/..", "no '..' in paths"),
        ("endsong_0\n.json", "printable names"),
    ],
)
def test_dangerous_names_are_refused(name: str, rule: str, zip_of, read, row) -> None:
    assert refused(read, zip_of({name: [row()]})).rule == rule


def test_a_zip_that_a_windows_tool_wrote_with_backslashes_is_read(zip_of, read, row) -> None:
    archive = read(zip_of({"MyData\\": b"", "MyData\\deep\\endsong_0.json": [row()], "MyData\\read me.pdf": b"%PDF"}))
    assert archive.files == ["MyData/deep/endsong_0.json"]
    assert archive.skipped == ("MyData/read me.pdf",)
    assert len(archive.plays) == 1


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names",
    [
        ("endsong_0.json", "endsong_0.json"),
        ("endsong_0.json", "EndSong_0.JSON"),
        ("\u00e9/endsong_0.json", "e\u0301/endsong_0.json"),
        ("endsong_0.json", "endsong_0.json/"),
        ("a/endsong_0.json", "a\\endsong_0.json"),
        ("a\\endsong_0.json", "A\\EndSong_0.json"),
    ],
)
def test_names_that_are_one_name_on_some_disk_are_refused(names: tuple[str, str], tmp_path: Path, read, row) -> None:
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, json.dumps([row()]) if not name.endswith("/") else "")
    assert refused(read, path).rule == "distinct names, whatever their case"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_folder_may_be_listed_twice(tmp_path: Path, read, row) -> None:
    path = tmp_path / "folders.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a/", "a/", "a/endsong_0.json"):
            archive.writestr(name, "" if name == "a/" else json.dumps([row()]))
    assert len(read(path).plays) == 1


@pytest.mark.parametrize(
    ("offset", "layout", "value", "says"),
    [
        (4 + 4, "<H", 9, "compression differs"),
        (14, "<L", 1, "size differs"),
        (18, "<L", 5, "size differs"),
        (22, "<L", 5, "size differs"),
        (26, "<H", 3, "name differs"),
        (30, "<B", 65, "name differs"),
        (0, "<B", 65, "not where the directory says"),
    ],
)
def test_a_local_header_that_contradicts_the_directory_is_refused(
    offset, layout, value, says, zip_of, read, row
) -> None:
    path = patched(zip_of({"endsong_0.json": [row()]}), LOCAL, offset, layout, value)
    assert says in str(refused(read, path))


def test_a_name_that_cannot_be_decoded_is_refused(zip_of, read, row) -> None:
    path = zip_of({"\u00e4/endsong_0.json": [row()]})
    path.write_bytes(path.read_bytes().replace("\u00e4".encode(), b"\xff\xff"))
    assert "cannot be read" in str(refused(read, path))


def test_a_data_size_that_reaches_into_the_directory_is_refused(zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row()]}, method=zipfile.ZIP_STORED)
    for signature, offset in ((LOCAL, 18), (CENTRAL, 20)):
        for shift in (0, 4):
            patched(path, signature, offset + shift, "<L", 900)
    assert "reaches into the directory" in str(refused(read, path))


def test_a_stored_entry_with_two_sizes_is_refused(zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row()]}, method=zipfile.ZIP_STORED)
    for signature, offset in ((LOCAL, 22), (CENTRAL, 24)):
        patched(path, signature, offset, "<L", 10)
    assert refused(read, path).rule == "honest sizes"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_play_files_must_be_packed_in_a_supported_way(method: int, zip_of, tmp_path: Path, read, row) -> None:
    error = refused(read, zip_of({"endsong_0.json": [row()]}, method=method), BadInput)
    assert "unsupported" in str(error)
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("endsong_0.json", json.dumps([row()]))
        archive.writestr("ReadMe.pdf", b"x" * 100, compress_type=method)
    assert len(read(path).plays) == 1
    assert refused(read, zip_of({"renamed.json": [row()]}, method=method), WrongPackage)


@pytest.mark.parametrize("cut", [1, 10, 22, 60, 300])
def test_a_truncated_zip_says_that_it_is_cut_off(cut: int, zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row(ms_played=number) for number in range(20)]})
    path.write_bytes(path.read_bytes()[:-cut])
    assert "Download it again" in str(refused(read, path, BadInput))


def test_one_part_of_several_is_refused(zip_of, read, row) -> None:
    assert "multi-part ZIP" in str(
        refused(read, patched(zip_of({"endsong_0.json": [row()]}), END, 4, "<H", 1), BadInput)
    )
    assert "multi-part ZIP" in str(
        refused(read, patched(zip_of({"endsong_0.json": [row()]}), CENTRAL, 34, "<H", 2), BadInput)
    )


# ---- what only shows while unpacking: the file breaks, its good rows and the other files stay


@pytest.fixture
def three(zip_of, row):
    """Three play files, the middle one large enough for several buffers."""
    noise = random.Random(1)

    def rows(count: int):
        return [row(ms_played=noise.randrange(10**6), platform=str(noise.randrange(10**9))) for _ in range(count)]

    return zip_of({"endsong_0.json": rows(3), "endsong_1.json": rows(2_000), "endsong_2.json": rows(4)})


def test_a_wrong_checksum_is_reported_at_the_end(three, read) -> None:
    for signature, offset in ((LOCAL, 14), (CENTRAL, 16)):
        patched(three, signature, offset, "<L", 12345, nth=1)
    outcome = read(three)
    assert len(outcome.plays) == 2_007
    (broken,) = outcome.broken
    assert (broken.rule, broken.place) == ("a correct CRC-32", "endsong_1.json")
    assert broken.offset == zipfile.ZipFile(three).getinfo("endsong_1.json").file_size


@pytest.mark.parametrize(("declared", "says"), [(300_000, "longer than"), (2_000_000, "shorter than")])
def test_a_lying_size_stops_the_file_there(declared: int, says: str, three, read) -> None:
    for signature, offset in ((LOCAL, 22), (CENTRAL, 24)):
        patched(three, signature, offset, "<L", declared, nth=1)
    outcome = read(three)
    (broken,) = outcome.broken
    assert says in str(broken)
    assert broken.rule == "honest sizes"
    assert broken.offset == min(declared, outcome.bytes_read - sum(len_of(three, name) for name in (0, 2)))
    assert 7 < len(outcome.plays) <= 2_007


def len_of(path: Path, number: int) -> int:
    return zipfile.ZipFile(path).getinfo(f"endsong_{number}.json").file_size


def test_a_lying_size_with_a_fitting_checksum_is_still_found(zip_of, read, row) -> None:
    """The checksum of the declared part is right, so only the surplus tells."""
    content = json.dumps([row()]).encode()
    path = zip_of({"endsong_0.json": content + b"surplus"})
    for signature, offset in ((LOCAL, 14), (CENTRAL, 16)):
        patched(path, signature, offset, "<L", zlib.crc32(content))
        patched(path, signature, offset + 8, "<L", len(content))
    outcome = read(path)
    assert len(outcome.plays) == 1
    assert [error.rule for error in outcome.broken] == ["honest sizes"]


def test_a_truncated_deflate_stream_keeps_the_rows_before(three, read) -> None:
    packed = zipfile.ZipFile(three).getinfo("endsong_1.json").compress_size // 2
    for signature, offset in ((LOCAL, 18), (CENTRAL, 20)):
        patched(three, signature, offset, "<L", packed, nth=1)
    outcome = read(three)
    (broken,) = outcome.broken
    assert broken.rule == "a complete deflate stream"
    assert 500 < len(outcome.plays) < 1_500


def test_damaged_deflate_data_breaks_one_file(three, read) -> None:
    data = bytearray(three.read_bytes())
    middle = data.index(LOCAL, 4) + 20_000
    data[middle : middle + 2_000] = bytes(2_000)
    three.write_bytes(data)
    outcome = read(three)
    (broken,) = outcome.broken
    assert broken.place == "endsong_1.json"
    assert {play.ms_played for play in outcome.plays} >= {play.ms_played for play in read(three).plays}


# ---- odd but honest


@pytest.mark.parametrize(("before", "after"), [(b"junk" * 100, b""), (b"", b"\0" * 500), (b"#!/bin/sh\n", b"tail")])
def test_bytes_before_and_after_the_zip_do_not_matter(before: bytes, after: bytes, zip_of, read, row) -> None:
    path = zip_of({"endsong_0.json": [row()], "endsong_1.json": [row(ms_played=1)]})
    path.write_bytes(before + path.read_bytes() + after)
    assert len(read(path).plays) == 2


def test_a_streamed_zip_whose_sizes_follow_the_data_is_read(tmp_path: Path, read, row) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.data += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("endsong_0.json", json.dumps([row()]))
        archive.writestr("endsong_1.json", json.dumps([row(ms_played=1)]))
    (tmp_path / "streamed.zip").write_bytes(pipe.data)
    assert len(read(tmp_path / "streamed.zip").plays) == 2


def test_zip64_is_read(tmp_path: Path, read, row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"endsong_{number}.json", json.dumps([row(ms_played=number)]))
    assert b"PK\x06\x06" in path.read_bytes()
    assert [play.ms_played for play in read(path).plays] == [0, 1, 2]
    path.write_bytes(path.read_bytes().replace(b"PK\x06\x06", b"PK\x06\x00"))
    assert "ZIP64 directory" in str(refused(read, path))


def test_missing_zip64_sizes_are_refused(zip_of, read, row) -> None:
    path = patched(zip_of({"endsong_0.json": [row()]}), CENTRAL, 24, "<L", 0xFFFFFFFF)
    assert "ZIP64 sizes" in str(refused(read, path))


def test_stored_entries_and_names_in_utf8_are_read(zip_of, read, row) -> None:
    path = zip_of({"Spotify Erweiterter Streaming-Verlauf \u2764/endsong_0.json": [row()]}, method=zipfile.ZIP_STORED)
    assert read(path).files == ["Spotify Erweiterter Streaming-Verlauf \u2764/endsong_0.json"]


def test_two_files_of_one_zip_may_be_read_in_turns(three) -> None:
    with open_history(three, limits=Limits(), hash_account=lambda _: b"") as archive:
        alone = [list(archive.read(file)) for file in archive.files]
        readers = [iter(archive.read(file)) for file in archive.files]
        together = [[next(reader)] for reader in readers]
        for rows, reader in zip(together, readers, strict=True):
            rows.extend(reader)
    assert together == alone


def test_a_refused_zip_is_closed(zip_of, read) -> None:
    """A handle left open is a ResourceWarning, and warnings are errors."""
    with pytest.raises(WrongPackage):
        read(zip_of({"a.txt": b""}))


def honest_zip(*, limit: int) -> bytes:
    """Sizes and offsets beyond the limit are written in 64 bits."""
    made = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", limit)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", limit)
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("endsong_0.json", "d/", "d/StreamingHistory0.json"):
                archive.writestr(name, "[]" * 50)
    return made.getvalue()


HONEST, HONEST64 = honest_zip(limit=2**31), honest_zip(limit=1)
EXTREMES = (2**63 - 1, 2**63, 2**64 - 1, 2**32 - 1, 2**31, 0)


@pytest.mark.parametrize("value", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_number_of_64_bits_that_no_file_can_have_is_refused(tmp_path: Path, read, value: int) -> None:
    """At every place of the directory in turn, and so in each of its sizes, offsets and counts."""
    path = tmp_path / "huge.zip"
    for at in range(HONEST64.index(CENTRAL), len(HONEST64) - 8):
        path.write_bytes(HONEST64[:at] + struct.pack("<Q", value) + HONEST64[at + 8 :])
        with contextlib.suppress(BadInput):
            read(path)


@given(st.data())
def test_no_damage_to_a_zip_raises_anything_but_bad_input(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from((HONEST, HONEST64))))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 8))
        if data.draw(st.booleans()):
            damaged[at] = data.draw(st.integers(0, 255))
        else:
            struct.pack_into("<Q", damaged, at, data.draw(st.sampled_from(EXTREMES)))
    start, end = data.draw(st.tuples(st.integers(0, 30), st.integers(0, 30)))
    handle = io.BytesIO(bytes(damaged[start : len(damaged) - end]))
    with contextlib.suppress(BadInput):
        open_zip(handle, place="x.zip", limits=Limits(max_entries=100))


def test_memory_does_not_grow_with_a_hostile_directory(tmp_path: Path, read) -> None:
    """65,535 entries with 64 kB of extra field each would be 4 GB to a reader that trusts the directory."""
    path = tmp_path / "huge.zip"
    with path.open("wb") as file:
        file.truncate(2**31)
        file.seek(2**31)
        file.write(struct.pack("<4s4H2LH", END, 0, 0, 9_000, 9_000, 2**31, 0, 0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refused(read, path).rule == "max_entries"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
