"""`myi api` on several hosts with homes of their own and the encryption keys in their environment, as `myi worker-env`
gives them, beside `myi up` with the keys in its home: any of them answers what another began.

Each site signed the cursors of pages and the links of files with a key of its own home: the second page was refused,
and the file not found, whenever the next request came to another host, or the host had been started again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from html import unescape
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from myi_pipeline.people import manage_access
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.encryption_keys import keys_as_setting, new_key_text
from myi_pipeline.settings import Settings
from myi_pipeline.web.app import create_app
from tests.conftest import free_port
from tests.integration.api.conftest import serving
from tests.integration.reads.conftest import Filled

NEXT_PAGE = re.compile(r'href="([^"]*[?&](?:amp;)?cursor=[^"]*)"')


@pytest.fixture
def sites(filled: Filled, tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """Ada's browser on each site: the control host's, two with empty homes, and one that has a new key in front."""
    keys = keys_as_setting(filled.settings)
    assert keys is not None
    control = filled.settings.model_copy(update={"artifacts": str(filled.settings.artifacts_folder)})
    hosts = [
        control,
        alone(control, tmp_path / "one", keys),
        alone(control, tmp_path / "two", keys),
        alone(control, tmp_path / "rotated", f"{new_key_text()},{keys}"),
    ]
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        session = manage_access.begin_session(connection, user_id=filled.users["ada"], method="link", device="sites")
    with ExitStack() as stack:
        browsers = []
        for settings in hosts:
            port = free_port()
            stack.enter_context(serving(create_app(settings, filled.warehouse), port))
            browser = httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers={"sec-fetch-site": "same-origin"}, trust_env=False,
                timeout=20,
            )  # fmt: skip
            browser.cookies.set("myi_session", session, domain="127.0.0.1", path="/")
            browsers.append(stack.enter_context(browser))
        yield browsers
    filled.restore_access()
    filled.sql("delete from app.sessions where device = 'sites'")


def alone(settings: Settings, home: Path, keys: str) -> Settings:
    return settings.model_copy(update={"home": home, "encryption_keys": SecretStr(keys)})


@pytest.mark.parametrize("path", ["/v1/me/plays?limit=5", "/v1/me/tracks/top?limit=5", "/v1/me/sessions?limit=5"])
def test_any_host_reads_the_next_page_of_a_list(sites: list[httpx.Client], path: str) -> None:
    control, one, two, rotated = sites
    first = control.get(path)
    assert first.status_code == 200, first.text
    beginning = first.links["next"]["url"].partition("/v1/")[2]
    pages = [browser.get(f"/v1/{beginning}") for browser in (control, one, two, rotated)]
    assert [page.status_code for page in pages] == [200] * 4, [page.text[:300] for page in pages]
    assert all(page.json()["data"] == pages[0].json()["data"] for page in pages)
    # What an empty home sealed, the others open.
    following = pages[1].links["next"]["url"].partition("/v1/")[2]
    assert [browser.get(f"/v1/{following}").status_code for browser in (control, two, rotated)] == [200] * 3


@pytest.mark.parametrize("path", ["/history", "/top/tracks"])
def test_any_host_shows_the_next_page_of_a_page(sites: list[httpx.Client], path: str) -> None:
    _, one, two, _ = sites
    first = one.get(path)
    assert first.status_code == 200
    following = [unescape(address) for address in NEXT_PAGE.findall(first.text)]
    assert following
    for address in following:
        answer = two.get(address)
        assert answer.status_code == 200, (address, answer.text[:300])


def test_any_host_gives_the_file_of_a_link(sites: list[httpx.Client]) -> None:
    _, one, two, rotated = sites
    made = one.post("/v1/me/playlists/exports", json={"format": "m3u8"})
    assert made.status_code == 201, made.text
    link = f"/downloads/{made.json()['link'].partition('/downloads/')[2]}"
    for browser in (one, two, rotated):
        assert httpx.get(f"{browser.base_url}{link.lstrip('/')}", trust_env=False).status_code == 200
    one.delete(made.headers["location"])


def test_the_sites_made_no_key_of_their_own(sites: list[httpx.Client], tmp_path: Path) -> None:
    for home in ("one", "two", "rotated"):
        assert not list((tmp_path / home).rglob("*.key"))
