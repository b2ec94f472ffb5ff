"""Signing in with Spotify, by a one-time link, and out again; and everything that must not sign anybody in."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from myi_pipeline import logs
from myi_pipeline.people import logins, sign_in
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.spotify.open_spotify import open_spotify
from myi_pipeline.providers.transport import utc_now
from myi_pipeline.simulator.live import Simulator
from myi_pipeline.web.security.cookies import MOST_SIGN_INS
from tests.conftest import free_port
from tests.integration.api.conftest import RunningSite, SiteMaker
from tests.integration.api.sign_ins import SIGN_INS, Place, look_at_link, make_link, use_link, who

StartSpotify = Callable[[str], Simulator]


def test_whoever_connected_spotify_signs_in_with_it_and_out_again(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)

    answer = browser.get(place.agreed(browser, "listener-1", return_to="/sign-in?x=1"))

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?x=1")
    assert answer.headers["referrer-policy"] == "no-referrer"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    (mine,) = browser.get(SIGN_INS).json()["sign_ins"]
    assert (mine["method"], mine["device"]) == ("spotify", "Testfox/1.0")

    out = browser.post("/sign-out")
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert place.site.sql("select count(*) from app.sessions") == [(0,)]
    assert who(browser) == 401


def test_the_box_asks_for_playlists_and_a_sign_in_without_it_takes_nothing_away(place: Place) -> None:
    place.connect("ana", "listener-1")
    allowed = "select 'playlist-read-private' = any(scopes), authorised_at from app.credentials"
    browser = place.site.browser(None)
    browser.get(place.agreed(browser, "listener-1", playlists="1"))
    (with_box,) = place.site.sql(allowed)
    assert with_box[0]

    again = place.site.browser(None)
    assert again.get(place.agreed(again, "listener-1")).status_code == 303
    assert place.site.sql(allowed) == [with_box]

    # Who connects the account again is asked for the same, box or not.
    connected = again.get(place.simulator.visit(place.begin(again, "/connect/spotify"), "listener-1"))
    assert connected.status_code == 303
    ((is_allowed, authorised_at),) = place.site.sql(allowed)
    assert is_allowed
    assert authorised_at > with_box[1]

    # A login that has ended is replaced by whatever there is.
    place.site.sql("update app.credentials set status = 'reauth_required'")
    fresh = place.site.browser(None)
    fresh.get(place.agreed(fresh, "listener-1"))
    assert place.site.sql("select status, 'playlist-read-private' = any(scopes) from app.credentials") == [
        ("active", False)
    ]


def test_changes_of_playlists_are_asked_for_by_their_box_alone_and_from_then_on_again(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    browser.get(place.agreed(browser, "listener-1"))

    def asked(**form: str) -> set[str]:
        address = place.begin(browser, "/connect/spotify", **form)
        assert browser.get(place.simulator.visit(address, "listener-1")).status_code == 303
        return {each for each in dict(parse_qsl(urlsplit(address).query))["scope"].split() if "playlist" in each}

    writes = {"playlist-modify-private", "playlist-modify-public"}
    assert asked() == set()
    assert not asked(playlists="1") & writes
    assert asked(playlist_writes="1") == writes | {"playlist-read-private", "playlist-read-collaborative"}
    assert asked() >= writes
    # A sign-in without any box keeps the login that allows more.
    again = place.site.browser(None)
    again.get(place.agreed(again, "listener-1"))
    assert place.site.sql("select 'playlist-modify-private' = any(scopes) from app.credentials") == [(True,)]


def test_a_stranger_is_not_let_in_and_leaves_nothing(place: Place) -> None:
    browser = place.site.browser(None)
    answer = browser.get(place.agreed(browser, "listener-2"), headers={"accept": "text/html"})
    assert answer.status_code == 403
    assert "o user here has connected this Spotify account" in answer.text
    assert place.site.sql("select count(*) from app.users") == [(0,)]
    assert place.site.sql("select count(*) from app.sessions") == [(0,)]
    assert place.site.sql("select count(*) from app.credentials") == [(0,)]


def test_with_open_signup_a_stranger_becomes_a_user_and_stays_the_same_one(
    make_site: SiteMaker, spotify: Callable[[str], Simulator]
) -> None:
    place = Place(make_site, spotify, open_signup=True)
    for _ in range(2):
        browser = place.site.browser(None)
        assert browser.get(place.agreed(browser, "listener-2")).status_code == 303
        assert who(browser) == 200
    assert len(place.site.sql("select user_key from app.users")) == 1
    assert place.site.sql("select count(*) from app.credentials") == [(1,)]


def test_a_user_of_archives_connects_spotify_from_a_signed_in_browser(place: Place) -> None:
    browser = place.site.browser("ben")
    address = place.simulator.visit(place.begin(browser, "/connect/spotify"), "listener-3")
    answer = browser.get(address)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert place.site.sql("select user_key from app.credentials inner join app.users using (user_id)") == [("ben",)]


def test_the_account_of_one_user_is_not_connected_to_another(place: Place) -> None:
    ana = place.connect("ana", "listener-1")
    browser = place.site.browser("ben")
    address = place.simulator.visit(place.begin(browser, "/connect/spotify"), "listener-1")
    answer = browser.get(address)
    assert answer.status_code == 422
    assert "counted twice" in answer.json()["detail"]
    assert place.site.sql("select user_id from app.credentials") == [(ana,)]


def test_connecting_needs_the_same_person_at_both_ends(place: Place) -> None:
    """On a shared computer the next person would have connected their account to the one who left."""
    browser = place.site.browser("ben")
    url = place.begin(browser, "/connect/spotify")
    assert browser.post("/sign-out").status_code == 303
    answer = browser.get(place.simulator.visit(url, "listener-3"))
    assert answer.status_code == 422
    assert place.site.sql("select count(*) from app.credentials") == [(0,)]


def test_an_answer_signs_in_nobody_but_the_browser_that_asked(place: Place) -> None:
    """Login CSRF: an attacker's own answer, opened in a victim's browser."""
    place.connect("mallory", "listener-1")
    attacker, victim = place.site.browser(None), place.site.browser(None)
    answer = place.agreed(attacker, "listener-1")
    assert victim.get(answer).status_code == 422
    place.begin(victim)  # a victim that waits for an answer of its own
    assert victim.get(answer).status_code == 422
    assert who(victim) == 401
    assert place.site.sql("select count(*) from app.sessions") == [(0,)]
    assert attacker.get(answer).status_code == 303


def test_an_answer_is_good_once_and_for_ten_minutes(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    address = place.agreed(browser, "listener-1")
    secret = {"cookie": f"myi_sign_in={browser.cookies['myi_sign_in']}"}
    assert browser.get(address).status_code == 303
    assert place.site.visitor(**secret).get(address).status_code == 422

    late = place.agreed(browser, "listener-1")
    place.site.sql("update app.sign_ins set expires_at = now()")
    assert browser.get(late).status_code == 422


def test_connecting_another_account_asks_first(place: Place) -> None:
    ana = place.connect("ana", "listener-1")
    query = "select account_id from app.credentials where user_id = %s"
    before = place.site.sql(query, ana)
    browser = place.site.browser("ana")

    def connect(listener: str, **form: str) -> httpx.Response:
        return browser.get(place.simulator.visit(place.begin(browser, "/connect/spotify", **form), listener))

    asked = connect("listener-2")
    assert asked.status_code == 409
    assert "Nothing was changed" in asked.text
    assert place.site.sql(query, ana) == before
    (agreed,) = re.findall(r'name="switch_to" value="([0-9a-f]{64})"', asked.text)
    # The agreement is about that account and no other.
    assert connect("listener-3", switch_to=agreed).status_code == 409
    assert connect("listener-3", switch_to="yes").status_code == 409
    assert place.site.sql(query, ana) == before

    assert connect("listener-2", switch_to=agreed).status_code == 303
    assert place.site.sql(query, ana) == [(place.simulator.control.account_id("listener-2"),)]
    # The account that ana left is nobody's now, the one that she has is not for others, and no refusal names her.
    place.connect("ben", "listener-1")
    refused = place.site.browser("ben")
    answer = refused.get(place.simulator.visit(place.begin(refused, "/connect/spotify"), "listener-2"))
    assert answer.status_code == 422
    assert "ana" not in answer.json()["detail"].split()


def test_a_further_account_is_linked_beside_the_one_that_is_polled_and_signs_the_person_in(place: Place) -> None:
    ana = place.connect("ana", "listener-1")
    query = "select account_id, is_main from app.credentials where user_id = %s order by is_main desc"
    first, second = (place.simulator.control.account_id(f"listener-{number}") for number in (1, 2))
    browser = place.site.browser("ana")
    asked = browser.get(place.simulator.visit(place.begin(browser, "/connect/spotify"), "listener-2"))
    assert 'name="further"' in asked.text
    answer = browser.get(place.simulator.visit(place.begin(browser, "/connect/spotify", further="1"), "listener-2"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert place.site.sql(query, ana) == [(first, True), (second, False)]
    ((allowed,),) = place.site.sql(
        "select 'playlist-read-private' = any(scopes) from app.credentials where not is_main"
    )
    assert allowed

    # It is Ana's, so it signs her in, in a browser that nobody knew; and its login is renewed, not the other.
    before = place.site.sql("select is_main, authorised_at from app.credentials order by 1")
    other = place.site.browser(None)
    assert other.get(place.agreed(other, "listener-2", playlists="1")).status_code == 303
    assert who(other) == 200
    assert place.site.sql("select distinct user_id from app.sessions") == [(ana,)]
    after = place.site.sql("select is_main, authorised_at from app.credentials order by 1")
    assert (after[0] > before[0], after[1]) == (True, before[1])

    # The page shows it, polls it instead, and unlinks it; nobody else can.
    ((number,),) = place.site.sql("select provider_account_id from app.credentials where not is_main")
    page = browser.get("/account", headers={"accept": "text/html"}).text
    assert f'action="/account/spotify/{number}/main"' in page
    assert "playlists are read" in page
    stranger = place.site.browser("ben")
    for doing in ("main", "unlink"):
        assert stranger.post(f"/account/spotify/{number}/{doing}").status_code == 404
    assert browser.post(f"/account/spotify/{number}/main").status_code == 303
    assert place.site.sql(query, ana) == [(second, True), (first, False)]
    assert browser.post(f"/account/spotify/{number}/unlink").status_code == 303
    assert place.site.sql(query, ana) == [(first, False)]
    assert browser.post(f"/account/spotify/{number}/unlink").status_code == 404


def test_an_account_whose_two_names_lead_to_two_users_signs_nobody_in(place: Place) -> None:
    place.connect("ana", "listener-1")
    place.connect("ben", "listener-2")
    place.site.sql("update app.credentials set profile_id = 'gone' where user_id = %s", place.site.user("ana"))
    place.site.sql(
        "update app.credentials set profile_id = 'user-listener-1', account_key = 'id:user-listener-1',"
        " account_id = null where user_id = %s", place.site.user("ben"),
    )  # fmt: skip
    browser = place.site.browser(None)
    answer = browser.get(place.agreed(browser, "listener-1"))
    assert answer.status_code == 503
    assert "two users" in answer.json()["detail"]
    assert who(browser) == 401


def test_a_stranger_who_cannot_be_told_from_a_user_becomes_none(make_site: SiteMaker, spotify: StartSpotify) -> None:
    place = Place(make_site, spotify, open_signup=True)
    place.connect("ana", "listener-1")
    # As a version before kept it: account_id alone.
    place.site.sql("update app.credentials set profile_id = null")
    client = place.changes["spotify_client_id"]
    place.simulator.control.set_app(str(client), account_id=False)
    browser = place.site.browser(None)
    assert browser.get(place.agreed(browser, "listener-1")).status_code == 503
    assert place.site.sql("select user_key from app.users") == [("ana",)]
    assert place.site.sql("select detail from app.audit where event = 'sign_in_refused'") == [
        ({"reason": "AccountUnclear"},)
    ]


def test_two_tabs_of_one_browser_both_sign_in(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    first, second = (place.agreed(browser, "listener-1", return_to=path) for path in ("/top", "/history"))
    assert browser.get(second).headers["location"] == "/history"
    assert browser.get(first).headers["location"] == "/top"
    assert who(browser) == 200
    # Each answer is good once, and not in another browser.
    assert browser.get(first).status_code == 422
    third = place.agreed(browser, "listener-1")
    assert place.site.browser(None).get(third).status_code == 422


def test_a_browser_that_begins_many_sign_ins_keeps_the_latest(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    begun = [place.agreed(browser, "listener-1") for _ in range(MOST_SIGN_INS + 1)]
    assert len(browser.cookies["myi_sign_in"]) < 44 * MOST_SIGN_INS
    assert [browser.get(address).status_code for address in begun] == [422] + [303] * MOST_SIGN_INS


def test_whoever_says_no_at_spotify_is_told_that_nothing_changed(place: Place) -> None:
    browser = place.site.browser(None)
    address = place.simulator.visit(place.begin(browser), "listener-1", cancel=True)
    answer = browser.get(address, headers={"accept": "text/html"})
    assert answer.status_code == 409
    assert "nothing was changed" in answer.text
    assert place.site.sql("select count(*) from app.sign_ins") == [(0,)]


ELSEWHERE = (
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "/\t/evil.example",
    "javascript:alert(1)",
    "",
)


def test_nobody_is_sent_to_another_site_after_signing_in(place: Place) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    answer = browser.get(place.agreed(browser, "listener-1", return_to=ELSEWHERE[0]))
    assert answer.headers["location"] == "/"
    for target in ELSEWHERE:
        assert browser.get("/sign-in", params={"return_to": target}).headers["location"] == "/"
    assert browser.get("/sign-in", params={"return_to": "/top?by=year"}).headers["location"] == "/top?by=year"


def test_a_session_that_was_there_before_is_not_the_one_after(place: Place) -> None:
    """Fixation: a reference that an attacker planted, good or made up, must not become the victim's."""
    place.connect("ana", "listener-1")
    for planted in (place.site.session("mallory"), "A" * 43):
        browser = place.site.browser(None)
        browser.cookies.set("myi_session", planted, domain="127.0.0.1", path="/")
        answer = browser.get(place.agreed(browser, "listener-1"))
        assert answer.status_code == 303
        assert planted not in answer.headers["set-cookie"]
        keeper = place.site.visitor(cookie=f"myi_session={planted}")
        assert who(keeper) == 401


