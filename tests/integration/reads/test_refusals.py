"""A refused request is told what is wrong with it, in this site's own words."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import orjson
import pytest

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.api.openapi import operations
from myi_pipeline.web.api.write_openapi import FILE
from tests.integration.reads.conftest import Api, Filled

CONTRACT = orjson.loads(FILE.read_bytes())


@pytest.fixture(scope="module")
def browser(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        reference = manage_access.begin_session(connection, user_id=filled.users["ada"], method="link", device="asks")
    headers = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, timeout=20) as client:
        client.cookies.set("myi_session", reference, domain="127.0.0.1", path="/")
        yield client


def numbered(path: str) -> str:
    return "/".join("1" if part.startswith("{") else part for part in path.split("/"))


def test_every_operation_refuses_a_parameter_that_it_does_not_have(browser: httpx.Client) -> None:
    for path, method, _ in operations(CONTRACT):
        answer = browser.request(method, numbered(path), params={"mood": "calm"})
        assert answer.status_code == 422, (method, path)
        assert [each["place"] for each in answer.json()["errors"]] == ["query.mood"]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("plays?limt=5", "Unknown parameter 'limt': did you mean 'limit'?"),
        ("plays?artist=5", "Unknown parameter 'artist': did you mean 'artist_id'?"),
        ("timeline?Grain=day", "Unknown parameter 'Grain': did you mean 'grain'?"),
        ("summary?year=2024", "Unknown parameter 'year': this route takes none"),
        ("clock?x=1", "Unknown parameter 'x': known are date, period"),
        ("timeline?grain=months", "'grain' must be one of day, week, month, year: did you mean 'month'?"),
        ("clock?period=yeer", "'period' must be one of week, month, year, all: did you mean 'year'?"),
        ("top/tracks?period=decade", "'period' must be one of week, month, year, all."),
        ("firsts?kind=artists", "'kind' must be one of track, artist, album, recording: did you mean 'artist'?"),
        ("plays?limit=many", "'limit' must be a whole number from 1 to 500."),
        ("plays?limit=0&from=now", "'limit' must be a whole number from 1 to 500; 'from' must be a date"),
        ("plays?from=2024-02-02&to=2024-02-01", "'from' must not be after 'to'."),
        ("top/artists?period=year&from=2024-01-01", "'period' cannot be combined with 'from' and 'to'."),
        ("plays?content_id=1&track_id=2", "'content_id' differs from 'track_id'."),
        ("artists/0", "'artist_id' must be a whole number from 1 to 2147483647."),
        ("plays?limit=5&limit=6", "'limit' is given more than once"),
        ("plays?%3Cimg%3E=1", "Unknown parameter '?': known are"),
    ],
)  # fmt: skip
def test_a_wrong_name_or_value_is_told_with_what_would_be_right(api: Api, path: str, detail: str) -> None:
    answer = api.get(f"/v1/me/{path}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(detail)


def test_a_stranger_is_told_to_sign_in_whatever_else_is_wrong(api: Api) -> None:
    answer = api.client.get("/v1/me/plays?limt=5")
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:myi:problem:not-signed-in")
    wrong = api.client.get("/v1/me/plays", headers={"authorization": "Bearer myi_" + "A" * 43})
    assert "access token that is valid" in wrong.json()["detail"]


def test_an_address_that_the_api_does_not_have_leads_to_those_it_has(api: Api) -> None:
    answer = api.get("/v1/me/artist/5")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:myi:problem:not-found")
    assert "/v1/openapi.json" in answer.json()["detail"]
    assert api.get("/v1/openapi.json").status_code == 200


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ({}, {"body.name": "is missing"}),
        ({"name": 7}, {"body.name": "must be a text"}),
        ({"name": ""}, {"body.name": "must not be empty"}),
        ({"name": "x", "days": True}, {"body.days": "must be a whole number"}),
        ({"name": "x", "days": 1.5}, {"body.days": "must be a whole number"}),
        ({"name": "x", "days": 0}, {"body.days": "must be at least 1"}),
        ({"name": "x", "mood": 1}, {"body.mood": "is unknown here"}),
        ([], {"body": "must be a JSON object"}),
        (None, {"body": "is missing"}),
        ("{", {"body": "is not JSON"}),
    ],
)
def test_a_body_is_refused_in_words_of_the_contract(
    browser: httpx.Client, body: object, messages: dict[str, str]
) -> None:
    content = b"" if body is None else body.encode() if isinstance(body, str) else orjson.dumps(body)
    answer = browser.post("/v1/me/tokens", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert {each["place"]: each["message"] for each in answer.json()["errors"]} == messages
    ((place, message),) = messages.items()
    name = place.partition(".")[2]
    assert answer.json()["detail"] == (f"'{name}' {message}." if name else f"The body {message}.")


def test_a_reading_token_that_uploads_is_told_about_its_scope(api: Api, filled: Filled) -> None:
    """A program sends neither an origin nor a cookie, and was taken for another site's page."""
    program = {"authorization": f"Bearer {api.tokens['ada']}"}
    for method, path in (("POST", "/v1/me/imports"), ("DELETE", "/v1/me/tokens/1")):
        answer = api.client.request(method, path, headers=program)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:myi:problem:read-only-token")
        assert "has the scope 'read'" in answer.json()["detail"]
    # A page that sends a token along with the cookies of a browser is a page.
    for more in ({"cookie": "myi_session=x"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        answer = api.client.post("/v1/me/imports", headers=program | more)
        assert answer.json()["type"] == "urn:myi:problem:cross-site"
    assert api.client.post("/sign-out", headers=program).json()["type"] == "urn:myi:problem:cross-site"
