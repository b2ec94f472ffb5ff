"""TIDAL, YouTube Music and Deezer linked on the account page: by coming back to this site, or by a pasted address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from myi_pipeline.simulator.deezer import running_deezer
from myi_pipeline.simulator.tidal import SimulatedTidal, running_tidal
from myi_pipeline.simulator.youtube import running_youtube
from tests.conftest import free_port
from tests.integration.api.conftest import RunningSite, SiteMaker

LINK, ANSWER = "/account/providers", "/account/providers/answer"
ELSEWHERE = "http://127.0.0.1:8897/linked"
HTML = {"accept": "text/html"}


@pytest.fixture
def tidal() -> Iterator[SimulatedTidal]:
    with running_tidal() as running:
        yield running


def tidal_settings(tidal: SimulatedTidal, redirect: str) -> dict[str, Any]:
    tidal.sign_in.redirect_uris = (redirect,)
    return {
        "tidal_client_id": tidal.sign_in.client_id, "tidal_client_secret": SecretStr(tidal.sign_in.secret),
        "tidal_api_url": tidal.api_url, "tidal_login_url": tidal.login_url, "tidal_auth_url": tidal.auth_url,
        "tidal_requests_per_minute": 100_000, "providers_redirect_uri": redirect,
    }  # fmt: skip


@pytest.fixture
def here(make_site: SiteMaker, tidal: SimulatedTidal) -> RunningSite:
    """A site to which TIDAL sends browsers back."""
    port = free_port()
    return make_site(api_port=port, **tidal_settings(tidal, f"http://127.0.0.1:{port}/linked"))


def accounts(site: RunningSite) -> list[tuple[Any, ...]]:
    return site.sql(
        "select u.user_key, a.provider, a.state, c.refresh_token is not null from app.provider_accounts as a"
        " inner join app.users as u using (user_id) left join app.account_credentials as c using (account_id)"
        " order by a.account_id"
    )


def begun(browser: httpx.Client, service: str = "tidal") -> str:
    answer = browser.post(LINK, data={"service": service})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_person_signs_in_at_tidal_and_comes_back_to_the_account_page(
    here: RunningSite, tidal: SimulatedTidal
) -> None:
    ana = here.browser("ana")
    assert "Link TIDAL" in ana.get("/account", headers=HTML).text
    assert "Link YouTube Music" not in ana.get("/account", headers=HTML).text
    back = tidal.visit(begun(ana), tidal.world.account("ana"))
    done = ana.get(back, headers=HTML)
    assert (done.status_code, done.headers["location"]) == (303, "/account?done=keeper-linked")
    assert accounts(here) == [("ana", "tidal", "active", True)]
    assert here.sql("select event, address from app.audit where event = 'service_linked'") == [
        ("service_linked", "127.0.0.1")
    ]
    assert here.sql("select from app.provider_sign_ins") == []

    # Once: the answer is worth nothing any more.
    again = ana.get(back, headers=HTML)
    assert (again.status_code, "not started in this browser" in again.text) == (422, True)

    (number,) = here.sql("select account_id from app.provider_accounts")[0]
    assert here.browser("ben").post(f"{LINK}/{number}/unlink").status_code == 404
    assert ana.post(f"{LINK}/{number}/unlink").headers["location"] == "/account?done=keeper-unlinked"
    assert accounts(here) == [("ana", "tidal", "ended", False)]


def test_an_answer_links_nothing_in_another_browser_or_for_somebody_else(
    here: RunningSite, tidal: SimulatedTidal
) -> None:
    ana, ben, other = here.browser("ana"), here.browser("ben"), here.browser("ana")
    back = tidal.visit(begun(ana), tidal.world.account("ana"))
    for stranger in (ben, other):
        assert stranger.get(back, headers=HTML).status_code == 422
    assert here.visitor().get(back, headers=HTML).status_code == 303  # to the sign-in page
    assert accounts(here) == []
    here.sql("update app.provider_sign_ins set expires_at = now() - interval '1 second'")
    assert ana.get(back, headers=HTML).status_code == 422
    assert accounts(here) == []

    denied = tidal.visit(begun(ana), tidal.world.account("ana"), cancel=True)
    assert "was refused on TIDAL" in ana.get(denied, headers=HTML).text
    assert accounts(here) == []
    assert here.program("ana").post(LINK, data={"service": "tidal"}).status_code == 403


def test_the_secrets_of_a_sign_in_are_sealed_and_signing_out_forgets_it(
    here: RunningSite, tidal: SimulatedTidal
) -> None:
    ana = here.browser("ana")
    begun(ana)
    begun(ana)
    ((verifier, state_hash),) = here.sql("select verifier, state_hash from app.provider_sign_ins")
    assert len(state_hash) == 32
    assert len(verifier) > 86
    assert ana.post("/sign-out").status_code == 303
    assert here.sql("select from app.provider_sign_ins") == []


def test_where_tidal_sends_browsers_elsewhere_the_address_is_pasted(
    make_site: SiteMaker, tidal: SimulatedTidal
) -> None:
    site = make_site(**tidal_settings(tidal, ELSEWHERE))
    ana = site.browser("ana")
    page = ana.post(LINK, data={"service": "tidal"}, headers=HTML)
    assert (page.status_code, ELSEWHERE in page.text) == (200, True)
    address = page.text.partition('<a class="button" href="')[2].partition('"')[0].replace("&amp;", "&")
    back = tidal.visit(address, tidal.world.account("ana"))
    assert back.startswith(ELSEWHERE)

    wrong = ana.post(ANSWER, data={"address": ELSEWHERE}, headers=HTML)
    assert (wrong.status_code, "whole address" in wrong.text) == (422, True)
    assert site.browser("ben").post(ANSWER, data={"address": back}, headers=HTML).status_code == 422
    assert ana.post(ANSWER, data={"address": f" {back}\n"}).headers["location"] == "/account?done=keeper-linked"
    assert accounts(site) == [("ana", "tidal", "active", True)]
    # No route was made for an address of another site.
    assert site.visitor().get("/linked").status_code == 404


def test_youtube_music_and_deezer_are_linked_too(make_site: SiteMaker) -> None:
    with ExitStack() as stack:
        youtube, deezer = stack.enter_context(running_youtube()), stack.enter_context(running_deezer())
        youtube.world.account("ana")
        deezer.world.accounts["2529"] = "Ana"
        port = free_port()
        redirect = f"http://127.0.0.1:{port}/linked"
        youtube.sign_in.redirect_uris = (redirect,)
        site = make_site(
            api_port=port, providers_redirect_uri=redirect, youtube_client_id=youtube.sign_in.client_id,
            youtube_client_secret=SecretStr(youtube.sign_in.secret), youtube_api_url=youtube.api_url,
            youtube_login_url=youtube.url, youtube_auth_url=youtube.url, deezer_url=deezer.url,
        )  # fmt: skip
        ana = site.browser("ana")
        back = youtube.visit(begun(ana, "youtube_music"), "ana")
        assert ana.get(back, headers=HTML).status_code in (200, 303)
        assert ana.post(LINK, data={"service": "deezer", "account": "2529"}).status_code == 303
        assert [row[:3] for row in accounts(site)] == [
            ("ana", "youtube_music", "active"), ("ana", "deezer", "active")
        ]  # fmt: skip
        wrong = ana.post(LINK, data={"service": "deezer", "account": "nobody"}, headers=HTML)
        assert wrong.status_code == 422
        assert 'role="alert"' in wrong.text
        for unknown in ("spotify", "napster", ""):
            assert ana.post(LINK, data={"service": unknown}).status_code == 404
