"""What stands between the network and the routes: foreign pages and names, floods, large bodies, forged addresses."""

from __future__ import annotations

import time

import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import Mount

from myi_pipeline.web.app import create_app
from myi_pipeline.web.middleware.body_limits import USUAL_BYTES
from myi_pipeline.web.security.rate_limits import Guesses
from myi_pipeline.web.security.visitors import REMEMBERED_S
from tests.architecture.repository import ROOT
from tests.integration.api.conftest import RunningSite, SiteMaker, api_routes

TOKENS = "/v1/me/tokens"
WISH = {"name": "x"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "cross-site"}, 403),
        # Another port or a sibling of the same site is another program.
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "{own}"}, 403),
        ({"origin": "{own}"}, 201),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_what_changes_something_is_done_for_this_sites_own_pages_alone(
    site: RunningSite, headers: dict[str, str], status: int
) -> None:
    browser = site.visitor(cookie=f"myi_session={site.session()}")
    own = {name: value.replace("{own}", site.url) for name, value in headers.items()}
    assert browser.post(TOKENS, json=WISH, headers=own).status_code == status
    assert site.sql("select count(*) from app.access_tokens") == [(int(status == 201),)]


def test_every_route_that_changes_something_is_behind_that(site: RunningSite) -> None:
    browser = site.visitor(cookie=f"myi_session={site.session()}", **{"sec-fetch-site": "cross-site"})
    tried = [
        browser.request(method, path.replace("{", "").replace("}", ""))
        for route in api_routes(create_app(site.settings, site.warehouse).routes)
        for path in [route.path]
        for method in route.methods - {"GET", "HEAD"}
    ]
    assert len(tried) >= 7
    assert {answer.json()["type"] for answer in tried} == {"urn:myi:problem:cross-site"}


def test_a_program_without_a_token_is_told_that_it_lacks_one(site: RunningSite) -> None:
    """It was called another site's page, although no browser leaves out all of what it says about a request."""
    program = site.visitor()
    tried = [
        program.request(method, path.replace("{", "").replace("}", ""))
        for route in api_routes(create_app(site.settings, site.warehouse).routes)
        for path in [route.path]
        for method in route.methods - {"GET", "HEAD"}
        if path.startswith(("/v1/", "/1/", "/apis/"))
    ]
    assert len(tried) >= 30
    assert {(answer.status_code, answer.json()["type"]) for answer in tried} == {(401, "urn:myi:problem:not-signed-in")}


def test_a_foreign_name_for_this_address_reaches_nothing_but_health(site: RunningSite) -> None:
    """DNS rebinding: evil.example resolves to 127.0.0.1 once its page is loaded."""
    browser = site.browser()
    rebound = {"host": f"evil.example:{site.settings.api_port}"}
    assert browser.get("/v1/me/sign-ins", headers=rebound).status_code == 421
    assert browser.get("/sign-in", headers=rebound).status_code == 421
    assert browser.get("/healthz", headers=rebound).status_code == 200
    # Figures say how many users there are, and when they listened last.
    assert browser.get("/metrics", headers=rebound).status_code == 421
    assert browser.get("/metrics").status_code == 200
    assert browser.get("/v1/me/sign-ins", headers={"host": f"localhost:{site.settings.api_port}"}).status_code == 200


HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/sign-in", "/healthz", "/nowhere", "/v1/me/sign-ins", "/static/site.css"])
def test_every_answer_has_the_headers(site: RunningSite, path: str) -> None:
    answer = site.visitor().get(path)
    expected = HEADERS | ({"cache-control": answer.headers["cache-control"]} if path.startswith("/static") else {})
    assert {name: answer.headers.get(name) for name in expected} == expected
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "strict-transport-security" not in answer.headers


