"""What the token endpoint answers, and what follows for the login."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from myi_pipeline.errors import AuthRevoked, Transient, UnexpectedAnswer
from myi_pipeline.providers import oauth_tokens
from myi_pipeline.providers.pkce import Challenge
from myi_pipeline.providers.quota_rules import Bucket
from myi_pipeline.providers.sign_in_rules import TokenGrant
from myi_pipeline.providers.spotify.oauth import AccountsClient
from myi_pipeline.providers.transport import Answer, HttpClient

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class OpenGate:
    def before(self, bucket: Bucket) -> None: ...

    def blocked(self, bucket: Bucket, **_: object) -> datetime:
        raise AssertionError(bucket)

    def passed(self, bucket: Bucket) -> None: ...


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    waiting: list[Answer] = []
    monkeypatch.setattr(oauth_tokens, "send", lambda *_, **__: waiting.pop(0))
    return waiting


def accounts() -> AccountsClient:
    http = cast(HttpClient, None)
    return AccountsClient(http, accounts_url="https://x", client_id="c", gate=OpenGate(), clock=lambda: NOW)


def says(document: dict[str, Any], status: int = 200) -> Answer:
    return Answer("POST /api/token", status, {"content-type": "application/json"}, json.dumps(document).encode())


GRANT = {"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r"}
POLLS, TOP = "user-read-recently-played", "user-top-read"


@pytest.mark.parametrize(
    ("told", "scopes"),
    [
        ({"scope": f"{POLLS} {TOP}"}, {POLLS, TOP}),
        ({"scope": f"{POLLS},{TOP}"}, {POLLS, TOP}),
        ({"scope": [POLLS, TOP]}, {POLLS, TOP}),
        ({"scope": TOP}, {TOP}),
        ({"scope": ""}, None),
        ({"scope": []}, None),
        ({"scope": None}, None),
        ({"scope": 5}, None),
        ({"scope": [5]}, None),
        ({}, None),
    ],
)
def test_a_refresh_that_names_no_permission_takes_none_away(
    answers: list[Answer], told: dict[str, Any], scopes: set[str] | None
) -> None:
    answers.append(says(GRANT | told))
    assert accounts().refresh("old").scopes == scopes


def test_a_sign_in_without_any_permission_is_known_as_such(answers: list[Answer]) -> None:
    answers.append(says(GRANT | {"scope": ""}))
    grant: TokenGrant = accounts().exchange("code", Challenge(state="s", verifier="v" * 50), redirect_uri="http://x")
    assert grant.scopes == frozenset()


@pytest.mark.parametrize("code", ["server_error", "temporarily_unavailable"])
def test_an_outage_that_answers_400_is_no_refusal_of_the_login(answers: list[Answer], code: str) -> None:
    answers.append(says({"error": code}, 400))
    with pytest.raises(Transient) as caught:
        accounts().refresh("old")
    assert not isinstance(caught.value, (AuthRevoked, UnexpectedAnswer))


def test_a_long_error_code_is_named_and_what_may_be_a_token_is_not(answers: list[Answer]) -> None:
    answers.append(says({"error": "unsupported_grant_type"}, 400))
    with pytest.raises(AuthRevoked, match="unsupported_grant_type"):
        accounts().refresh("old")
    answers.append(says({"error": "unknown", "error_description": f"bad AQ{'x9' * 40}"}, 400))
    with pytest.raises(AuthRevoked, match=r"\(bad \*\*\*\)"):
        accounts().refresh("old")
