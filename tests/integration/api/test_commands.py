"""`myi token`, `myi user link`, and `myi user login` beside a running site, as a person runs them."""

from __future__ import annotations

import json
import logging
import time
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from myi_pipeline.api.security.known_visitors import REMEMBERED_S
from myi_pipeline.cli.app import run
from myi_pipeline.simulator.live import AppSpec, SimulatorSpec, mixed_listeners, running_simulator
from tests.conftest import free_port
from tests.integration.api.conftest import RunningSite, SiteMaker

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
def myi(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Myi]:
    root = logging.getLogger()
    level = root.level

    def call(site: RunningSite, *arguments: str) -> Ran:
        for name, value in site.settings.environment().items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    yield call
    for handler in [handler for handler in root.handlers if getattr(handler, "_of_myi", False)]:
        root.removeHandler(handler)
    root.setLevel(level)


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
    assert link.startswith(f"{site.url}/link/")
    browser = site.browser(None)
    assert browser.post(link).status_code == 303
    assert len(browser.get("/v1/me/sign-ins").json()["sign_ins"]) == 1


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
    assert "The command that you started goes on" in pages[0].text
    assert site.sql("select count(*) from app.credentials") == [(1,)]
    assert site.sql("select count(*) from app.sessions, app.sign_ins") == [(0,)]
