"""The accounts service's rules: redirects, PKCE, codes, rotation, six months, the app's list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.simulator.live import AppSpec, MovableClock, SimulatorSpec
from myi_pipeline.simulator.live.accounts import Accounts, OAuthError, TokenAnswer, add_months
from myi_pipeline.simulator.live.sign_in_rules import AuthorisePageError, challenge_of, is_secure_redirect

# The example of RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
REDIRECT = "http://127.0.0.1:8888/callback"


def accounts(**app: object) -> Accounts:
    return Accounts(SimulatorSpec(apps=(AppSpec(client_id="c", **app),), canary="canary-"), MovableClock())


def sign_in(known: Accounts, listener: str = "ana") -> TokenAnswer:
    app = known.apps["c"]
    code = known.authorise(app=app, listener=listener, scopes=["x"], redirect_uri=REDIRECT, challenge=CHALLENGE)
    return known.exchange(app=app, code=code, redirect_uri=REDIRECT, verifier=VERIFIER, has_secret=False)


def refresh(known: Accounts, token: str | None) -> TokenAnswer:
    assert token is not None
    return known.refresh(app=known.apps["c"], text=token)


def test_the_challenge_is_that_of_the_standard() -> None:
    assert challenge_of(VERIFIER) == CHALLENGE


@pytest.mark.parametrize(
    ("uri", "is_secure"),
    [
        ("https://example.org/callback", True),
        ("http://127.0.0.1:8888/callback", True),
        ("http://[::1]:8888/callback", True),
        ("http://localhost:8888/callback", False),
        ("https://localhost/callback", False),
        ("http://example.org/callback", False),
        ("http://127.0.0.1.example.org/callback", False),
        ("http://127.0.0.1:8888/callback#part", False),
        ("myapp://callback", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_a_redirect_is_https_or_a_loopback_address_by_number(uri: str, is_secure: bool) -> None:
    assert is_secure_redirect(uri) is is_secure


@pytest.mark.parametrize(
    ("registered", "asked", "is_good"),
    [
        (REDIRECT, REDIRECT, True),
        (REDIRECT, "http://127.0.0.1:8889/callback", False),
        (REDIRECT, REDIRECT + "/", False),
        (REDIRECT, "http://[::1]:8888/callback", False),
        ("http://127.0.0.1/callback", "http://127.0.0.1:51234/callback", True),
        ("http://127.0.0.1/callback", "http://127.0.0.1:51234/other", False),
        ("http://127.0.0.1/callback", "http://[::1]:51234/callback", False),
        ("https://example.org/cb", "https://example.org:8443/cb", False),
    ],
)
def test_only_registered_redirects_are_taken(registered: str, asked: str, is_good: bool) -> None:
    known = accounts(redirect_uris=(registered,))
    query = {"client_id": "c", "redirect_uri": asked}
    if is_good:
        assert known.check_authorisation(query).client_id == "c"
    else:
        with pytest.raises(AuthorisePageError, match="INVALID_CLIENT: Invalid redirect URI"):
            known.check_authorisation(query)


def test_localhost_is_named_insecure_even_when_somebody_registered_it() -> None:
    known = accounts(redirect_uris=("http://localhost:8888/callback",))
    with pytest.raises(AuthorisePageError, match="Insecure redirect URI"):
        known.check_authorisation({"client_id": "c", "redirect_uri": "http://localhost:8888/callback"})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"verifier": "x" * 43}, "code_verifier was incorrect"),
        ({"verifier": CHALLENGE}, "code_verifier was incorrect"),  # as if the method were plain
        ({"verifier": ""}, "code_verifier required"),
        ({"redirect_uri": "http://127.0.0.1:9999/callback"}, "Invalid redirect URI"),
        ({"code": "made-up"}, "Invalid authorization code"),
    ],
)
def test_a_code_works_only_with_its_verifier_and_its_redirect(change: dict[str, str], complaint: str) -> None:
    known = accounts()
    app = known.apps["c"]
    code = known.authorise(app=app, listener="ana", scopes=[], redirect_uri=REDIRECT, challenge=CHALLENGE)
    fields = {"code": code, "redirect_uri": REDIRECT, "verifier": VERIFIER} | change
    with pytest.raises(OAuthError, match=complaint):
        known.exchange(app=app, has_secret=False, **fields)


def test_a_code_works_once_and_for_ten_minutes() -> None:
    known = accounts()
    app = known.apps["c"]
    codes = [
        known.authorise(app=app, listener="ana", scopes=[], redirect_uri=REDIRECT, challenge=CHALLENGE)
        for _ in range(2)
    ]
    fields = {"app": app, "redirect_uri": REDIRECT, "verifier": VERIFIER, "has_secret": False}
    known.exchange(code=codes[0], **fields)
    with pytest.raises(OAuthError):
        known.exchange(code=codes[0], **fields)
    known.clock.advance(timedelta(minutes=10))
    with pytest.raises(OAuthError, match="expired"):
        known.exchange(code=codes[1], **fields)


def test_an_access_token_lives_an_hour_and_carries_the_canary() -> None:
    known = accounts()
    made = sign_in(known)
    assert made.access_token.startswith("canary-")
    assert (made.refresh_token or "").startswith("canary-")
    assert known.holder(made.access_token)
    known.clock.advance(3600)
    with pytest.raises(TimeoutError):
        known.holder(made.access_token)


def test_a_rotated_token_works_until_its_successor_is_used() -> None:
    """A process that was killed between the answer and the commit still holds the old one, and must get in."""
    known = accounts(refresh_tokens="rotate")
    first = sign_in(known)
    lost = refresh(known, first.refresh_token)
    again = refresh(known, first.refresh_token)
    assert len({first.refresh_token, lost.refresh_token, again.refresh_token}) == 3

    assert known.holder(again.access_token)
    with pytest.raises(OAuthError, match="Invalid"):
        refresh(known, first.refresh_token)
    assert refresh(known, again.refresh_token).refresh_token


def test_refreshing_twice_from_one_token_makes_the_first_answer_worthless() -> None:
    known = accounts(refresh_tokens="rotate")
    first = sign_in(known)
    lost = refresh(known, first.refresh_token)
    refresh(known, first.refresh_token)
    with pytest.raises(OAuthError) as caught:
        refresh(known, lost.refresh_token)
    assert caught.value.error == "invalid_grant"


def test_a_stern_app_kills_a_rotated_token_at_once() -> None:
    known = accounts(refresh_tokens="rotate", rotated_token_dies="at_once")
    first = sign_in(known)
    refresh(known, first.refresh_token)
    with pytest.raises(OAuthError):
        refresh(known, first.refresh_token)


def test_an_omitted_refresh_token_means_the_old_one_goes_on() -> None:
    known = accounts(refresh_tokens="omit")
    first = sign_in(known)
    assert refresh(known, first.refresh_token).refresh_token is None
    assert refresh(known, first.refresh_token).access_token
    repeating = accounts(refresh_tokens="repeat")
    made = sign_in(repeating)
    assert refresh(repeating, made.refresh_token).refresh_token == made.refresh_token


@pytest.mark.parametrize("mode", ["rotate", "omit", "repeat"])
def test_six_months_after_the_authorisation_it_is_over_whatever_was_refreshed(mode: str) -> None:
    known = accounts(refresh_tokens=mode)
    start = known.clock.now()
    token = sign_in(known).refresh_token
    while known.clock.now() < add_months(start, 6) - timedelta(days=20):
        known.clock.advance(timedelta(days=20))
        token = refresh(known, token).refresh_token or token
    known.clock.set(add_months(start, 6))
    with pytest.raises(OAuthError) as caught:
        refresh(known, token)
    assert caught.value.error == "invalid_grant"


def test_months_end_on_their_last_day() -> None:
    assert add_months(datetime(2025, 8, 31, 5, tzinfo=UTC), 6) == datetime(2026, 2, 28, 5, tzinfo=UTC)


def test_what_the_person_takes_back_is_worth_nothing() -> None:
    known = accounts()
    made = sign_in(known)
    assert known.revoke("ana") == 1
    assert known.holder(made.access_token) is None
    with pytest.raises(OAuthError, match="revoked"):
        refresh(known, made.refresh_token)
    assert known.holder(sign_in(known).access_token)


def test_a_list_holds_five_and_no_sixth() -> None:
    known = accounts()
    for number in range(6):
        sign_in(known, f"p{number}")
    assert [known.is_registered_user(known.apps["c"], f"p{n}") for n in range(6)] == [True] * 5 + [False]
    listed = accounts(allowed=("ana",))
    assert listed.is_registered_user(listed.apps["c"], "ana")
    assert not listed.is_registered_user(listed.apps["c"], "ben")


def test_tokens_are_a_function_of_the_seed() -> None:
    assert sign_in(accounts()) == sign_in(accounts())


def test_a_thousand_refreshes_leave_no_thousand_tokens() -> None:
    known = accounts()
    made = sign_in(known)
    for _ in range(5000):
        known.clock.advance(3600 / 2)
        made = refresh(known, made.refresh_token) if known.holder(made.access_token) else made
        if known.clock.now() > add_months(known.grants[0].authorised_at, 5):
            break
    assert len(known.refresh_tokens) <= 3
    assert len(known.access_tokens) < 2_100