def test_a_stolen_reference_is_worth_nothing_after_sign_out(place: Place) -> None:
    browser = place.site.browser()
    thief = place.site.visitor(cookie=f"myi_session={browser.cookies['myi_session']}")
    assert who(thief) == 200
    browser.post("/sign-out")
    assert who(thief) == 401


def test_a_link_signs_in_once_and_looking_at_it_does_not_use_it_up(site: RunningSite) -> None:
    link = make_link(site)
    browser = site.browser(None)
    # Without scripts a person pastes it, as a rule the whole of it.
    assert "<form" in browser.get("/link").text
    for pasted in (link, f" {site.url}/link#{link} "):
        assert "Sign in as ana" in look_at_link(browser, pasted).text
    assert use_link(browser, link).status_code == 303
    assert who(browser) == 200
    other = site.browser(None)
    assert look_at_link(other, link).status_code == 410
    assert use_link(other, link).status_code == 410
    assert who(other) == 401


def test_a_newer_link_ends_the_older_and_time_ends_both(site: RunningSite) -> None:
    older, newer = make_link(site), make_link(site)
    browser = site.browser(None)
    assert look_at_link(browser, older).status_code == 410
    assert look_at_link(browser, newer).status_code == 200
    site.sql("update app.sign_in_links set expires_at = now()")
    assert use_link(browser, newer).status_code == 410


