"""A link fetches its file until its moment, and nothing else of it can be changed."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from myi_pipeline.storage.links import BadLink, LinkExpired, Links

LINKS = Links([b"k" * 32])
FILE = "playlists-xspf-20240309-5f0c1e2d3a4b.zip"


def parts(links: Links = LINKS, *, user_id: int = 1, name: str = FILE, expires_at: int = 1_000) -> dict[str, str]:
    query = parse_qs(urlsplit(links.address(user_id, name, expires_at=expires_at)).query)
    return {key: values[0] for key, values in query.items()}


def test_a_link_is_good_until_it_expires() -> None:
    LINKS.check(1, FILE, **parts(), now=999.9)
    with pytest.raises(LinkExpired):
        LINKS.check(1, FILE, **parts(), now=1_000)


@pytest.mark.parametrize(
    "changed",
    [
        {"expires": "2000"}, {"expires": ""}, {"expires": "١٢"}, {"expires": "1000 "}, {"signature": ""},
        {"signature": "A" * 27}, {"signature": "ä"},
    ],
)  # fmt: skip
def test_a_changed_link_is_none(changed: dict[str, str]) -> None:
    with pytest.raises(BadLink):
        LINKS.check(1, FILE, **{**parts(), **changed}, now=1)


def test_a_link_is_for_one_file_of_one_user_and_of_one_installation() -> None:
    for user_id, name, given in (
        (2, FILE, parts()),
        (1, FILE.replace("xspf", "jspf"), parts()),
        (1, FILE, parts(Links([b"o" * 32]))),
        (1, "1" + FILE, parts(user_id=11)),
    ):
        with pytest.raises(BadLink):
            LINKS.check(user_id, name, **given, now=1)
