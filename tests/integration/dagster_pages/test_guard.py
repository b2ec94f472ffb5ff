"""Nobody but an operator uses Dagster's pages, and no other page uses them through an operator's browser."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from psycopg import errors
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from myi_pipeline.postgres.connections import Role
from tests.integration.dagster_pages.conftest import MUTATION, QUERY, Pages

JSON = {"content-type": "application/json"}
EVIL = "http://evil.example"
REPORT = "/report_asset_materialization/attacked"


@pytest.fixture(autouse=True)
def _nothing_changed(pages: Pages) -> None:
    pages.forget_changes()
    assert "attacked" not in pages.changes()


def ask(client: httpx.Client, query: str, **headers: str) -> httpx.Response:
    return client.post("/graphql", content=json.dumps({"query": query}), headers={**JSON, **headers})


def test_an_upgrade_of_dagster_brings_no_way_in_that_the_guard_does_not_know(pages: Pages) -> None:
    """All that its pages take besides reading: what is new here has to be judged before the upgrade."""
    known = {f"/report_asset_{what}/{{asset_key:path}}" for what in ("materialization", "check", "observation")}
    changing, sockets = set(), set()
    for route in pages.app.routes:
        if isinstance(route, WebSocketRoute):
            sockets.add(route.path)
        elif isinstance(route, Route):
            changing |= {route.path} if (route.methods or set()) - {"GET", "HEAD"} else set()
        else:
            assert isinstance(route, Mount)
            assert isinstance(route.app, StaticFiles), route.path
    assert (changing, sockets) == ({"/graphql", *known}, {"/graphql"})


def test_a_local_account_without_a_sign_in_is_told_how_to_get_one_and_nothing_else(pages: Pages) -> None:
    with pages.client() as stranger:
        assert stranger.get("/server_info").status_code == 200
        page = stranger.get("/runs?q=1", headers={"accept": "text/html"})
        assert page.status_code == 401
        assert "myi dagster-link" in page.text
        assert 'value="/runs?q=1"' in page.text
        for answer in (
            stranger.get("/", headers={"accept": "*/*"}),
            ask(stranger, QUERY),
            ask(stranger, MUTATION),
            stranger.post("/graphql", params={"query": MUTATION}),
            stranger.post(REPORT, json={}),
            stranger.get("/download_debug/x"),
            stranger.get("/logs/a/b.out"),
            ask(stranger, QUERY, authorization="Bearer myi_" + "x" * 43),
            ask(stranger, QUERY, cookie=f"{pages.cookie}={'x' * 43}; myi_session={'y' * 43}"),
        ):
            assert answer.status_code == 401, answer.url
    with pytest.raises(InvalidStatus):
        pages.socket(reference=None, origin=pages.origin)
    assert pages.changes() == ()


def test_the_link_of_myi_up_lets_one_browser_in_once(pages: Pages) -> None:
    link = pages.link_secret()
    own = {"sec-fetch-site": "same-origin"}
    with pages.client() as person, pages.client() as other:
        # Whoever looks at links ahead of people uses nothing up, and is told nothing.
        assert link not in person.get("/myi/enter").text
        # A person without scripts pastes the whole of it.
        came_in = person.post("/myi/enter", data={"secret": f"{pages.origin}/myi/enter#{link}"}, headers=own)
        assert (came_in.status_code, came_in.headers["location"]) == (303, "/")
        cookie = came_in.headers["set-cookie"]
        assert cookie.startswith(f"{pages.cookie}=")
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "/_next/static/" in person.get("/").text
        assert ask(person, QUERY, **own).json()["data"]["version"]
        assert ask(person, MUTATION, **own).json()["data"] == {"setConcurrencyLimit": True}
        assert pages.changes() == ("attacked",)

        again = other.post("/myi/enter", data={"secret": link}, headers=own)
        assert again.status_code == 410
        assert "used or has expired" in again.text
        assert other.post("/myi/enter", data={"secret": link}, headers={"origin": EVIL}).status_code == 403

        assert pages.noted()[-2:] == [("signed_in", "127.0.0.1"), ("link_refused", "127.0.0.1")]

        assert "Sign out" in person.get("/myi").text
        assert person.post("/myi/sign-out", headers=own).status_code == 200
        assert ask(person, QUERY, **own).status_code == 401


def test_the_guards_own_addresses_name_their_methods_and_answer_head(pages: Pages) -> None:
    with pages.operator() as browser:
        for method, path, allowed in (
            ("GET", "/myi/sign-out", "POST"), ("PUT", "/myi/enter", "GET, HEAD, POST"), ("POST", "/myi", "GET, HEAD"),
        ):  # fmt: skip
            answer = browser.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        for path in ("/myi", "/myi/enter", "/myi/enter.css"):
            head, got = browser.head(path), browser.get(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == got.headers["content-length"]


def test_an_address_in_the_form_leads_to_no_other_site(pages: Pages) -> None:
    with pages.client() as person:
        for address in ("//evil.example", "/\\evil.example", EVIL, "/a\r\nx: y"):
            form = {"secret": pages.link_secret(), "return_to": address}
            answer = person.post("/myi/enter", data=form, headers={"sec-fetch-site": "same-origin"})
            assert answer.headers["location"] == "/"


def test_a_user_comes_in_by_the_dashboards_sign_in_as_long_as_they_are_an_operator(pages: Pages) -> None:
    user_id = pages.user("ana", is_operator=False)
    with pages.client(**{"sec-fetch-site": "same-origin"}) as browser:
        # A browser sends the dashboard's cookie to every port.
        browser.cookies.set("myi_session", pages.site_session(user_id), domain="127.0.0.1", path="/")
        assert ask(browser, QUERY).status_code == 401
        pages.user("ana", is_operator=True)
        assert ask(browser, QUERY).status_code == 200
        assert ask(browser, MUTATION).status_code == 200
        # A cookie of these pages that is no longer good hides the other one not.
        browser.cookies.set(pages.cookie, "z" * 43, domain="127.0.0.1", path="/")
        assert ask(browser, QUERY).status_code == 200
        pages.user("ana", is_operator=False)
        time.sleep(1.1)
        assert ask(browser, QUERY).status_code == 401


def test_a_token_reads_and_one_that_was_made_for_it_does_what_an_operator_may(pages: Pages) -> None:
    user_id = pages.user("bea", is_operator=True)
    stranger = pages.user("cleo", is_operator=False)
    reading, operating, lost = (
        pages.token(user_id, may_operate=False),
        pages.token(user_id, may_operate=True),
        pages.token(stranger, may_operate=True),
    )
    with pages.client(authorization=f"Bearer {reading}") as program:
        assert ask(program, QUERY).status_code == 200
        assert ask(program, MUTATION).status_code == 403
        assert program.post(REPORT, json={}).status_code == 403
        # A second operation, of which the name decides, does not help.
        both = f"query A {QUERY} {MUTATION.replace('mutation', 'mutation B')}"
        assert ask(program, both).status_code == 403
    with pages.client(authorization=f"Bearer {lost}") as program:
        assert ask(program, QUERY).status_code == 401
    assert pages.changes() == ()
    with pages.client(authorization=f"Bearer {operating}") as program:
        assert ask(program, MUTATION).status_code == 200
    assert pages.changes() == ("attacked",)


FORM = {"content-type": "application/x-www-form-urlencoded"}
WAYS: dict[str, dict[str, Any]] = {
    "address": {"method": "GET", "url": "/graphql", "params": {"query": MUTATION}},
    "address_twice": {"method": "GET", "url": "/graphql", "params": [("query", QUERY), ("query", MUTATION)]},
    "second_operation": {
        "method": "GET", "url": "/graphql",
        "params": {"query": f"query A {QUERY} {MUTATION.replace('mutation', 'mutation B')}", "operationName": "B"},
    },
    "escaped": {"method": "GET", "url": f"/%67raphql?query={MUTATION}"},
    "form_and_address": {"method": "POST", "url": "/graphql", "params": {"query": MUTATION}, "headers": FORM},
    "form": {"method": "POST", "url": "/graphql", "data": {"query": MUTATION}},
    "no_type": {"method": "POST", "url": "/graphql", "params": {"query": MUTATION}},
    "parts": {"method": "POST", "url": "/graphql", "params": {"query": MUTATION}, "files": {"query": MUTATION}},
    "plain": {"method": "POST", "url": "/graphql", "content": json.dumps({"query": MUTATION}),
              "headers": {"content-type": "text/plain"}},
    # Dagster looks for application/json anywhere in it, browsers send it to other sites without asking.
    "plain_json": {"method": "POST", "url": "/graphql", "content": json.dumps({"query": MUTATION}),
                   "headers": {"content-type": "text/plain; a=application/json"}},
    "graphql": {"method": "POST", "url": "/graphql", "content": MUTATION,
                "headers": {"content-type": "application/graphql"}},
    "batch": {"method": "POST", "url": "/graphql", "json": [{"query": MUTATION}]},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_no_packing_that_a_browser_sends_unasked_reaches_dagster_even_from_its_own_page(pages: Pages, way: str) -> None:
    with pages.operator() as browser:
        answer = browser.request(**WAYS[way])
        assert answer.status_code in (400, 405, 415), answer.text
    assert pages.changes() == ()


@pytest.mark.parametrize(
    "who",
    [
        {"sec-fetch-site": "cross-site", "origin": EVIL},
        {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "", "origin": "null"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
    ],
    ids=lambda who: "-".join(who.values()).replace("/", ""),
)
def test_another_sites_page_changes_nothing_through_the_operators_browser(pages: Pages, who: dict[str, str]) -> None:
    with pages.operator(**who) as browser:
        assert ask(browser, MUTATION).status_code == 403
        assert browser.post(REPORT, json={}).status_code == 403
        assert browser.post(REPORT.replace("materialization", "check"), data={"a": "b"}).status_code == 403
        assert browser.post("/myi/sign-out").status_code == 403
        assert browser.get("/graphql", params={"query": MUTATION}).status_code in (403, 405)
        with pytest.raises(InvalidStatus):
            pages.socket(reference=pages.session(), origin=who.get("origin", EVIL))
    assert pages.changes() == ()


def test_a_browser_too_old_to_say_which_page_asks_is_judged_by_the_origin(pages: Pages) -> None:
    session = pages.session()
    cookie = f"{pages.cookie}={session}"
    with pages.client(cookie=cookie) as browser:
        assert ask(browser, QUERY, origin=EVIL).status_code == 403
        assert ask(browser, QUERY).status_code == 403
        assert ask(browser, QUERY, origin=pages.origin).status_code == 200
        assert browser.get("/").status_code == 200


def test_a_link_on_another_page_leads_in_but_nothing_is_embedded_there(pages: Pages) -> None:
    visit = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    with pages.operator(**visit) as browser:
        page = browser.get("/runs")
        assert page.status_code == 200
        assert page.headers["x-frame-options"] == "DENY"
        assert any("frame-ancestors 'none'" in policy for policy in page.headers.get_list("content-security-policy"))
        assert browser.get("/runs", headers={"sec-fetch-dest": "iframe"}).status_code == 403
        assert browser.get("/runs", headers={"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}).status_code == 403
        assert browser.get("/graphql", params={"query": QUERY}).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1:1"]
)
def test_a_foreign_name_that_leads_here_opens_nothing(pages: Pages, host: str) -> None:
    """DNS rebinding: the page of that name is then of the same origin."""
    name = host.format(port=pages.settings.dagster_port)
    with pages.operator(host=name) as browser:
        for path in ("/", "/server_info", "/myi/enter"):
            assert browser.get(path).status_code == 421
        assert ask(browser, MUTATION, origin=f"http://{name}").status_code == 421
    assert pages.changes() == ()


def started(socket: ClientConnection, query: str, kind: str = "start") -> dict[str, Any]:
    socket.send(json.dumps({"type": "connection_init"}))
    assert json.loads(socket.recv(10))["type"] == "connection_ack"
    socket.send(json.dumps({"id": "1", "type": kind, "payload": {"query": query}}))
    found: dict[str, Any] = json.loads(socket.recv(10))
    return found


def test_the_pages_follow_what_happens_over_a_web_socket_which_changes_nothing(pages: Pages) -> None:
    reference = pages.session()
    with pages.socket(reference=reference, origin=pages.origin) as socket:
        found = started(socket, 'subscription { capturedLogs(logKey: ["a"]) { cursor } }')
        assert (found["type"], found["id"]) == ("data", "1")
    for kind in ("start", "subscribe"):
        with pages.socket(reference=reference, origin=pages.origin) as socket, pytest.raises(ConnectionClosed):
            started(socket, MUTATION, kind)
    for message in ("no json", b"{}", json.dumps([{"type": "start", "payload": {"query": MUTATION}}])):
        with pages.socket(reference=reference, origin=pages.origin) as socket:
            socket.send(message)
            with pytest.raises(ConnectionClosed):
                socket.recv(10)
    with pytest.raises(InvalidStatus):
        pages.socket(reference=reference, origin=None)
    with pytest.raises(InvalidStatus):
        pages.socket(reference=reference, origin=pages.origin, host="evil.example")
    assert pages.changes() == ()


def test_a_body_without_end_is_not_kept(pages: Pages) -> None:
    with pages.operator() as browser:
        assert browser.post("/graphql", content=b" " * (17 * 1024 * 1024), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    "statement",
    [
        "update app.users set is_operator = true",
        "update app.users set user_key = 'mallory'",
        "insert into app.users (user_key, time_zone, is_operator) values ('mallory', 'UTC', true)",
        "delete from app.users",
        "truncate app.users cascade",
    ],
)
def test_the_sites_own_role_makes_no_operator_and_deletes_nobody(pages: Pages, statement: str) -> None:
    pages.user("ana", is_operator=False)
    with pages.warehouse.connect(Role.APP, autocommit=True) as site, pytest.raises(errors.InsufficientPrivilege):
        site.execute(statement.encode())
    with pages.warehouse.connect(Role.APP, autocommit=True) as site:
        site.execute("update app.users set display_name = 'Ana', time_zone = 'UTC' where user_key = 'ana'")


@pytest.mark.slow
def test_a_token_that_was_tried_out_here_is_in_the_audit_log(pages: Pages) -> None:
    """Guesses at the site were noted, guesses at these pages were not."""
    ben = pages.user("ben", is_operator=False)
    # Another test's guess may have been noted a moment ago.
    time.sleep(3.5)
    before = len(pages.noted())
    with pages.client(authorization=f"Bearer {pages.token(ben, may_operate=False)}") as program:
        assert [ask(program, QUERY).status_code for _ in range(5)] == [401] * 5
    # Now and then, so that a flood fills no disk.
    assert [each for each in pages.noted()[before:] if each[0] == "wrong_credential"] == [
        ("wrong_credential", "127.0.0.1")
    ]
    with pages.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        query = "select user_id, detail from app.audit where event = 'wrong_credential' order by audit_id desc limit 1"
        assert connection.execute(query).fetchone() == (ben, {"to": "dagster", "what": "token"})
