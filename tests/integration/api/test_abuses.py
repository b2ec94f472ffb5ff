"""The abuse list, one abuse a test, through real HTTP: what an attacker tries, and that it comes to nothing.

Formulas in CSV and hostile names are tried in tests/integration/reads, other users' numbers there too, and names on
pages in tests/browser.
"""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.hostile.makers import BROKEN_ZIPS, UNSAFE_ZIPS, WRONG_PACKAGES, Maker
from tests.integration.api.conftest import RunningSite, SiteMaker
from tests.integration.api.sign_ins import SIGN_INS, Place, look_at_link, make_link, use_link, who
from tests.integration.api.test_sign_in import StartSpotify
from tests.searching import files_below

IMPORTS = "/v1/me/imports"


def sessions(site: RunningSite) -> int:
    return int(site.sql("select count(*) from app.sessions")[0][0])


# Login CSRF


def test_login_csrf_an_answer_with_another_browsers_state_signs_nobody_in(place: Place) -> None:
    place.connect("mallory", "listener-1")
    attacker, victim = place.site.browser(None), place.site.browser(None)
    answer = place.agreed(attacker, "listener-1")
    place.begin(victim)
    refused = victim.get(answer)
    assert (refused.status_code, "myi_session" in victim.cookies) == (422, False)
    assert sessions(place.site) == 0


def test_login_csrf_forms_of_another_site_begin_and_end_nothing(place: Place) -> None:
    """A one-time link of the attacker's, posted by the attacker's page in the victim's browser."""
    link = make_link(place.site, "mallory")
    victim = place.site.browser("ana")
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    for path in ("/link", "/sign-in/spotify", "/connect/spotify", "/sign-out"):
        answer = victim.post(path, headers=foreign, data={"secret": link, "confirm": "yes"})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), path
    assert [each["method"] for each in victim.get(SIGN_INS).json()["sign_ins"]] == ["link"]
    assert look_at_link(victim, link).status_code == 200
    assert sessions(place.site) == 1


def test_login_csrf_looking_at_a_link_signs_nobody_in(place: Place) -> None:
    """What an image or a prefetch on another site's page can do is a GET."""
    victim = place.site.browser(None)
    link = make_link(place.site, "mallory")
    for way in ({"url": "/link"}, {"url": "/link", "params": {"secret": link, "confirm": "yes"}}):
        answer = victim.get(**way, headers={"sec-fetch-site": "cross-site"})
        assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert look_at_link(victim, link).status_code == 200
    assert sessions(place.site) == 0


# Replayed callback


