"""Covers on pages: drawn where one is kept, initials elsewhere, and nothing of what somebody else alone has heard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

import pytest

from myi_pipeline.catalogue.pictures import keep_pictures
from myi_pipeline.simulator.live import SimulatorSpec, running_simulator
from myi_pipeline.simulator.live.images_app import draw
from tests.integration.dashboard.conftest import Browser, check_form
from tests.integration.reads.conftest import Api, Filled

ADDRESS = re.compile(r"/(album|artist)s/(\d+)/cover\?([0-9a-f]{12})\Z")
TABLES = "raw.pictures, raw.kept_pictures, raw.picture_files, ops.picture_fetches"
# Every second album and artist of those that anybody played has a picture.
PICTURES = """
insert into raw.pictures
select kind, id, 0, 'https://i.scdn.co/image/ab67616d00000064' || substr(md5(kind || id), 1, 24), 64, 64
from (
    select distinct 'album' as kind, album_id as id from marts.agg_period_albums where album_id %% 2 = %s
    union
    select distinct 'artist', artist_id from marts.agg_period_artists where artist_id %% 2 = %s
) as played
"""
PAGES = ("/", "/top?what=tracks", "/top?what=albums", "/top?what=artists", "/top?from=2023-01-05&to=2023-04-01")
MOST = """
select {0}_id from marts.agg_period_{0}s where user_id = %s and period = 'all' and {0}_id %% 2 = %s
order by plays desc, 1
"""
ONLY_HERS = """
select {0}_id from marts.agg_period_{0}s where user_id = %s and period = 'all' and {0}_id %% 2 = 0
and {0}_id not in (select {0}_id from marts.agg_period_{0}s where user_id = %s) order by 1
"""


@dataclass(frozen=True)
class Hung:
    """What is kept, by address on this site."""

    filled: Filled
    kept: int

    def bytes_of(self, kind: str, number: int) -> bytes:
        (found,) = self.filled.sql(
            "select substr(url, length('https://i.scdn.co/image/') + 1) from raw.pictures"
            " where entity_kind = %s and entity_id = %s",
            kind, number,
        )  # fmt: skip
        return draw(found[0], 64)

    def most(self, kind: str, *, has_picture: bool = True, user: str = "ada") -> int:
        return int(self.filled.read(MOST.format(kind), self.filled.users[user], 0 if has_picture else 1)[0][0])


@contextmanager
def empty_again(filled: Filled) -> Iterator[None]:
    try:
        yield
    finally:
        filled.sql(f"truncate {TABLES}")


@pytest.fixture(scope="module")
def hung(filled: Filled) -> Iterator[Hung]:
    """Pictures as a run keeps them, from a simulated host, beside real marts."""
    with empty_again(filled), running_simulator(SimulatorSpec()) as simulator:
        filled.sql(PICTURES, 0, 0)
        settings = filled.settings.model_copy(update={"spotify_images_url": simulator.images_url})
        result = keep_pictures(settings, filled.warehouse, most=5_000)
        assert (result.failed, result.gone, result.unfit) == (0, 0, 0)
        yield Hung(filled, result.kept)


def test_a_cover_stands_where_one_is_kept_and_initials_elsewhere(hung: Hung, browser: Browser) -> None:
    assert hung.kept > 50
    year = browser.page("/year/2023")
    pages = [*(browser.page(path) for path in PAGES), year]
    pages += [browser.page(f"/{kind}s/{hung.most(kind)}") for kind in ("album", "artist")]
    seen, drawn, spelt = set(), 0, 0
    for page in pages:
        check_form(page)
        for cover in page.document.all("span", class_="cover"):
            images = cover.all("img")
            assert bool(images) != bool(cover.text), cover
            spelt += not images
            for image in images:
                drawn += 1
                found = ADDRESS.match(image.attributes["src"])
                assert found, image
                assert int(found[2]) % 2 == 0
                assert (found[1] == "artist") == ("round" in cover.attributes["class"].split())
                assert image.attributes["alt"] == ""
                assert image.attributes["loading"] == "lazy"
                assert image.attributes["width"] == image.attributes["height"]
                seen.add((found[1], int(found[2]), found[3], image.attributes["src"]))
    assert drawn > 40
    assert spelt > 40
    assert {kind for kind, *_ in seen} == {"album", "artist"}
    # No broken picture: each is there, and is the one that its address names.
    for kind, number, begins, address in seen:
        answer = browser.get(address)
        assert answer.content == hung.bytes_of(kind, number)
        assert sha256(answer.content).hexdigest().startswith(begins)


def test_a_track_has_the_cover_of_its_album(hung: Hung, browser: Browser) -> None:
    ids = "select track_id, album_id from marts.dim_tracks inner join marts.agg_period_tracks using (track_id)" \
        " where user_id = %s and period = 'all' and album_id %% 2 = %s order by plays desc limit 1"  # fmt: skip
    track, album = hung.filled.read(ids, hung.filled.users["ada"], 0)[0]
    cover = browser.page(f"/tracks/{track}").main.all("span", class_="big")[0]
    assert cover.one("img").attributes["src"].startswith(f"/albums/{album}/cover?")
    track, _ = hung.filled.read(ids, hung.filled.users["ada"], 1)[0]
    cover = browser.page(f"/tracks/{track}").main.all("span", class_="big")[0]
    assert (cover.all("img"), bool(cover.text)) == ([], True)


@pytest.mark.parametrize("kind", ["album", "artist"])
def test_a_picture_is_served_with_its_own_type_and_nothing_beside(hung: Hung, browser: Browser, kind: str) -> None:
    path = f"/{kind}s/{hung.most(kind)}/cover"
    answer = browser.clients["ada"].get(path, headers={"accept": "image/*", "accept-encoding": "gzip"})
    content = hung.bytes_of(kind, hung.most(kind))
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["etag"] == f'"{sha256(content).hexdigest()}"'
    assert answer.headers["cache-control"] == "private, max-age=86400"
    assert answer.headers["vary"] == "Cookie, Authorization"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in answer.headers
    page = browser.get("/")
    assert answer.headers["content-security-policy"] == page.headers["content-security-policy"]
    assert "img-src 'self';" in page.headers["content-security-policy"]


def test_a_picture_that_is_known_is_not_sent_again(hung: Hung, browser: Browser) -> None:
    path, ada = f"/albums/{hung.most('album')}/cover", browser.clients["ada"]
    tag = ada.get(path).headers["etag"]
    for known in (tag, f"W/{tag}", f'"another", {tag}', "*"):
        answer = ada.get(path, headers={"if-none-match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        assert answer.headers["cache-control"].startswith("private")
    for other in ('"another"', tag.strip('"'), ""):
        assert ada.get(path, headers={"if-none-match": other}).status_code == 200


def test_the_api_names_the_picture_of_each_and_gives_it_to_whoever_played_it(hung: Hung, api: Api) -> None:
    for kind in ("album", "artist"):
        address = api.read(f"/v1/me/{kind}s/{hung.most(kind)}")["cover"]
        answer = api.get(address)
        assert answer.content == hung.bytes_of(kind, hung.most(kind))
        assert answer.headers["content-type"] == "image/png"
        assert api.get(address, headers={"if-none-match": f"W/{answer.headers['etag']}"}).status_code == 304
        assert api.read(f"/v1/me/{kind}s/{hung.most(kind, has_picture=False)}")["cover"] is None
        users = hung.filled.users
        hers = hung.filled.read(ONLY_HERS.format(kind), users["ada"], users["bob"])[0][0]
        assert [api.get(f"/v1/me/{kind}s/{hers}/cover", as_=user).status_code for user in users] == [200, 404]
    track = api.read("/v1/me/plays", album_id=hung.most("album"), limit=1)["data"][0]["track_id"]
    assert api.read(f"/v1/me/tracks/{track}")["cover"] == f"/v1/me/albums/{hung.most('album')}/cover"


@pytest.mark.parametrize("kind", ["album", "artist"])
def test_what_only_another_user_heard_has_no_picture(hung: Hung, browser: Browser, kind: str) -> None:
    """A picture tells what somebody else hears; so does that there is one."""
    users = hung.filled.users
    hers = hung.filled.read(ONLY_HERS.format(kind), users["ada"], users["bob"])[0][0]
    path = f"/{kind}s/{hers}/cover"
    there = browser.get(path)
    assert there.status_code == 200
    for headers in ({}, {"if-none-match": there.headers["etag"]}, {"if-none-match": "*"}):
        refused = browser.clients["bob"].get(path, headers=headers)
        assert refused.status_code == 404
        assert "etag" not in refused.headers
    # Nor does it say that there is something to hide.
    nothing = browser.clients["bob"].get(f"/{kind}s/2147483647/cover")
    assert nothing.text == browser.clients["bob"].get(path).text
    # Both have the cover of what both heard.
    assert browser.get(f"/{kind}s/{hung.most(kind, user='bob')}/cover", as_="bob").status_code == 200


def test_whoever_is_not_signed_in_sees_no_picture(hung: Hung, browser: Browser) -> None:
    answer = browser.get(f"/albums/{hung.most('album')}/cover", as_=None)
    assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in")


@pytest.mark.parametrize("id", ["0", "-1", "01", "x", "2147483648", "%00", "1%27--"])
def test_what_is_no_number_has_no_picture(hung: Hung, browser: Browser, id: str) -> None:
    for kind in ("album", "artist"):
        assert browser.get(f"/{kind}s/{id}/cover").status_code == 404


def test_without_a_kept_picture_there_is_none_to_see(hung: Hung, browser: Browser) -> None:
    for kind in ("album", "artist"):
        assert browser.get(f"/{kind}s/{hung.most(kind, has_picture=False)}/cover").status_code == 404


def test_a_list_shows_covers_of_what_its_user_heard_alone(hung: Hung, browser: Browser) -> None:
    page = browser.page("/top?what=albums", as_="bob")
    shown = {int(found[2]) for each in page.document.all("img") if (found := ADDRESS.match(each.attributes["src"]))}
    heard = "select album_id from marts.agg_period_albums where user_id = %s and period = 'all'"
    assert shown
    assert shown <= {row[0] for row in hung.filled.read(heard, hung.filled.users["bob"])}


def test_a_playlist_shows_its_services_own_picture_to_its_owner_alone_until_it_is_gone(
    filled: Filled, browser: Browser
) -> None:
    name, elsewhere = "ab67616d00000300" + "5" * 24, "https://mosaic.scdn.co/300/" + "a" * 40
    url = f"https://i.scdn.co/image/{name}"
    ((number,),) = filled.read(
        "select max(playlist_id) from marts.dim_playlists where user_id = %s and name = 'List one'",
        filled.users["ada"],
    )
    latest = "version_id = (select max(version_id) from raw.playlist_versions where playlist_id = %s)"
    with empty_again(filled), running_simulator(SimulatorSpec()) as simulator:
        settings = filled.settings.model_copy(update={"spotify_images_url": simulator.images_url})
        filled.sql(f"update raw.playlist_versions set image_url = %s where {latest}", elsewhere, number)
        assert keep_pictures(settings, filled.warehouse).kept == 0
        assert browser.clients["ada"].get(f"/playlists/{number}/cover").status_code == 404
        filled.sql(f"update raw.playlist_versions set image_url = %s where {latest}", url, number)
        assert keep_pictures(settings, filled.warehouse).kept == 1
        assert keep_pictures(settings, filled.warehouse).kept == 0

        content = draw(name, 300)
        shown = f"/playlists/{number}/cover?{sha256(content).hexdigest()[:12]}"
        for path in ("/playlists", f"/playlists/{number}"):
            page = browser.page(path)
            check_form(page)
            assert shown in [each.attributes["src"] for each in page.document.all("img")]
        answer = browser.clients["ada"].get(shown)
        assert (answer.status_code, answer.content) == (200, content)
        assert browser.clients["bob"].get(shown).status_code == 404

        # With the last version that names it, the picture goes.
        copied = "insert into raw.playlist_versions (playlist_id, version_no, seen_at, state, name, image_url) values"
        filled.sql(f"{copied} (%s, 9999, now(), 'readable', 'x', %s)", number, url)
        filled.sql("delete from raw.playlist_versions where version_no = 9999")
        kept = "select count(*)::int from raw.kept_pictures where url = %s"
        assert filled.sql(kept, url) == [(1,)]
        filled.sql(f"update raw.playlist_versions set image_url = null where {latest}", number)
        filled.sql(f"{copied} (%s, 9999, now(), 'readable', 'x', %s)", number, url)
        filled.sql("delete from raw.playlist_versions where version_no = 9999")
        left = [
            filled.sql(f"select count(*)::int from {table} where {column} = %s", value)
            for table, column, value in (
                ("raw.kept_pictures", "url", url),
                ("raw.picture_files", "digest", sha256(content).digest()),
                ("ops.picture_fetches", "url", url),
            )
        ]
        assert left == [[(0,)]] * 3
