"""Each hostile file has the defect that its name says; a maker that made honest files would prove nothing."""

from __future__ import annotations

import itertools
import json
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hostile import decoys, documents, makers, zips

ALL = {
    **makers.UNSAFE_ZIPS,
    **makers.BROKEN_ZIPS,
    **makers.WRONG_PACKAGES,
    **makers.BROKEN_MEMBERS,
    **makers.ODD_MEMBERS,
}
LARGE = {"huge_string", "many_entries", "many_play_files"}


@pytest.mark.parametrize("name", sorted(set(ALL) - LARGE))
def test_each_file_is_small_and_the_same_each_time(tmp_path: Path, name: str) -> None:
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    ALL[name](one)
    ALL[name](other)

    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size < 1_000_000
    assert set(tmp_path.iterdir()) == {one, other}


def test_the_starting_point_is_a_readable_history(tmp_path: Path) -> None:
    with zipfile.ZipFile(decoys.plain_zip(tmp_path / "a.zip")) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read(decoys.AUDIO)) == decoys.good_rows()


def test_overlapping_entries_unpack_to_much_more_than_they_hold(tmp_path: Path) -> None:
    path = zips.overlapping_entries(tmp_path / "a.zip", entries=20, unpacked=1_000_000)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    unpacked = 0
    for info in infos:
        # What Python's zipfile of some versions does without a complaint, by hand, so that all versions agree.
        start = info.header_offset + 30 + len(info.filename)
        content = zlib.decompress(data[start : start + info.compress_size], -15)
        assert len(content) == info.file_size
        assert zlib.crc32(content) == info.CRC
        unpacked += len(content)
    spans = sorted((info.header_offset, info.header_offset + info.compress_size) for info in infos)

    assert unpacked > 20_000_000 > 1000 * path.stat().st_size
    assert all(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))


def test_entries_are_flagged_linked_and_named_as_promised(tmp_path: Path) -> None:
    def infos(maker: Callable[[Path], Path]) -> list[zipfile.ZipInfo]:
        with zipfile.ZipFile(maker(tmp_path / "a.zip")) as archive:
            return archive.infolist()

    assert infos(zips.encrypted)[0].flag_bits & 1
    assert stat.S_ISLNK(infos(zips.symlink)[1].external_attr >> 16)
    assert infos(zips.absolute_path)[1].filename.startswith("/")
    assert ".." in infos(zips.parent_path)[1].filename
    assert len({info.header_offset for info in infos(zips.shared_data)}) == 1
    assert len({info.filename for info in infos(zips.duplicate_names)}) == 1
    assert len({info.filename.lower() for info in infos(zips.names_differing_in_case)}) == 1
    ratio = infos(zips.high_ratio)[0]
    assert ratio.file_size > 900 * ratio.compress_size
    assert len(infos(lambda path: zips.many_entries(path, entries=50))) == 51
    assert len(infos(lambda path: zips.many_play_files(path, entries=50))) == 50


@pytest.mark.parametrize(
    "maker",
    [zips.bad_crc, zips.lying_size_small, zips.broken_deflate],
    ids=lambda m: m.__name__,
)
def test_a_damaged_member_cannot_be_read_whole(tmp_path: Path, maker: Callable[[Path], Path]) -> None:
    with zipfile.ZipFile(maker(tmp_path / "a.zip")) as archive, pytest.raises((zipfile.BadZipFile, zlib.error)):
        archive.read(decoys.AUDIO)


@pytest.mark.parametrize("name", sorted(makers.BROKEN_ZIPS))
def test_a_broken_zip_holds_nothing(tmp_path: Path, name: str) -> None:
    path = makers.BROKEN_ZIPS[name](tmp_path / "a.zip")

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist() == []


@pytest.mark.parametrize(
    "maker",
    [documents.truncated_json, documents.garbage_json, documents.utf16, documents.latin1],
    ids=lambda m: m.__name__,
)
def test_a_broken_document_is_not_json_in_utf8(tmp_path: Path, maker: Callable[[Path], Path]) -> None:
    with zipfile.ZipFile(maker(tmp_path / "a.zip")) as archive:
        data = archive.read(decoys.AUDIO)
    with pytest.raises(ValueError, match=r".+"):
        json.loads(data.decode("utf-8"))


def test_deep_documents_and_large_texts_are_legal_json(tmp_path: Path) -> None:
    deep = documents.deep_nesting(tmp_path / "a.zip", depth=50)
    large = documents.huge_string(tmp_path / "b.zip", size=100_000)
    for path in (deep, large):
        with zipfile.ZipFile(path) as archive:
            assert len(json.loads(archive.read(decoys.AUDIO))) == 1
