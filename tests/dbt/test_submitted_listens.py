"""From a player's request to the pages: over HTTP, through the inbox, raw and the marts, each listener apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from myi_pipeline.people.manage_access import TokenScope
from myi_pipeline.postgres.connections import Role
from myi_pipeline.submissions.drain import drain
from tests.dbt.conftest import Marts
from tests.integration.api.conftest import RunningSite, site_maker
from tests.integration.api.scrobblers import moment, multi_scrobbler, navidrome, pano, submit


@pytest.fixture
def site(marts: Marts, tmp_path: Path) -> Iterator[RunningSite]:
    with site_maker(marts.warehouse, tmp_path / "home") as make:
        yield make()


def scrobbler(site: RunningSite, key: str) -> httpx.Client:
    return site.visitor(authorization=f"Token {site.token(key, scope=TokenScope.SUBMIT_LISTENS)}")


@pytest.mark.slow
def test_a_submitted_listen_is_a_play_of_its_listener_on_every_page(marts: Marts, site: RunningSite) -> None:
    ana, ben, at = scrobbler(site, "ana"), scrobbler(site, "ben"), moment()
    told = navidrome(at=at)
    told["payload"][0]["track_metadata"]["additional_info"]["duration_played"] = 200
    for body in (told, multi_scrobbler(at=at + 400)):
        assert submit(ana, body).status_code == 200
    assert submit(ben, pano(at + 5)).status_code == 200
    with marts.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        assert drain(connection).loaded == 3
    marts.refreshed()

    plays = site.program("ana").get("/v1/me/plays").json()["data"]
    assert [(each["title"], each["source"], each["is_counted"], each["ms_played"]) for each in plays] == [
        ("So What", "submitted_listens", True, None),
        ("Blue in Green", "submitted_listens", True, 200_000),
    ]
    assert plays[0]["uri"] == "spotify:track:4vLYewWIvqHfKtJDk8c8tq"
    page = site.browser("ana").get("/").text
    assert "So What" in page
    assert "Turiya" not in page
    history = site.browser("ana").get("/history").text
    assert len(re.findall(r'<td class="unit hide-narrow">\s*player\s*</td>', history)) == 2
    account = site.browser("ana").get("/account").text
    assert "WebPlayer / multi-scrobbler" in account
    assert "Pano Scrobbler" not in account

    listens = ana.get("/1/user/ana/listens", params={"count": 100}).json()["payload"]
    assert [each["listened_at"] for each in listens["listens"]] == [at + 400, at]
    assert listens["listens"][0]["track_metadata"]["additional_info"]["spotify_id"].endswith("4vLYewWIvqHfKtJDk8c8tq")
    window = {"min_ts": at, "max_ts": at + 401}
    assert ana.get("/1/user/ana/listens", params=window).json()["payload"]["count"] == 1
    assert ben.get("/1/user/ben/listens").json()["payload"]["listens"][0]["track_metadata"] == {
        "track_name": "Turiya 0", "artist_name": "Alice Coltrane", "additional_info": {},
    }  # fmt: skip
    assert ben.get("/1/user/ana/listens").status_code == 404
    assert marts.verify().is_good
