"""`myi api` on several hosts with homes of their own and the encryption keys in their environment, as `myi worker-env`
gives them, beside `myi up` with the keys in its home: any of them answers what another began.

Each site signed the cursors of pages and the links of files with a key of its own home: the second page was refused,
and the file not found, whenever the next request came to another host, or the host had been started again."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from myi_pipeline.people.audit import Event, record
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.encryption_keys import keys_as_setting, new_key_text, put_new_key_into_file
from myi_pipeline.settings import Settings
from tests.integration.api.conftest import RunningSite, SiteMaker

NEXT_PAGE = re.compile(r'href="([^"]*[?&](?:amp;)?cursor=[^"]*)"')
FILE = "export-20260301-0123456789ab.zip"


@pytest.fixture
def sites(make_site: SiteMaker, settings_for_tests: Settings, tmp_path: Path) -> list[RunningSite]:
    """The control host's, two with empty homes, and one that has a new key in front already."""
    control = settings_for_tests.model_copy(update={"home": tmp_path / "control"})
    put_new_key_into_file(control)
    keys = keys_as_setting(control)
    given = {"one": keys, "two": keys, "rotated": f"{new_key_text()},{keys}"}
    shared = {"artifacts": str(tmp_path / "artifacts")}
    alone = [
        make_site(home=tmp_path / name, encryption_keys=SecretStr(text or ""), **shared) for name, text in given.items()
    ]
    return [make_site(home=control.home, **shared), *alone]


def much_happened(site: RunningSite) -> None:
    user_id = site.user()
    with site.warehouse.connect(Role.APP, autocommit=True) as connection:
        for _ in range(110):
            record(connection, Event.EXPORT_FETCHED, user_id=user_id, detail={"file": FILE})


def test_any_host_reads_the_next_page_that_another_began(sites: list[RunningSite], tmp_path: Path) -> None:
    much_happened(sites[0])
    browsers = [site.browser() for site in sites]
    for site, began in zip(sites, browsers, strict=True):
        first = began.get("/v1/me/audit", params={"limit": 5})
        assert first.status_code == 200, first.text
        cursor = first.json()["next"]
        readers = [browser for browser in browsers if can_read(site, sites[browsers.index(browser)])]
        following = [browser.get("/v1/me/audit", params={"limit": 5, "cursor": cursor}) for browser in readers]
        assert [page.status_code for page in following] == [200] * len(readers), [page.text for page in following]
        assert all(page.json()["data"] == following[0].json()["data"] for page in following)

        page = began.get("/account/activity")
        (address,) = {unescape(found) for found in NEXT_PAGE.findall(page.text)}
        assert [browser.get(address).status_code for browser in readers] == [200] * len(readers)
    # A host that does not have the new key yet says so, and nothing worse.
    refused = browsers[1].get("/v1/me/audit", params={"limit": 5, "cursor": cursor})
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:myi:problem:invalid-cursor")
    assert not [path for name in ("one", "two", "rotated") for path in (tmp_path / name).rglob("*.key")]


def can_read(made: RunningSite, reading: RunningSite) -> bool:
    """Of the four, only what the one with the new key made needs a key that the others lack."""
    return made is reading or "rotated" not in made.settings.home.name


def test_any_host_gives_the_file_of_a_link_that_another_made(sites: list[RunningSite], tmp_path: Path) -> None:
    user_id = sites[0].user()
    (tmp_path / "artifacts" / str(user_id)).mkdir(parents=True)
    (tmp_path / "artifacts" / str(user_id) / FILE).write_bytes(b"all of it")
    sites[0].sql(
        "insert into app.exports (user_id, state, finished_at, file_name) values (%s, 'done', now(), %s)", user_id, FILE
    )
    for made in sites:
        (export,) = made.browser().get("/v1/me/exports").json()["data"]
        path = export["link"].removeprefix(made.settings.site_url)
        for reading in sites:
            fetched = httpx.get(f"{reading.url}{path}", trust_env=False)
            expected = (200, b"all of it") if can_read(made, reading) else (404, fetched.content)
            assert (fetched.status_code, fetched.content) == expected
