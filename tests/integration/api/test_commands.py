"""`myi token`, `myi user link`, and `myi user login` beside a running site, as a person runs them."""

from __future__ import annotations

import json
import time
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from myi_pipeline.cli.app import run
from myi_pipeline.simulator.live import AppSpec, SimulatorSpec, mixed_listeners, running_simulator
from myi_pipeline.web.security.visitors import REMEMBERED_S
from tests.conftest import free_port
from tests.integration.api.conftest import RunningSite, SiteMaker
from tests.integration.api.sign_ins import use_link

TOKENS = "/v1/me/tokens"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Myi = Callable[..., Ran]


@pytest.fixture
def myi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Myi:

    def call(site: RunningSite, *arguments: str) -> Ran:
        for name, value in site.settings.environment().items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return call


def test_a_token_from_the_command_line_opens_the_api_until_it_is_revoked(site: RunningSite, myi: Myi) -> None:
    site.user("ana")
    made = myi(site, "token", "new", "ana", "--name", "notebook", "--days", "30", "--json").document
    program = site.visitor(authorization=f"Bearer {made['token']}")
    assert program.get(TOKENS).json()["type"] == "urn:myi:problem:browser-only"

    listed = myi(site, "token", "list", "--user", "ana")
    assert "notebook" in listed.out
    assert made["token"] not in listed.out
    assert myi(site, "token", "revoke", str(made["about"]["token_id"])).code == 0

    time.sleep(REMEMBERED_S + 0.05)
    assert program.get(TOKENS).status_code == 401
    assert myi(site, "token", "revoke", str(made["about"]["token_id"])).code == 1
    assert "No access tokens" in myi(site, "token", "list").out
    assert myi(site, "token", "new", "nobody").code == 2


def test_a_link_from_the_command_line_signs_a_browser_in(site: RunningSite, myi: Myi) -> None:
    site.user("ben")
    link = myi(site, "user", "link", "ben", "--json").document["link"]
    address, _, secret = link.partition("#")
    assert address == f"{site.url}/link"
    browser = site.browser(None)
    assert use_link(browser, secret).status_code == 303
    assert len(browser.get("/v1/me/sign-ins").json()["sign_ins"]) == 1


def test_an_operator_ends_all_sign_ins_and_tokens_of_a_user_and_finds_it_in_the_log(
    site: RunningSite, myi: Myi
) -> None:
    browsers, program, ben = [site.browser(), site.browser()], site.program(), site.browser("ben")
    link = myi(site, "user", "link", "ana", "--json").document["link"]
    assert {browser.get(TOKENS).status_code for browser in (*browsers, ben)} == {200}

    done = myi(site, "user", "sign-out", "ana", "--json")
    assert done.document["ended"] == {"sign_ins": 2, "tokens": 1, "links": 1}

    time.sleep(REMEMBERED_S + 0.05)
    assert {visitor.get(TOKENS).status_code for visitor in (*browsers, program)} == {401}
    assert use_link(site.browser(None), link.partition("#")[2]).status_code == 410
    assert ben.get(TOKENS).status_code == 200
    assert myi(site, "user", "sign-out", "nobody").code == 2

    rows = myi(site, "audit", "--json").document["audit"]
    commands = [row for row in reversed(rows) if row["event"] == "command"]
    assert [row["detail"]["command"] for row in commands] == ["user link", "user sign-out"]
    assert [row["user_key"] for row in commands] == ["ana", "ana"]
    assert {row["detail"]["user"] for row in commands} == {"ana"}
    assert {row["address"] for row in commands} == {None}
    assert {row["user_key"] for row in myi(site, "audit", "--user", "ben", "--json").document["audit"]} == {"ben"}
    assert link not in myi(site, "audit", "--json").out

    # Of somebody who is erased, the log says that this was done, and no more.
    assert myi(site, "user", "remove", "ana", "--yes").code == 0
    assert "user_erased" in (said := myi(site, "audit", "--limit", "2").out)
    assert "user remove" in said
    assert "ana" not in myi(site, "audit", "--json").out