def test_behind_tls_cookies_are_for_this_host_over_tls_alone(make_site: SiteMaker) -> None:
    site = make_site(public_url="https://music.example.org")
    visitor = site.visitor(host="music.example.org", **{"sec-fetch-site": "same-origin"})
    answer = visitor.post("/sign-out", headers={"cookie": f"__Host-myi_session={site.session()}"})
    assert answer.headers["strict-transport-security"].startswith("max-age=63072000")
    assert answer.headers["set-cookie"].startswith("__Host-myi_session=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "Path=/" in answer.headers["set-cookie"]
    assert "Domain" not in answer.headers["set-cookie"]
    # The name without the prefix is what a page of a sibling domain could plant.
    planted = {"cookie": f"myi_session={site.session()}"}
    assert visitor.get("/v1/me/sign-ins", headers=planted).status_code == 401


def test_other_origins_read_nothing_unless_they_are_named_and_never_with_cookies(make_site: SiteMaker) -> None:
    named = "https://player.example.org"
    closed, opened = make_site(), make_site(cors_origins=named)
    asked = {"origin": named}
    assert "access-control-allow-origin" not in closed.program().get("/v1/me/sign-ins", headers=asked).headers
    answer = opened.program().get("/v1/me/sign-ins", headers=asked)
    assert answer.headers["access-control-allow-origin"] == named
    assert "access-control-allow-credentials" not in answer.headers
    other = opened.program().get("/v1/me/sign-ins", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_wrong_guesses_end_after_a_few_and_lock_nobody_out_who_has_what_is_good(make_site: SiteMaker) -> None:
    site = make_site(api_sensitive_requests_per_minute=5)
    token, browser = site.token(), site.browser("ben")
    guesses = [site.visitor(authorization=f"Bearer myi_{'A' * 42}{n}").get(TOKENS) for n in range(7)]
    assert [answer.status_code for answer in guesses] == [401] * 5 + [429] * 2
    assert 1 <= int(guesses[-1].headers["retry-after"]) <= 60
    assert guesses[-1].json()["type"] == "urn:myi:problem:too-many-requests"
    # From the same address: a program, a browser, and somebody who signs in only now.
    assert site.visitor(authorization=f"Bearer {token}").get(TOKENS).json()["type"] == "urn:myi:problem:browser-only"
    assert browser.get(TOKENS).status_code == 200
    assert site.browser("cara").get("/account").status_code == 200
    assert site.browser(None).get(TOKENS).status_code == 401
    # Somebody who was signed out meanwhile reaches the page to sign in, which takes the old cookie away.
    signed_out = site.visitor(cookie=f"myi_session={'A' * 43}")
    assert [signed_out.get(TOKENS).status_code, signed_out.get("/sign-in").status_code] == [401, 200]
    assert 'myi_session=""' in signed_out.get("/sign-in").headers["set-cookie"]
    # Nor by what else is limited: handing archives in, connecting Spotify.
    stranger = site.visitor(**{"sec-fetch-site": "same-origin"})
    assert [stranger.post("/v1/me/imports", content=b"x").status_code for _ in range(7)] == [401] * 5 + [429] * 2
    assert browser.post("/v1/me/imports", content=b"x").status_code == 422
    found = site.sql("select address, user_id, detail ->> 'what' from app.audit where event = 'wrong_credential'")
    assert found == [("127.0.0.1", None, what) for what in ["token"] * 7 + ["session"] * 3]


def test_a_flood_of_guesses_fills_no_disk(site: RunningSite) -> None:
    guesses = Guesses(clock=lambda: 0.0)
    assert len([n for n in range(5_000) if guesses.count("203.0.113.1") is not None]) == 12
    for n in range(10_000):
        guesses.count(f"10.0.{n // 256}.{n % 256}")
    assert guesses.count("198.51.100.1") is None


def test_an_old_cookie_is_no_guess_and_an_ended_token_concerns_whose_it_was(make_site: SiteMaker) -> None:
    site = make_site(api_sensitive_requests_per_minute=2)
    browser, program = site.browser(), site.program()
    assert program.get(TOKENS).status_code == 403
    site.sql("update app.sessions set created_at = now() - interval '1 year'")
    site.sql("update app.access_tokens set expires_at = now()")
    time.sleep(REMEMBERED_S + 0.05)
    assert [browser.get(TOKENS).status_code for _ in range(4)] == [401] * 4
    assert [program.get(TOKENS).status_code for _ in range(3)] == [401, 401, 429]
    assert set(site.sql("select user_key from app.audit where event = 'wrong_credential'")) == {("ana",)}


def test_sign_in_is_strict_reading_is_normal_and_health_is_lenient(make_site: SiteMaker) -> None:
    site = make_site(api_sensitive_requests_per_minute=3, api_requests_per_minute=6)
    browser = site.browser()

    def until_refused(path: str) -> int:
        return next((n for n in range(100) if browser.get(path).status_code == 429), 100)

    assert until_refused("/link/x") == 3
    assert until_refused("/v1/me/sign-ins") == 6
    assert until_refused("/healthz") == 60


def test_one_users_flood_is_not_anothers(make_site: SiteMaker) -> None:
    site = make_site(api_requests_per_minute=3)
    ana, ben = site.browser("ana"), site.browser("ben")
    assert [ana.get("/v1/me/sign-ins").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert ben.get("/v1/me/sign-ins").status_code == 200


def test_nobody_chooses_the_address_by_which_they_are_limited(make_site: SiteMaker) -> None:
    site = make_site(api_sensitive_requests_per_minute=2)
    forged = [site.visitor().get("/link/x", headers={"x-forwarded-for": f"10.0.0.{n}"}) for n in range(4)]
    assert [answer.status_code for answer in forged] == [410, 410, 429, 429]


def test_behind_a_trusted_proxy_each_visitor_is_limited_apart(make_site: SiteMaker) -> None:
    site = make_site(api_sensitive_requests_per_minute=1, trusted_proxies="127.0.0.1")
    proxy = site.visitor()

    def ask(forwarded: str) -> int:
        return proxy.get("/link/x", headers={"x-forwarded-for": forwarded}).status_code

    assert [ask("203.0.113.1"), ask("203.0.113.2"), ask("203.0.113.1")] == [410, 410, 429]
    # What the visitor wrote itself stands to the left of what the proxy added.
    assert ask("198.51.100.7, 203.0.113.2") == 429
    # A household has a /64 of addresses.
    assert [ask("2001:db8::1"), ask("2001:db8::2")] == [410, 429]


@pytest.mark.parametrize("is_told", [True, False])
def test_a_body_that_is_too_large_is_refused_before_it_is_held(site: RunningSite, is_told: bool) -> None:
    browser = site.browser()
    content = b" " * (USUAL_BYTES + 1) if is_told else iter([b" " * 8_192] * 2_000)
    answer = browser.post(TOKENS, content=content)
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:myi:problem:too-large"
    assert site.browser().get("/healthz").status_code == 200


def test_errors_are_problem_documents_that_repeat_nothing_of_the_request(site: RunningSite) -> None:
    browser = site.browser()
    hostile = "<img src=x onerror=alert(1)>"
    answers = [
        browser.get("/nowhere"),
        browser.put(TOKENS),
        browser.post(TOKENS, json={"name": 7, hostile: 1}),
        browser.post(TOKENS, content=b"{", headers={"content-type": "application/json"}),
        browser.delete(f"{TOKENS}/{hostile}"),
        browser.delete(f"{TOKENS}/99999999999999999999"),
        site.visitor().get(TOKENS),
    ]
    for answer in answers:
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        document = answer.json()
        assert {"type", "title", "status", "detail", "instance"} <= set(document)
        assert document["status"] == answer.status_code
        assert "onerror" not in answer.text


def test_hostile_names_are_text_on_every_page_of_this_room(site: RunningSite) -> None:
    browser = site.browser(None)
    hostile = '"><img src=x onerror=alert(1)>'
    for page in (
        browser.get("/sign-in", params={"return_to": f"/{hostile}"}),
        browser.get(f"/link/{hostile}", headers={"accept": "text/html"}),
        browser.get("/callback", params={"state": hostile, "error": hostile}, headers={"accept": "text/html"}),
        browser.get(f"/{hostile}", headers={"accept": "text/html"}),
    ):
        assert page.headers["content-type"].startswith("text/html")
        assert "<img" not in page.text


def test_every_route_has_a_tier_of_its_own(site: RunningSite) -> None:
    """A route that nobody limits is found here; the contract and files need none."""

    def tiers(route: APIRoute) -> list[object]:
        left, found = [route.dependant], []
        while left:
            dependant = left.pop()
            left += dependant.dependencies
            found.append(getattr(dependant.call, "tier", None))
        return [tier for tier in found if tier is not None]

    app = create_app(site.settings, site.warehouse)
    every = api_routes(app.routes)
    assert {"/healthz", "/sign-in", TOKENS, "/v1/me/plays"} <= {route.path for route in every}
    assert [route.path for route in every if not tiers(route)] == []
    unlimited = APIRouter()
    unlimited.add_api_route("/open", lambda: None)
    assert tiers(api_routes(unlimited.routes)[0]) == []
    assert {route.path for route in app.routes if isinstance(route, Mount)} == {"/static"}


def test_every_route_is_described(site: RunningSite) -> None:
    """In the contract, or in docs/access.md, docs/dashboard.md or docs/scrobblers.md."""
    app = create_app(site.settings, site.warehouse)
    contract = set(app.openapi()["paths"])
    pages = ("access", "dashboard", "scrobblers")
    described = "".join((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in pages)
    # What scrobblers find below either base is the same.
    paths = {route.path_format.removeprefix("/apis/listenbrainz") for route in api_routes(app.routes)}
    hidden = sorted(paths - contract)
    assert "/sign-in" in hidden
    assert [path for path in hidden if f"{path}`" not in described] == []
