"""The forms that keep playlists: files to take away, lists of what was on one before and of a top list."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from io import BytesIO

import httpx
import pytest

from tests.integration.dashboard.conftest import Browser, Element, Page, check_form, read_page
from tests.integration.reads.conftest import Filled


@pytest.fixture
def ada(browser: Browser, filled: Filled) -> Iterator[httpx.Client]:
    forget(filled)
    yield browser.clients["ada"]
    forget(filled)


def forget(filled: Filled) -> None:
    """Whatever tests on this warehouse made."""
    filled.sql("delete from raw.playlists where provider_playlist like '/%'")
    filled.sql("delete from ops.changed_playlists")
    assert filled.settings.artifacts_folder is not None
    shutil.rmtree(filled.settings.artifacts_folder, ignore_errors=True)


@pytest.fixture
def number(filled: Filled) -> int:
    return listed_number(filled, "List one")


def form_of(page: Page, action: str) -> Element:
    (form,) = [each for each in page.main.all("form") if each.attributes["action"] == action]
    return form


def sent(client: httpx.Client, form: Element, **chosen: str) -> httpx.Response:
    """As a browser sends it, with what a person chose."""
    fields = {each.attributes["name"]: each.attributes.get("value", "") for each in form.all("input")}
    fields |= {each.attributes["name"]: each.all("option")[0].attributes["value"] for each in form.all("select")}
    assert set(chosen) <= set(fields)
    return client.post(form.attributes["action"], data={**fields, **chosen})


def made_lists(filled: Filled) -> list[tuple[str, int]]:
    query = (
        "select v.name, v.items from raw.playlists as p inner join raw.playlist_versions as v using (playlist_id)"
        " where p.provider_playlist like '/%%' and p.user_id = %s order by p.playlist_id"
    )
    return filled.sql(query, filled.users["ada"])


def test_all_playlists_are_made_into_a_file_and_fetched(ada: httpx.Client, browser: Browser, number: int) -> None:
    assert "/playlists/exports" in browser.page("/playlists").links()
    page = browser.page("/playlists/exports")
    check_form(page)
    assert "No files at the moment" in page.text
    answer = sent(ada, form_of(page, "/playlists/exports"), format="xspf")
    assert (answer.status_code, answer.headers["location"]) == (303, "/playlists/exports?done=made")
    one = sent(ada, form_of(browser.page(f"/playlists/{number}"), f"/playlists/{number}/exports"), format="pls")
    assert one.status_code == 303

    page = browser.page("/playlists/exports?done=made")
    check_form(page)
    assert "The file is ready" in page.text
    of_one, of_all = page.links("/downloads/")
    with zipfile.ZipFile(BytesIO(browser.get(of_all, as_=None).content)) as archive:
        assert len(archive.namelist()) == 3
    assert browser.get(of_one, as_=None).text.startswith("[playlist]")
    assert browser.page("/playlists/exports", as_="bob").links("/downloads/") == []
    wrong = browser.page(of_one.replace("signature=", "signature=A"), as_=None, status=404)
    assert "not a link of this site" in wrong.document.text


def test_a_list_of_what_was_on_a_playlist_is_made_from_its_page(
    ada: httpx.Client, browser: Browser, filled: Filled, number: int
) -> None:
    page = browser.page(f"/playlists/{number}")
    check_form(page)
    form = form_of(page, f"/playlists/{number}/restorations")
    for what in ("all", "removed"):
        answer = sent(ada, form, what=what)
        assert (answer.status_code, answer.headers["location"]) == (303, "/playlists?done=made")
    assert made_lists(filled) == [("List one, 2024-06-01", 12), ("List one: removed", 1)]
    assert "The playlist was created" in browser.page("/playlists?done=made").text
    assert sent(ada, form, day="2024-05-31").status_code == 422
    assert sent(ada, form, day="").status_code == 422


def test_the_songs_of_a_top_list_become_a_playlist(ada: httpx.Client, browser: Browser, filled: Filled) -> None:
    page = browser.page("/top?period=year&date=2023-01-01")
    check_form(page)
    answer = sent(ada, form_of(page, "/playlists"), limit="10")
    assert (answer.status_code, answer.headers["location"]) == (303, "/playlists?done=made")
    days = browser.page("/top?from=2023-01-01&to=2023-06-30&by=track&ranked=time")
    assert sent(ada, form_of(days, "/playlists"), limit="3").status_code == 303
    assert made_lists(filled) == [
        ("Most played, 2023", 10),
        ("Most played, 2023-01-01 to 2023-06-30, by time", 3),
    ]
    assert sent(ada, form_of(days, "/playlists"), limit="501").status_code == 422
    assert sent(ada, form_of(days, "/playlists"), ranked="luck").status_code == 422
    artists = browser.page("/top?what=artists").main.all("form")
    assert "/playlists" not in {each.attributes["action"] for each in artists}


def test_a_list_that_was_made_is_removed_from_its_page(ada: httpx.Client, browser: Browser, filled: Filled) -> None:
    """The form asks first where scripts run; without them it is a form like any other."""
    number = listed_number(filled, "List two")
    page = browser.page(f"/playlists/{number}")
    check_form(page)
    form = form_of(page, f"/playlists/{number}/remove")
    assert form.attributes["data-confirm"].startswith("Remove this playlist?")
    try:
        for _ in range(2):
            answer = sent(ada, form)
            assert (answer.status_code, answer.headers["location"]) == (303, "/playlists?done=removed")
        assert "The playlist was removed" in browser.page("/playlists?done=removed").text
        assert states(filled, number) == ["readable", "gone"]
        # As the next refresh makes it.
        filled.sql("update marts.dim_playlists set state = 'gone', deleted_at = now() where playlist_id = %s", number)
        page = browser.page(f"/playlists/{number}")
        check_form(page)
        assert "You removed it" in page.text
        assert f"/playlists/{number}/remove" not in {each.attributes["action"] for each in page.main.all("form")}
        assert "List two removed" in browser.page("/playlists").text
    finally:
        filled.sql("delete from raw.playlist_versions where playlist_id = %s and state = 'gone'", number)
        filled.sql(
            "update marts.dim_playlists set state = 'readable', deleted_at = null where playlist_id = %s", number
        )
        filled.sql("delete from ops.changed_playlists")


def test_a_file_is_imported_from_the_page_of_playlists(ada: httpx.Client, browser: Browser, filled: Filled) -> None:
    page = browser.page("/playlists")
    check_form(page)
    form = form_of(page, "/playlist-files")
    assert form.attributes["enctype"] == "multipart/form-data"
    (chosen,) = form.all("input")
    assert (chosen.attributes["name"], chosen.attributes["type"]) == ("file", "file")
    assert {".m3u8", ".xspf", ".jspf", ".pls", ".csv", ".zip"} <= set(chosen.attributes["accept"].split(","))

    def send(name: str, content: str) -> httpx.Response:
        return ada.post("/playlist-files", files={"file": (name, content.encode())})

    try:
        answer = send("trip.m3u8", "#EXTM3U\n#EXTINF:1,Björk - Jóga\nhttps://open.spotify.com/track/1\n")
        assert (answer.status_code, answer.headers["location"]) == (303, "/playlists?done=imported")
        assert "The file was read" in browser.page("/playlists?done=imported").text
        wrong = read_page(send("trip.csv", "a,b\n1,2\n"), 422)
        check_form(wrong)
        assert "The file was not accepted" in wrong.text
        assert (
            "trip.csv, line 1: the header has no columns of titles and artists. Expected: title, artist." in wrong.text
        )
        assert "List one" in wrong.text
        told = read_page(
            send("tv.m3u8", '#EXTM3U\n#EXTINF:1 tvg-id="a",A - B\nhttps://open.spotify.com/track/1\n'), 200
        )
        check_form(told)
        assert "1 playlist was read" in told.text
        assert "tv.m3u8, line 2: attributes of #EXTINF are not kept." in told.text
        assert send("", "").status_code == 422
        assert ada.post("/playlist-files", data={"file": "x"}).status_code == 422
        query = "select file_name from ops.playlist_file_inbox where user_id = %s order by 1"
        assert filled.sql(query, filled.users["ada"]) == [("trip.m3u8",), ("tv.m3u8",)]
        assert browser.clients[None].post("/playlist-files").headers["location"] == "/sign-in?return_to=%2Fplaylists"
    finally:
        filled.sql("delete from ops.playlist_file_inbox")


def listed_number(filled: Filled, name: str) -> int:
    query = "select playlist_id from marts.dim_playlists where name = %s and user_id = %s"
    return int(filled.read(query, name, filled.users["ada"])[0][0])


def states(filled: Filled, number: int) -> list[str]:
    query = "select state from raw.playlist_versions where playlist_id = %s order by version_no"
    return [state for (state,) in filled.sql(query, number)]


def test_what_is_not_ones_own_is_not_there(ada: httpx.Client, browser: Browser, filled: Filled, number: int) -> None:
    bob = browser.clients["bob"]
    for path, form in (
        (f"/playlists/{number}/exports", {"format": "xspf"}),
        (f"/playlists/{number}/restorations", {"what": "removed"}),
    ):
        assert bob.post(path, data=form).status_code == 404
        assert ada.post(path, data={}).status_code == 422
        assert browser.clients[None].post(path, data=form).headers["location"] == "/sign-in?return_to=%2Fplaylists"
    assert bob.post(f"/playlists/{number}/remove").status_code == 404
    assert browser.clients[None].post(f"/playlists/{number}/remove").status_code == 303
    assert states(filled, number) == ["readable", "readable"]
    assert made_lists(filled) == []