def test_the_site_receives_the_answer_for_a_command_that_waits(place: Place) -> None:
    settings, warehouse = place.site.settings, place.site.warehouse
    user_id = place.site.user("ana")
    with (
        open_spotify(settings, warehouse) as opened,
        warehouse.connect(Role.INGEST, autocommit=True) as connection,
        warehouse.connect(Role.APP, autocommit=True) as access,
    ):
        pending = logins.begin_login(opened, settings, user_id=user_id, user_key="ana")
        sign_in.expect_answer(access, pending.challenge, client_id=pending.client_id)
        assert sign_in.collect_answer(access, pending.challenge, keys=opened.keys) is None
        browser = place.site.browser(None)
        address = place.simulator.visit(pending.url, "listener-1")
        answer = browser.get(address)
        assert answer.status_code == 200
        assert who(browser) == 401
        code = dict(parse_qsl(urlsplit(address).query))["code"]
        assert code not in str(place.site.sql("select s::text, encode(sealed_answer, 'escape') from app.sign_ins as s"))

        redirected = sign_in.collect_answer(access, pending.challenge, keys=opened.keys)
        assert redirected is not None
        assert sign_in.collect_answer(access, pending.challenge, keys=opened.keys) is None
        logins.finish_login(opened, connection, pending, redirected=redirected, now=utc_now())
    assert place.site.sql("select user_id from app.credentials") == [(user_id,)]