def test_operators_their_tokens_and_links_into_dagsters_pages_are_made_on_the_command_line(
    site: RunningSite, myi: Myi
) -> None:
    site.user("ana")
    refused = myi(site, "token", "new", "ana", "--operate")
    assert (refused.code, "myi user set ana --operator" in refused.err) == (1, True)
    assert "open to ana" in myi(site, "user", "set", "ana", "--operator").out
    made = myi(site, "token", "new", "ana", "--operate", "--json").document
    assert made["about"]["scope"] == "operate"
    # It reads for the API, as all do.
    assert site.visitor(authorization=f"Bearer {made['token']}").get("/v1/me/imports").status_code == 200
    assert "closed to ana" in myi(site, "user", "set", "ana", "--no-operator").out
    assert site.sql("select is_operator from app.users") == [(False,)]

    first, second = (myi(site, "dagster-link", "--json").document["link"] for _ in range(2))
    assert first.startswith(f"http://127.0.0.1:{site.settings.dagster_port}/myi/enter#")
    assert first != second
    assert site.sql("select count(*) from app.dagster_links") == [(1,)]
    assert myi(site, "dagster-link", "--end-all", "--json").document["ended"] == 0


def test_a_token_for_a_scrobbler_is_made_on_the_command_line_with_its_address(site: RunningSite, myi: Myi) -> None:
    site.user("ana")
    made = myi(site, "token", "new", "ana", "--submit-listens", "--name", "phone")
    assert site.settings.site_url in made.err
    valid = site.visitor(authorization=f"Token {made.out.strip()}").get("/1/validate-token").json()
    assert (valid["valid"], valid["user_name"]) == (True, "ana")
    assert [each["scope"] for each in myi(site, "token", "list", "--json").document["tokens"]] == ["listens:write"]
    both = myi(site, "token", "new", "ana", "--submit-listens", "--operate")
    assert (both.code, "--submit-listens" in both.err) == (2, True)


def test_a_token_that_moves_playlists_is_made_on_the_command_line(site: RunningSite, myi: Myi) -> None:
    site.user("ana")
    made = myi(site, "token", "new", "ana", "--move-playlists", "--json").document
    assert made["about"]["scope"] == "playlists:write"
    program = site.visitor(authorization=f"Bearer {made['token']}")
    assert program.post("/v1/me/migrations/1/cancel").status_code == 404
    assert program.post("/v1/me/polls").status_code == 403
    assert myi(site, "token", "new", "ana", "--move-playlists", "--operate").code == 2


def test_a_login_from_the_command_line_shares_the_redirect_address_with_the_site(
    make_site: SiteMaker, myi: Myi, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    redirect = f"http://127.0.0.1:{port}/callback"
    spec = SimulatorSpec(apps=(AppSpec(redirect_uris=(redirect,)),), listeners=mixed_listeners(3), artists=20)
    with running_simulator(spec) as simulator:
        site = make_site(
            api_port=port,
            spotify_client_id="myi-simulated-client",
            spotify_api_url=simulator.api_url,
            spotify_accounts_url=simulator.accounts_url,
            spotify_images_url=simulator.images_url,
            spotify_redirect_uri=redirect,
        )
        pages: list[httpx.Response] = []

        def open_browser(url: str) -> bool:
            pages.append(site.visitor(accept="text/html").get(simulator.visit(url, "listener-1")))
            return True

        monkeypatch.setattr(webbrowser, "open", open_browser)
        done = myi(site, "user", "login", "ana", "--create", "--json")
    assert done.code == 0, done.err
    assert done.document["user_key"] == "ana"
    assert "The command that you started continues" in pages[0].text
    assert site.sql("select count(*) from app.credentials") == [(1,)]
    assert site.sql("select count(*) from app.sessions, app.sign_ins") == [(0,)]
