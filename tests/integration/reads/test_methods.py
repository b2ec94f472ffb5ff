"""What every address of the site answers to HEAD and to methods that it does not have: API, pages and files alike."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import iter_route_contexts

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web.app import create_app
from tests.integration.reads.conftest import Api, Filled

# What differs from one request to the next, or says how the body travels.
_OF_ONE_ANSWER = {"date", "x-request-id", "transfer-encoding"}
_FILLED = {"{artist_id}": "1", "{album_id}": "1", "{track_id}": "1", "{year}": "2023"}


@pytest.fixture(scope="module")
def browser(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        reference = manage_access.begin_session(connection, user_id=filled.users["ada"], method="link", device="head")
    headers = {"sec-fetch-site": "same-origin", "accept": "*/*"}
    with httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, timeout=20) as client:
        client.cookies.set("myi_session", reference, domain="127.0.0.1", path="/")
        yield client


def addresses(filled: Filled) -> dict[str, set[str]]:
    """Each address of the site with its methods, numbers filled in."""
    found: dict[str, set[str]] = {"/static/site.css": {"GET"}, "/v1/openapi.json": {"GET"}}
    for route in iter_route_contexts(create_app(filled.settings, filled.warehouse).routes):
        path = route.path_format or route.path or ""
        for name, value in _FILLED.items():
            path = path.replace(name, value)
        if route.methods:
            found.setdefault(path, set()).update(route.methods - {"HEAD"})
    return found


@pytest.mark.slow
def test_head_has_the_headers_of_get_and_no_body_wherever_get_is(browser: httpx.Client, filled: Filled) -> None:
    compared = 0
    for path, methods in addresses(filled).items():
        if "GET" not in methods or path in ("/metrics", "/v1/me/now-playing", "/live"):
            continue
        for headers in ({}, {"accept-encoding": "identity"}):
            got = browser.get(path, headers=headers)
            head = browser.head(path, headers=headers)
            assert (head.status_code, head.content) == (got.status_code, b""), path
            expected, shown = (
                {name: value for name, value in answer.headers.items() if name not in _OF_ONE_ANSWER}
                for answer in (got, head)
            )
            if got.status_code >= 400:
                # A problem names its request.
                assert shown["content-type"] == expected["content-type"], path
            else:
                assert shown == expected, path
                compared += 1
    assert compared > 40


def test_head_is_refused_where_get_is_not(browser: httpx.Client) -> None:
    answer = browser.head("/sign-out")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_stream_of_events_is_not_held_open_by_head(browser: httpx.Client) -> None:
    place = browser.get("/v1/me/imports").json()["data"][0]["import_id"]
    # More than a user may hold open at once.
    moved = browser.get("/v1/me/migrations").json()["data"][0]["migration_id"]
    streams = (
        f"/v1/me/imports/{place}/events",
        f"/v1/me/migrations/{moved}/events",
        f"/imports/{place}/stages",
        "/live",
    )
    for path in streams:
        for _ in range(8):
            answer = browser.head(path, timeout=5)
            assert (answer.status_code, answer.content) == (200, b"")
            assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.slow
def test_a_refused_method_is_answered_with_all_methods_of_the_address(browser: httpx.Client, filled: Filled) -> None:
    found = addresses(filled)
    assert found["/v1/me/tokens"] == {"GET", "POST"}
    for path, methods in found.items():
        allowed = methods | ({"HEAD"} if "GET" in methods else set())
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
            answer = browser.request(method, path)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == allowed, (method, path)