def test_without_a_redirect_to_this_site_the_page_offers_no_sign_in_with_spotify(make_site: SiteMaker) -> None:
    site = make_site(spotify_client_id="abc", spotify_redirect_uri="http://127.0.0.1:1/callback")
    browser = site.browser(None)
    page = browser.get("/sign-in")
    assert "not set up here yet" in page.text
    assert "MYI_" not in page.text
    assert "<form" not in page.text
    assert browser.post("/sign-in/spotify").status_code == 409


@pytest.fixture
def everything_said() -> io.StringIO:
    """Every log line as it is written, as loud as can be."""
    said = io.StringIO()
    logs.configure_logs(level="debug", layout="json", stream=said)
    return said


def test_neither_code_nor_state_nor_link_is_in_a_log_line(place: Place, everything_said: io.StringIO) -> None:
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    address = place.agreed(browser, "listener-1")
    link = make_link(place.site)
    browser.get(address)
    browser.get(address)  # a second time, refused
    # As links once were: such a one is refused, says why, and signs nobody in.
    older = browser.post(f"/link/{link}")
    assert (older.status_code, "no longer valid" in older.text) == (410, True)
    look_at_link(browser, link)
    use_link(browser, link)
    said = everything_said.getvalue()
    assert "/link/{secret}" in said
    assert "/callback" in said
    for part in (*urlsplit(address).query.split("&"), link):
        assert part.rpartition("=")[2] not in said


