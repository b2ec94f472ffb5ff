"""Signing in as a browser and a program do, and every way in which Spotify says no."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from myi_pipeline.simulator.live import AppSpec, SignInRefused, Simulator
from myi_pipeline.simulator.live.sign_in_rules import challenge_of
from tests.integration.simulator.web_api_schema import complain

Caller = Callable[..., httpx.Response]
REDIRECT = "http://127.0.0.1:8888/callback"
VERIFIER = "a-verifier-of-more-than-forty-three-characters"


def address(simulator: Simulator, **changes: str | None) -> str:
    query = {
        "client_id": "new",
        "response_type": "code",
        "redirect_uri": REDIRECT,
        "state": "st&te=1",
        "scope": "user-read-recently-played user-top-read",
        "code_challenge_method": "S256",
        "code_challenge": challenge_of(VERIFIER),
    } | changes
    return f"{simulator.accounts_url}/authorize?" + urlencode({k: v for k, v in query.items() if v is not None})


def sent_back(target: str) -> dict[str, list[str]]:
    assert target.startswith(REDIRECT + "?")
    return parse_qs(urlsplit(target).query)


def token(simulator: Simulator, http: httpx.Client, **fields: str) -> httpx.Response:
    return http.post(f"{simulator.accounts_url}/api/token", data=fields)


def test_the_state_comes_back_as_it_was_given_with_a_code(simulator: Simulator) -> None:
    answer = sent_back(simulator.visit(address(simulator), "listener-1"))
    assert answer["state"] == ["st&te=1"]
    assert answer["code"]


def test_who_cancels_sends_back_access_denied(simulator: Simulator) -> None:
    answer = sent_back(simulator.visit(address(simulator), "listener-1", cancel=True))
    assert answer == {"error": ["access_denied"], "state": ["st&te=1"]}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"client_id": "nobody"}, "INVALID_CLIENT: Invalid client"),
        ({"redirect_uri": "http://localhost:8888/callback"}, "INVALID_CLIENT: Insecure redirect URI"),
        ({"redirect_uri": "http://127.0.0.1:8888/elsewhere"}, "INVALID_CLIENT: Invalid redirect URI"),
        ({"scope": "user-read-minds"}, "INVALID_SCOPE"),
    ],
)
def test_a_broken_rule_is_said_on_the_page_and_nobody_is_sent_away(
    simulator: Simulator, change: dict[str, str], complaint: str
) -> None:
    with pytest.raises(SignInRefused, match=complaint):
        simulator.visit(address(simulator, **change), "listener-1")


@pytest.mark.parametrize(
    "change",
    [
        {"response_type": "token"},
        {"code_challenge": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": None},
        {"code_challenge": "short"},
    ],
)
def test_a_request_without_s256_is_sent_back_with_an_error(simulator: Simulator, change: dict[str, str | None]) -> None:
    answer = sent_back(simulator.visit(address(simulator, **change), "listener-1"))
    assert "code" not in answer
    assert answer["error"]


def test_a_code_becomes_tokens_with_the_verifier_alone(simulator: Simulator, http: httpx.Client) -> None:
    fields = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, "client_id": "new"}
    codes = [sent_back(simulator.visit(address(simulator), "listener-1"))["code"][0] for _ in range(2)]
    wrong = token(simulator, http, code=codes[0], code_verifier="b" * 50, **fields)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
    made = token(simulator, http, code=codes[1], code_verifier=VERIFIER, **fields)
    assert made.status_code == 200
    assert set(made.json()) == {"access_token", "token_type", "scope", "expires_in", "refresh_token"}
    assert made.json()["scope"].split() == ["user-read-recently-played", "user-top-read"]
    again = token(simulator, http, code=codes[1], code_verifier=VERIFIER, **fields)
    assert again.json()["error"] == "invalid_grant"


def test_a_refresh_answers_by_the_apps_manner(simulator: Simulator, http: httpx.Client) -> None:
    for manner in ("rotate", "omit", "repeat"):
        simulator.control.set_app("new", refresh_tokens=manner)
        signed = simulator.sign_in("listener-1", client_id="new")
        fields = {"grant_type": "refresh_token", "client_id": "new"}
        answer = token(simulator, http, refresh_token=signed.refresh_token, **fields).json()
        shown = answer.get("refresh_token")
        assert {"rotate": shown not in (None, signed.refresh_token), "omit": shown is None}.get(
            manner, shown == signed.refresh_token
        )
        assert answer["access_token"] != signed.access_token
    simulator.control.set_app("new", refresh_tokens="rotate")


def test_after_six_months_only_a_new_sign_in_helps(simulator: Simulator, http: httpx.Client, get: Caller) -> None:
    signed = simulator.sign_in("listener-1", client_id="new")
    simulator.control.advance(185 * 86_400)
    fields = {"grant_type": "refresh_token", "client_id": "new", "refresh_token": signed.refresh_token}
    answer = token(simulator, http, **fields)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert get("/me").status_code == 200


def test_a_secret_must_fit_where_an_app_has_one(simulator: Simulator, http: httpx.Client) -> None:
    simulator.control.set_app("confidential", client_secret="s3cret", redirect_uris=[REDIRECT])
    fields = {"grant_type": "authorization_code", "redirect_uri": REDIRECT}
    url = address(simulator, client_id="confidential", code_challenge=None, code_challenge_method=None)
    for secret, status in (("wrong", 400), ("s3cret", 200)):
        code = sent_back(simulator.visit(url, "listener-1"))["code"][0]
        answer = http.post(
            f"{simulator.accounts_url}/api/token", data={**fields, "code": code}, auth=("confidential", secret)
        )
        assert answer.status_code == status


def test_tokens_run_out_and_are_taken_back(simulator: Simulator, http: httpx.Client) -> None:
    def ask(text: str | None) -> tuple[int, str]:
        headers = {} if text is None else {"authorization": f"Bearer {text}"}
        answer = http.get(f"{simulator.api_url}/me", headers=headers)
        if answer.status_code != 200:
            complain(answer.json(), "error")
            return answer.status_code, answer.json()["error"]["message"]
        return 200, ""

    assert ask(None) == (401, "No token provided")
    assert ask("made-up") == (401, "Invalid access token")
    signed = simulator.sign_in("listener-1", client_id="new")
    assert ask(signed.access_token) == (200, "")
    simulator.control.expire_access_tokens("listener-1")
    assert ask(signed.access_token) == (401, "The access token expired")
    signed = simulator.sign_in("listener-1", client_id="new")
    assert simulator.control.revoke("listener-1", "new") > 0
    assert ask(signed.access_token) == (401, "Invalid access token")


def test_a_denied_scope_closes_what_needs_it_and_nothing_else(simulator: Simulator, http: httpx.Client) -> None:
    signed = simulator.sign_in("listener-1", client_id="new", denied=("user-top-read",))
    assert "user-top-read" not in signed.scope
    headers = {"authorization": f"Bearer {signed.access_token}"}
    refused = http.get(f"{simulator.api_url}/me/top/tracks", headers=headers)
    assert refused.status_code == 403
    assert refused.json()["error"]["message"] == "Insufficient client scope"
    assert http.get(f"{simulator.api_url}/me/player/recently-played", headers=headers).status_code == 200


def test_the_sixth_user_of_an_app_is_told_that_they_are_not_registered(get: Caller) -> None:
    answers = [get("/me", listener=f"listener-{n}", client_id="small") for n in range(1, 7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [403]
    assert "not registered" in answers[5].text


def test_an_app_whose_owner_has_no_premium_stops(simulator: Simulator, get: Caller) -> None:
    simulator.control.set_app("lapsed", premium=False, redirect_uris=[REDIRECT])
    answer = get("/me", client_id="lapsed")
    assert answer.status_code == 403
    complain(answer.json(), "error")
    assert "premium" in answer.json()["error"]["message"].lower()
    simulator.control.set_app("lapsed", premium=True)
    assert get("/me", client_id="lapsed").status_code == 200


def test_an_app_of_before_may_2026_gives_no_account_id(simulator: Simulator, get: Caller) -> None:
    assert get("/me").json()["account_id"] == simulator.control.account_id("listener-1")
    simulator.control.set_app("early", **AppSpec(client_id="early", account_id=False).model_dump(exclude={"client_id"}))
    assert "account_id" not in get("/me", client_id="early").json()


def test_a_name_cannot_bring_markup_onto_the_page(simulator: Simulator, http: httpx.Client) -> None:
    page = http.get(address(simulator, state='"><script>alert(1)</script>'))
    assert page.status_code == 200
    assert "<script" not in page.text


def test_many_sign_in_at_once_as_well(simulator: Simulator, http: httpx.Client) -> None:
    keys = [f"listener-{number}" for number in range(1, 11)]
    signed = simulator.control.sign_in_all(keys, client_id="new")
    assert [each.listener for each in signed] == keys
    for each in signed:
        assert each.access_token not in repr(each)
        answer = http.get(f"{simulator.api_url}/me", headers={"authorization": f"Bearer {each.access_token}"})
        assert answer.json()["display_name"] == each.listener
