"""Removing lists through the API: those that are no service's, with a scope for it, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.reads.conftest import Api, Filled
from tests.integration.reads.test_other_users import browser_of
from tests.integration.reads.test_playlist_files import made, mover

__all__ = ["mover"]


@pytest.fixture
def ada(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    """A browser of ada's, whose made lists go again."""
    with browser_of(filled, api, "ada", "removals") as client:
        yield client
    filled.restore_access()
    filled.sql("delete from app.sessions where device = 'removals'")


def versions(filled: Filled, playlist_id: int) -> list[tuple[int, str]]:
    query = "select version_no, state from raw.playlist_versions where playlist_id = %s order by 1"
    return filled.sql(query, playlist_id)


def test_a_list_is_removed_once_and_comes_back_when_it_is_made_again(ada: httpx.Client, filled: Filled) -> None:
    wish: dict[str, Any] = {"limit": 5, "name": "Removed"}
    number = made(ada, "/v1/me/playlists", **wish)["playlist_id"]
    for _ in range(2):
        answer = ada.delete(f"/v1/me/playlists/{number}")
        assert (answer.status_code, answer.content) == (204, b"")
    assert versions(filled, number) == [(1, "readable"), (2, "gone")]
    again = made(ada, "/v1/me/playlists", **wish)
    assert (again["playlist_id"], again["version_no"], again["is_new"]) == (number, 3, True)
    told = "select count(*) from app.audit where event = 'playlist_removed' and (detail ->> 'playlist')::int = %s"
    assert filled.sql(told, number) == [(1,)]
    assert "playlist_removed" in {each["event"] for each in ada.get("/v1/me/audit").json()["data"]}


def test_a_program_needs_the_scope_for_it(api: Api, mover: httpx.Client, filled: Filled) -> None:
    number = made(mover, "/v1/me/playlists", limit=5, name="Removed by a program")["playlist_id"]
    headers = {"authorization": f"Bearer {api.tokens['ada']}"}
    assert api.client.delete(f"/v1/me/playlists/{number}", headers=headers).status_code == 403
    assert api.client.delete(f"/v1/me/playlists/{number}").status_code == 401
    assert versions(filled, number) == [(1, "readable")]
    assert mover.delete(f"/v1/me/playlists/{number}").status_code == 204
    assert versions(filled, number) == [(1, "readable"), (2, "gone")]


def test_another_users_list_and_none_are_not_there(ada: httpx.Client, api: Api, filled: Filled) -> None:
    number = made(ada, "/v1/me/playlists", limit=5, name="Of ada")["playlist_id"]
    with browser_of(filled, api, "bob", "removals") as bob:
        for other in (number, 10**6):
            answer = bob.delete(f"/v1/me/playlists/{other}")
            assert (answer.status_code, answer.json()["detail"]) == (404, "You have no playlist with this id.")
    assert versions(filled, number) == [(1, "readable")]
    assert ada.delete("/v1/me/playlists/0").status_code == 422


def test_a_list_of_a_linked_account_is_left_to_its_service(ada: httpx.Client, filled: Filled) -> None:
    (account,) = filled.sql(
        "insert into app.provider_accounts (user_id, provider, provider_account, linked_at)"
        " values (%s, 'deezer', 'removals', now()) returning account_id",
        filled.users["ada"],
    )[0]
    (number,) = filled.sql(
        "insert into raw.playlists (user_id, account_id, provider, provider_playlist, first_seen_at)"
        " values (%s, %s, 'deezer', 'x', now()) returning playlist_id",
        filled.users["ada"], account,
    )[0]  # fmt: skip
    try:
        answer = ada.delete(f"/v1/me/playlists/{number}")
        told = answer.json()
        assert (answer.status_code, told["type"]) == (409, "urn:myi:problem:list-of-a-service")
        assert told["detail"].startswith("This playlist belongs to an account at Deezer: delete it there")
    finally:
        filled.sql("delete from app.provider_accounts where account_id = %s", account)
        filled.sql("delete from ops.changed_playlists")
