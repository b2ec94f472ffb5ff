"""Signing an app in: an attempt, a person who lets it in, and a token that is given once; and whatever must not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from myi_pipeline.people import sign_in_attempts
from tests.integration.api.conftest import RunningSite, SiteMaker
from tests.integration.api.sign_ins import Place, make_link, use_link

ATTEMPTS = "/auth/attempts"
WISH = {"app_name": "Player on the phone"}
HTML = {"accept": "text/html"}


def begin(app: httpx.Client, **wish: str) -> dict[str, Any]:
    answer = app.post(ATTEMPTS, json=WISH | wish)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    made: dict[str, Any] = answer.json()
    return made


def look(app: httpx.Client, made: dict[str, Any], secret: str | None = None) -> httpx.Response:
    return app.get(f"{ATTEMPTS}/{made['id']}", headers={"attempt-secret": secret or made["secret"]})


def state(app: httpx.Client, made: dict[str, Any]) -> str:
    return str(look(app, made).json()["state"])


def page_of(made: dict[str, Any]) -> str:
    return str(httpx.URL(made["browser_url"]).path)


def test_an_app_gets_a_token_once_after_a_person_let_it_in(site: RunningSite) -> None:
    app, browser = site.visitor(), site.browser("ana")
    made = begin(app)
    assert made["browser_url"] == f"{site.url}/sign-in/app/{made['id']}"
    waiting = look(app, made).json()
    assert waiting == {"state": "pending", "reason": None, "token": None, "token_expires_at": None}
    # A link alone does nothing: the page shows which app asks, and its code.
    page = browser.get(page_of(made), headers=HTML)
    assert (page.status_code, made["code"] in page.text, WISH["app_name"] in page.text) == (200, True, True)
    assert state(app, made) == "pending"
    ended = browser.post(page_of(made), data={"answer": "yes"}, headers=HTML)
    assert (ended.status_code, "Go back to the app" in ended.text) == (200, True)

    found = look(app, made).json()
    assert (found["state"], found["token"][:4]) == ("done", "myi_")
    program = site.visitor(authorization=f"Bearer {found['token']}")
    assert program.get("/v1/me/time-zones").status_code == 200
    assert look(app, made).json() == {"state": "done", "reason": None, "token": None, "token_expires_at": None}
    made_for = (
        "select u.user_key, t.name, t.scope from app.access_tokens as t inner join app.users as u using (user_id)"
    )
    assert site.sql(made_for) == [("ana", WISH["app_name"], "read")]
    stored = str(
        site.sql("select a::text from app.sign_in_attempts as a") + site.sql("select a::text from app.audit as a")
    )
    assert not any(secret in stored for secret in (made["secret"], found["token"]))
    # It is one of the person's tokens, which they end.
    ((number,),) = site.sql("select token_id from app.access_tokens")
    assert browser.post(f"/account/tokens/{number}/revoke").status_code == 303
    assert program.get("/v1/me/time-zones").status_code == 401


def test_a_person_signs_in_with_spotify_on_the_way(place: Place) -> None:
    place.connect("ana", "listener-1")
    app, browser = place.site.visitor(), place.site.browser(None)
    made = begin(app, scope="listens:write")
    page = browser.get(page_of(made), headers=HTML).text
    assert f'name="attempt" value="{made["id"]}"' in page
    # Nobody is let in as nobody.
    assert browser.post(page_of(made), data={"answer": "yes"}).status_code == 303
    form = {"return_to": page_of(made), "attempt": made["id"]}
    answer = browser.get(place.agreed(browser, "listener-1", **form))
    assert (answer.status_code, answer.headers["location"]) == (303, page_of(made))
    # Signing in is not letting in.
    assert state(app, made) == "pending"
    assert "submit listens" in browser.get(page_of(made), headers=HTML).text
    browser.post(page_of(made), data={"answer": "yes"})
    assert look(app, made).json()["token"].startswith("myi_")
    assert place.site.sql("select scope from app.access_tokens") == [("listens:write",)]


@pytest.mark.parametrize(
    ("listener", "cancel", "reason"), [("listener-2", False, "not-invited"), ("listener-1", True, "denied")]
)
def test_an_attempt_fails_with_the_sign_in(place: Place, listener: str, cancel: bool, reason: str) -> None:
    place.connect("ana", "listener-1")
    app, browser = place.site.visitor(), place.site.browser(None)
    made = begin(app)
    url = place.begin(browser, attempt=made["id"], return_to=page_of(made))
    answer = browser.get(place.simulator.visit(url, listener, cancel=cancel), headers=HTML)
    assert answer.status_code >= 400
    assert look(app, made).json() == {"state": "failed", "reason": reason, "token": None, "token_expires_at": None}
    page = browser.get(page_of(made), headers=HTML)
    assert (page.status_code, "was not let in" in page.text) == (410, True)


def test_whoever_says_no_is_not_asked_again_and_a_later_yes_is_too_late(site: RunningSite) -> None:
    app, browser = site.visitor(), site.browser("ana")
    made = begin(app)
    assert browser.post(page_of(made), data={"answer": "no"}).status_code == 410
    assert look(app, made).json()["reason"] == "denied"
    assert browser.post(page_of(made), data={"answer": "yes"}).status_code == 410
    assert state(app, made) == "failed"
    assert site.sql("select count(*) from app.access_tokens") == [(0,)]


def test_an_attempt_expires_and_is_forgotten(site: RunningSite) -> None:
    app, browser = site.visitor(), site.browser("ana")
    waiting, allowed = begin(app), begin(app)
    browser.post(page_of(allowed), data={"answer": "yes"})
    site.sql("update app.sign_in_attempts set expires_at = now()")
    assert [state(app, each) for each in (waiting, allowed)] == ["expired", "expired"]
    late = browser.post(page_of(waiting), data={"answer": "yes"}, headers=HTML)
    assert (late.status_code, "took too long" in late.text) == (410, True)
    assert site.sql("select count(*) from app.access_tokens") == [(0,)]
    site.sql("update app.sign_in_attempts set expires_at = now() - interval '2 hours'")
    begin(app)
    assert look(app, waiting).status_code == 404
    assert site.sql("select count(*) from app.sign_in_attempts") == [(1,)]


def test_of_many_that_ask_at_once_one_gets_the_token(site: RunningSite) -> None:
    made = begin(site.visitor())
    site.browser("ana").post(page_of(made), data={"answer": "yes"})
    apps = [site.visitor() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda app: look(app, made).json(), apps))
    assert {each["state"] for each in found} == {"done"}
    assert len([each for each in found if each["token"] is not None]) == 1
    assert site.sql("select count(*) from app.access_tokens") == [(1,)]


def test_an_attempt_answers_to_its_secret_alone_and_guesses_end(make_site: SiteMaker) -> None:
    site = make_site(api_sensitive_requests_per_minute=5)
    app = site.visitor()
    made, other = begin(app), begin(app)
    site.browser("ana").post(page_of(made), data={"answer": "yes"})
    wrong = [look(app, made, secret) for secret in (other["secret"], "A" * 43)]
    missing = look(app, {"id": "A" * 22}, made["secret"])
    assert {answer.status_code for answer in (*wrong, missing)} == {404}
    assert {answer.json()["detail"] for answer in (*wrong, missing)} == {missing.json()["detail"]}
    assert app.get(f"{ATTEMPTS}/{made['id']}").status_code == 422
    guesses = [look(app, made, "B" * 43).status_code for _ in range(4)]
    assert guesses == [404, 404, 429, 429]
    # Whoever has the secret is served, from the same address too.
    assert look(app, made).json()["token"].startswith("myi_")
    assert site.sql("select distinct detail ->> 'what' from app.audit where event = 'wrong_credential'") == [
        ("attempt",)
    ]


def test_attempts_are_few_at_a_time(make_site: SiteMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    site = make_site(api_sensitive_requests_per_minute=3)
    answers = [site.visitor().post(ATTEMPTS, json=WISH) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    # Of all addresses together, too.
    monkeypatch.setattr(sign_in_attempts, "MOST_ATTEMPTS", 3)
    full = make_site().visitor().post(ATTEMPTS, json=WISH)
    assert (full.status_code, "retry-after" in full.headers) == (429, True)
    assert site.sql("select count(*) from app.sign_in_attempts") == [(3,)]


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "a\x1b[2Jb", "a\nb"])
def test_a_name_that_cannot_be_shown_is_refused(site: RunningSite, name: str) -> None:
    answer = site.visitor().post(ATTEMPTS, json={"app_name": name})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


@pytest.mark.parametrize(
    "headers",
    [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"cookie": "myi_session=" + "A" * 43}],
)
def test_no_other_sites_page_begins_or_decides_an_attempt(site: RunningSite, headers: dict[str, str]) -> None:
    assert site.visitor(**headers).post(ATTEMPTS, json=WISH).json()["type"] == "urn:myi:problem:cross-site"
    made = begin(site.visitor())
    victim = site.visitor(cookie=f"myi_session={site.session()}", **{"sec-fetch-site": "cross-site"})
    assert victim.post(page_of(made), data={"answer": "yes"}).status_code == 403
    # A token is no browser.
    token = site.visitor(authorization=f"Bearer {site.token()}", **{"sec-fetch-site": "same-origin"})
    token.post(page_of(made), data={"answer": "yes"})
    assert state(site.visitor(), made) == "pending"


def test_ending_every_sign_in_ends_what_was_let_in_and_not_fetched(site: RunningSite) -> None:
    app, browser = site.visitor(), site.browser("ana")
    made = begin(app)
    browser.post(page_of(made), data={"answer": "yes"})
    assert browser.post("/account/sign-ins/end-others").status_code == 303
    assert look(app, made).status_code == 404


def test_a_link_signs_in_whoever_lets_the_app_in(site: RunningSite) -> None:
    made = begin(site.visitor())
    browser = site.browser(None)
    assert use_link(browser, make_link(site)).status_code == 303
    assert "as ana" in browser.get(page_of(made), headers=HTML).text
    for path in ("/sign-in/app/none", f"/sign-in/app/{'A' * 22}"):
        assert browser.get(path, headers=HTML).status_code == 404
