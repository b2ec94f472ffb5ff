"""Which pictures are kept: the size, the address, the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myi_pipeline.catalogue.picture_rules import best_picture, is_whole, media_type_of, picture_path
from myi_pipeline.catalogue.records import Picture

HOST = "https://i.scdn.co/image/"
JPEG = b"\xff\xd8\xff\xe0" + bytes(40) + b"\xff\xd9"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40) + b"\0\0\0\0IEND\xaeB`\x82"
WEBP = b"RIFF" + (44).to_bytes(4, "little") + b"WEBP" + bytes(40)


def of_sizes(*sizes: int | None) -> list[Picture]:
    return [Picture(f"{HOST}{number}", size, size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "best"),
    [
        ((640, 300, 64), 1),
        ((640, 320, 160), 1),
        ((640,), 0),
        ((64, 640), 0),
        ((200, 400), 1),
        ((None, 64), 1),
        ((None, None), 0),
        ((1_000, None), 1),
    ],
)
def test_the_size_nearest_to_three_hundred_is_wanted_and_of_two_the_larger(
    sizes: tuple[int | None, ...], best: int
) -> None:
    pictures = of_sizes(*sizes)
    assert best_picture(pictures) == pictures[best]


def test_a_picture_elsewhere_is_none_however_well_it_fits() -> None:
    elsewhere = Picture("https://images.example.org/image/1", 300, 300)
    far = Picture(f"{HOST}2", 64, 64)
    assert best_picture([elsewhere, far]) == far
    assert best_picture([elsewhere]) is None
    assert best_picture([]) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://i.scdn.co/image/1",
        "https://i.scdn.co.example.org/image/1",
        "https://i.scdn.co@example.org/image/1",
        "https://user@i.scdn.co/image/1",
        "https://i.scdn.co:8443/image/1",
        "https://I.SCDN.CO/image/1",
        "https://i.scdn.co/image/",
        "https://i.scdn.co/image/../control",
        "https://i.scdn.co/image/%2e%2e",
        "https://i.scdn.co/image/1?x=1",
        "https://i.scdn.co/image/1#x",
        "https://i.scdn.co/image/1\n",
        "https://i.scdn.co/image/1\r\nX: 1",
        "https://i.scdn.co\\image/1",
        "https://i.scdn.co//image/1",
        "https://127.0.0.1/image/1",
        "https://i.scdn.co/image/" + "a" * 201,
        "https://i.scdn.co/image/\u0661",
        "file:///image/1",
        "",
    ],
)
def test_an_address_of_any_other_origin_or_kind_is_none(url: str) -> None:
    assert picture_path(url) is None


def test_an_address_of_the_picture_host_gives_its_path() -> None:
    assert picture_path(f"{HOST}ab67616d00001e02ff9ca10b55ce82ae553c8228") == (
        "/image/ab67616d00001e02ff9ca10b55ce82ae553c8228"
    )


def test_what_a_picture_is_its_first_bytes_say() -> None:
    assert [media_type_of(each) for each in (JPEG, PNG, WEBP)] == ["image/jpeg", "image/png", "image/webp"]
    for other in (
        b"",
        b"GIF89a" + bytes(40),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<?xml version='1.0'?><svg/>",
        b"<!doctype html><html></html>",
        b"\xef\xbb\xbf<svg/>",
        b" " + PNG,
        b"RIFF\x2c\0\0\0WAVE" + bytes(40),
        b"\0\0\0\x1cftypavif" + bytes(40),
        b"BM" + bytes(40),
        b"%PDF-1.7",
    ):
        assert media_type_of(other) is None, other[:12]
        assert not is_whole(other)


@pytest.mark.parametrize("whole", [JPEG, PNG, WEBP])
def test_half_a_picture_is_not_whole(whole: bytes) -> None:
    assert is_whole(whole)
    for end in range(len(whole)):
        assert not is_whole(whole[:end])


@given(st.binary(max_size=64))
def test_any_bytes_are_judged(content: bytes) -> None:
    assert media_type_of(content) in {None, "image/jpeg", "image/png", "image/webp"}
    assert not is_whole(content) or media_type_of(content) is not None