def test_a_site_below_a_path_signs_in_there_and_keeps_its_cookies_there(
    make_site: SiteMaker, spotify: Callable[[str], Simulator]
) -> None:
    place = Place(make_site, spotify, path="/music")
    place.connect("ana", "listener-1")
    browser = place.site.browser(None)
    browser.base_url = place.site.settings.site_url

    address = place.agreed(browser, "listener-1", return_to="/sign-in?x=1")
    assert urlsplit(address).path == "/music/callback"
    answer = browser.get(address)

    assert (answer.status_code, answer.headers["location"]) == (303, "/music/sign-in?x=1")
    assert "Path=/music;" in answer.headers["set-cookie"]
    assert who(browser) == 200
    outside = browser.get(f"{place.site.url}{SIGN_INS}")
    assert outside.status_code == 401
    assert browser.post("/sign-out").headers["location"] == "/music/sign-in"
    assert who(browser) == 401


def test_a_redirect_address_outside_of_the_sites_path_is_no_way_to_sign_in(
    make_site: SiteMaker, spotify: Callable[[str], Simulator]
) -> None:
    elsewhere = Place(make_site, spotify)
    site = make_site(**elsewhere.changes | {"public_url": f"{elsewhere.site.url}/music", "api_port": free_port()})
    page = site.visitor(host=urlsplit(elsewhere.site.url).netloc).get("/sign-in", headers={"accept": "text/html"})
    assert "not set up here yet" in page.text


def test_behind_tls_the_cookies_of_a_path_are_for_that_path_over_tls_alone(make_site: SiteMaker) -> None:
    site = make_site(public_url="https://example.org/music")
    visitor = site.visitor(host="example.org", **{"sec-fetch-site": "same-origin"})
    cookie = {"cookie": f"__Secure-myi_session={site.session()}"}
    assert visitor.get(f"/music{SIGN_INS}", headers=cookie).status_code == 200
    answer = visitor.post("/music/sign-out", headers=cookie)
    assert answer.headers["set-cookie"].startswith("__Secure-myi_session=")
    assert "Path=/music;" in answer.headers["set-cookie"]
    assert "Secure" in answer.headers["set-cookie"]
