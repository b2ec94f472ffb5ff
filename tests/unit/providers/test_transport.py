"""What an answer says, and what it may not say on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myi_pipeline.errors import Permanent, UnexpectedAnswer
from myi_pipeline.providers.spotify.oauth import explain_forbidden
from myi_pipeline.providers.transport import Answer, make_http, retry_after

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def answer(body: bytes = b"", **headers: str) -> Answer:
    return Answer("GET /x", 400, {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("17", 17),
        (" 85771 ", 85_771),
        ("Mon, 02 Mar 2026 09:01:00 GMT", 60),
        ("Mon, 02 Mar 2026 08:00:00 GMT", 0),
        ("", None),
        ("-5", None),
        ("1.5", 2),
        ("3600.0", 3_600),
        ("60, 60", 60),
        ("5,120.2", 121),
        ("60, soon", None),
        ("1e3", None),
        ("soon", None),
        ("9" * 40, None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_not_told(value: str, seconds: int | None) -> None:
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(answer(retry_after=value), NOW) == expected


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Mon, 02 Mar 2026 08:00:00 GMT", 3_660),  # our clock is an hour ahead of Spotify's
        ("Mon, 02 Mar 2026 09:02:00 GMT", 0),
        ("yesterday", 60),
    ],
)
def test_a_date_in_retry_after_is_compared_with_the_date_of_the_answer(date: str, seconds: int) -> None:
    told = answer(retry_after="Mon, 02 Mar 2026 09:01:00 GMT", date=date)
    assert retry_after(told, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"status": 400, "message": "Invalid id"}}', "Invalid id"),
        (b'{"error": "invalid_grant", "error_description": "Token expired"}', "Token expired"),
        (b'{"error": "invalid_grant"}', "invalid_grant"),
        (b'{"error": {"message": ["x"]}}', ""),
        (b"<html>", ""),
        (b"[]", ""),
        (b"", ""),
        (b'{"error": {"message": "a\\u0000b\\u001b[2J"}}', "a b [2J"),
        (b'{"error": {"message": "bad token BQDx7Zk9aLq0sKd82ja-_x1"}}', "bad token ***"),
    ],
)
def test_what_spotify_says_is_short_printable_and_holds_no_token(body: bytes, said: str) -> None:
    assert answer(body).message() == said


def test_plain_text_is_read_as_such() -> None:
    assert answer(b"User not registered", content_type="text/plain").message() == "User not registered"
    assert len(answer(b"x y " * 1_000, content_type="text/plain").message()) <= 200


def test_a_number_of_any_length_costs_no_answer() -> None:
    assert answer(b'{"items": [], "total": ' + b"9" * 5_000 + b"}").document()["items"] == []


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": 1', b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match="GET /x"):
        answer(body).document()


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("User not registered in the Developer Dashboard", "User Management"),
        ("Active premium subscription required for the owner of the app", "Premium"),
        ("Insufficient client scope", "lacks a permission"),
        ("", "no reason given"),
    ],
)
def test_a_403_is_explained(said: str, rule: str) -> None:
    assert rule in explain_forbidden(said)


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine() -> None:
    with make_http("http://127.0.0.1:1/v1", "http://127.0.0.1:1") as local, make_http("https://a.example") as other:
        assert not local.trust_env
        assert other.trust_env


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1", "HTTPS_PROXY or ALL_PROXY"),
        ("HTTPS_PROXY", "ftp://user:hidden@127.0.0.1:1", "HTTPS_PROXY or ALL_PROXY"),
        ("SSL_CERT_FILE", "/nowhere/hidden.pem", "SSL_CERT_FILE"),
    ],
)
def test_an_environment_that_cannot_lead_to_spotify_says_which_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """They were a traceback of the HTTP library. A simulated Spotify is reached all the same."""
    monkeypatch.setenv(name, value)
    with pytest.raises(Permanent, match=said) as refused:
        make_http("https://api.spotify.com/v1")
    assert "hidden" not in str(refused.value)
    make_http("http://127.0.0.1:8890/v1").close()