def test_replayed_callback_by_the_same_browser_is_refused_and_changes_nothing(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    address = place.agreed(browser, "listener-1")
    secret = browser.cookies["myi_sign_in"]
    assert browser.get(address).status_code == 303
    reference = browser.cookies["myi_session"]
    # With the cookie that bound it, which the browser has lost by now.
    assert browser.get(address, headers={"cookie": f"myi_sign_in={secret}; myi_session={reference}"}).status_code == 422
    assert (who(browser), sessions(place.site)) == (200, 1)
    browser.post("/sign-out")
    assert place.site.visitor(cookie=f"myi_sign_in={secret}").get(address).status_code == 422
    assert sessions(place.site) == 0


def test_replayed_callback_at_the_same_moment_is_taken_once(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    address = place.agreed(browser, "listener-1")
    clients = [place.site.visitor(cookie=f"myi_sign_in={browser.cookies['myi_sign_in']}") for _ in range(4)]
    at_once = threading.Barrier(len(clients))

    def replay(client: httpx.Client) -> int:
        at_once.wait()
        return client.get(address).status_code

    with ThreadPoolExecutor(len(clients)) as pool:
        assert sorted(pool.map(replay, clients)) == [303, 422, 422, 422]
    assert sessions(place.site) == 1


# Open redirect

ELSEWHERE = (
    "https://evil.example/", "http:evil.example", "//evil.example", "///evil.example", "/\\evil.example",
    "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "/%0d%0aLocation:https://evil.example\r\n",
    "javascript:alert(1)", "data:text/html,x", " https://evil.example", "evil.example", "@evil.example", "",
    "/" + "a" * 2_000,
)  # fmt: skip


def test_open_redirect_whatever_return_to_says_people_stay_on_this_site(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser, signed_in = place.site.browser(None), place.site.browser("ana")
    for target in ELSEWHERE:
        place.begin(browser, return_to=target)
        shown = browser.get("/sign-in", params={"return_to": target}).text
        assert 'name="return_to" value="/"' in shown, target
        assert signed_in.get("/sign-in", params={"return_to": target}).headers["location"] == "/", target
    assert place.site.sql("select distinct return_to from app.sign_ins") == [("/",)]
    answer = browser.get(place.agreed(browser, "listener-1", return_to=ELSEWHERE[0]))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_open_redirect_neither_path_nor_host_names_where_to_go(place: Place) -> None:
    browser = place.site.browser("ana")
    for path in ("//evil.example/", "///evil.example/", "/sign-in/", "/v1/me/", "/\\evil.example/"):
        answer = browser.send(httpx.Request("GET", f"{place.site.url}{path}", headers=browser.headers))
        assert (answer.status_code, answer.headers.get("location")) == (404, None), path
    forwarded = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https", "forwarded": "host=evil.example"}
    assert browser.get("/sign-in", headers=forwarded).headers["location"] == "/"


# Session fixation


def test_session_fixation_a_planted_reference_is_not_the_one_after_either_way_of_signing_in(place: Place) -> None:
    place.connect("ana", "listener-1")
    link = make_link(place.site, "ana")
    for way in ("spotify", "link"):
        for planted in (place.site.session("mallory"), "A" * 43):
            browser = place.site.browser(None)
            browser.cookies.set("myi_session", planted, domain="127.0.0.1", path="/")
            address = place.agreed(browser, "listener-1")
            answer = browser.get(address) if way == "spotify" else use_link(browser, link)
            if way == "link":
                link = make_link(place.site, "ana")
            assert answer.status_code == 303
            assert planted not in answer.headers["set-cookie"]
            assert who(place.site.visitor(cookie=f"myi_session={planted}")) == 401


# Reuse after sign-out


def test_reuse_after_sign_out_of_a_stolen_reference(place: Place) -> None:
    browser = place.site.browser()
    thief = place.site.visitor(
        cookie=f"myi_session={browser.cookies['myi_session']}", **{"sec-fetch-site": "same-origin"}
    )
    assert who(thief) == 200
    assert browser.post("/sign-out").headers["clear-site-data"] == '"cache", "storage"'
    assert who(thief) == 401
    assert thief.post("/v1/me/tokens", json={"name": "mine now"}).status_code == 401
    assert place.site.sql("select count(*) from app.access_tokens") == [(0,)]


def test_reuse_after_sign_out_of_a_stream_that_was_open(site: RunningSite) -> None:
    """It used to tell of the import for up to ten minutes."""
    browser = site.browser()
    watched = f"{IMPORTS}/{pending_import(site)}/events"
    with browser.stream("GET", watched) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "event: progress"
        site.browser(None).post("/sign-out", headers={"cookie": f"myi_session={browser.cookies['myi_session']}"})
        until = time.monotonic() + 5
        for line in lines:
            # A stream that goes on gives a sign of life every 15 s.
            assert line != "event: done"
            assert time.monotonic() < until


def pending_import(site: RunningSite) -> int:
    query = (
        "insert into app.imports (user_id, sha256, archive_name, kind)"
        " values (%s, sha256(now()::text::bytea), 'a.zip', 'extended_history') returning import_id"
    )
    return int(site.sql(query, site.user("ana"))[0][0])


# Guessing


@pytest.mark.parametrize("what", ["token", "session", "link", "answer"])
def test_guessing_is_over_after_a_few_tries_and_keeps_nobody_out(
    make_site: SiteMaker, spotify: StartSpotify, what: str
) -> None:
    """Wrong links of one address kept its neighbours from using good ones, and from coming back from Spotify."""
    place = Place(make_site, spotify, api_sensitive_requests_per_minute=5)
    site = place.site
    place.connect("ana", "listener-1")
    waiting = site.browser(None)
    answer = place.agreed(waiting, "listener-1")
    right = {"token": site.token, "session": site.session, "link": lambda: make_link(site)}.get(what, str)()

    def show(text: str) -> httpx.Response:
        visitor = site.visitor(**{"sec-fetch-site": "same-origin"})
        match what:
            case "token":
                return visitor.get("/v1/me/summary", headers={"authorization": f"Bearer {text}"})
            case "session":
                return visitor.get(SIGN_INS, headers={"cookie": f"myi_session={text}"})
            case "link":
                return use_link(visitor, text)
            case _:
                return (
                    waiting.get(answer) if not text else visitor.get("/callback", params={"state": text, "code": "x"})
                )

    prefix = "myi_" if what == "token" else ""
    # Some could be ours by their look, some could not.
    guesses = [show(prefix + ("A" * 42 + str(number) if number % 2 else "short")) for number in range(8)]
    assert all(each.is_client_error for each in guesses)
    # A cookie is sent unasked: whoever was signed out elsewhere must reach the page to sign in.
    assert (429 in {each.status_code for each in guesses[5:]}) == (what != "session")
    assert 429 not in {each.status_code for each in guesses[:5]}
    assert show(right).status_code not in (401, 410, 422, 429)


def test_guessing_numbers_of_others_tells_nothing_of_which_there_are(site: RunningSite) -> None:
    theirs = site.browser("ben").post("/v1/me/tokens", json={"name": "ben's"}).json()["token_id"]
    ana = site.browser("ana")
    there, nowhere = (ana.delete(f"/v1/me/tokens/{number}") for number in (theirs, 2**40))
    assert {**there.json(), "instance": ""} == {**nowhere.json(), "instance": ""}
    assert there.status_code == 404


# Hostile and oversized uploads


def uploaded(site: RunningSite) -> list[str]:
    """Every file in the uploads folder."""
    return [path.name for path in files_below(site.settings.uploads_folder)]


HOSTILE = UNSAFE_ZIPS | BROKEN_ZIPS | WRONG_PACKAGES


@pytest.mark.parametrize("maker", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_upload_is_refused_as_a_request_and_leaves_nothing(
    site: RunningSite, tmp_path: Path, maker: Maker
) -> None:
    """Bombs, paths that climb, links, sizes that lie, encryption, archives in archives, and what is no archive."""
    content = maker(tmp_path / "hostile.zip").read_bytes()
    answer = site.browser().post(IMPORTS, params={"name": "../../hostile.zip"}, content=content)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert str(site.settings.home) not in answer.text
    assert uploaded(site) == []
    # A path that climbs would have led out of it.
    assert list(site.settings.home.rglob("endsong*")) == []
    assert site.sql("select count(*) from app.imports") == [(0,)]


@pytest.mark.parametrize("is_told", [True, False], ids=["by Content-Length", "by chunks"])
def test_oversized_upload_is_refused_and_leaves_nothing(make_site: SiteMaker, is_told: bool) -> None:
    most = 1_000_000
    site = make_site(api_max_upload_bytes=most)
    browser = site.browser()
    answer = browser.post(IMPORTS, content=b"P" * (most + 1) if is_told else iter([b"P" * 65_536] * 1_000))
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:myi:problem:too-large")
    assert site.browser().get("/v1/me/imports").json()["data"] == []
    assert uploaded(site) == []


def test_oversized_upload_with_a_length_that_lies_reaches_no_route(make_site: SiteMaker) -> None:
    site = make_site(api_max_upload_bytes=1_000)
    head = f"POST {IMPORTS} HTTP/1.1\r\nHost: 127.0.0.1:{site.settings.api_port}\r\nSec-Fetch-Site: same-origin\r\n"
    cookie = f"Cookie: myi_session={site.session()}\r\n"
    for length in ("1e3", "-5", "0x10", "+7", "9" * 40, "5\r\nContent-Length: 900", "5\r\nTransfer-Encoding: chunked"):
        with socket.create_connection(("127.0.0.1", site.settings.api_port), timeout=10) as line:
            line.sendall(f"{head}{cookie}Content-Length: {length}\r\n\r\n".encode() + b"P" * 2_000)
            status = line.recv(4_096).split(b" ", 2)[1]
        assert status in (b"400", b"413"), length
    assert uploaded(site) == []
    assert site.sql("select count(*) from app.imports") == [(0,)]


def test_many_streams_at_once_are_no_more_than_a_user_may_hold(site: RunningSite) -> None:
    """The places were counted when streams began, not when they were asked for: a burst got through."""
    watched = f"{site.url}{IMPORTS}/{pending_import(site)}/events"
    browsers = [site.browser() for _ in range(20)]
    at_once = threading.Barrier(len(browsers))
    over = threading.Event()

    def watch(browser: httpx.Client) -> int:
        at_once.wait()
        with browser.stream("GET", watched) as stream:
            if stream.status_code == 200:
                over.wait(5)
            return stream.status_code

    with ThreadPoolExecutor(len(browsers)) as pool:
        watching = [pool.submit(watch, browser) for browser in browsers]
        deadline = time.monotonic() + 10
        while sum(each.done() for each in watching) < 14 and time.monotonic() < deadline:
            time.sleep(0.02)
        over.set()
        assert sorted(each.result() for each in watching) == [200] * 6 + [429] * 14
