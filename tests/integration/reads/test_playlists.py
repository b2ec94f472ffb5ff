"""Playlists in the API and on their pages: in order, with what was heard of them, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.reads.conftest import Api, Filled


@pytest.fixture
def number(api: Api) -> int:
    return next(int(each["playlist_id"]) for each in lists(api) if each["name"] == "List one")


def lists(api: Api, **query: Any) -> list[dict[str, Any]]:
    return [each for page in api.pages("/v1/me/playlists", **query) for each in page]


def test_lists_are_told_page_by_page_and_are_the_askers_own(api: Api, filled: Filled) -> None:
    assert [(each["name"], each["items"], each["versions"], each["state"]) for each in lists(api, limit=1)] == [
        ("List two", 1, 1, "readable"),
        ("List one", 13, 2, "readable"),
    ]
    mine, theirs = ({each["playlist_id"] for each in lists(api, as_=key)} for key in ("ada", "bob"))
    assert (len(mine), len(theirs), mine & theirs) == (2, 2, set())
    other = min(theirs)
    for path in (f"/v1/me/playlists/{other}", f"/v1/me/playlists/{other}/items", f"/v1/me/playlists/{other}/changes"):
        assert api.get(path).status_code == 404
        assert api.get(path, as_="bob").status_code == 200


def test_entries_are_in_order_with_their_plays(api: Api, filled: Filled, number: int) -> None:
    found = [each for page in api.pages(f"/v1/me/playlists/{number}/items", limit=5) for each in page]
    assert [each["position"] for each in found] == list(range(13))
    assert (found[11]["kind"], found[11]["title"], found[11]["content_id"]) == ("local", "A demo tape", None)
    assert found[12]["content_id"] == found[0]["content_id"]
    plays = dict(
        filled.read(
            "select content_id, count(*) from marts.fct_plays where user_id = %s group by 1", filled.users["ada"]
        )
    )
    assert [each["plays"] for each in found] == [
        plays.get(each["content_id"], 0) if each["content_id"] else 0 for each in found
    ]
    assert min(each["plays"] for each in found if each["kind"] == "track") > 0


def test_a_list_says_what_was_heard_of_it_by_month_each_track_once(api: Api, number: int) -> None:
    found = api.read(f"/v1/me/playlists/{number}")
    items = [each for page in api.pages(f"/v1/me/playlists/{number}/items") for each in page]
    heard = {each["content_id"]: each["plays"] for each in items if each["content_id"]}
    assert sum(month["plays"] for month in found["plays"]) == sum(heard.values())
    assert [month["month_start"] for month in found["plays"]] == sorted(
        month["month_start"] for month in found["plays"]
    )


def test_changes_come_newest_first(api: Api, number: int) -> None:
    found = [each for page in api.pages(f"/v1/me/playlists/{number}/changes", limit=2) for each in page]
    assert [
        (each["version_no"], each["change"], each["position_before"], each["position_after"]) for each in found
    ] == [
        (2, "added", None, 11),
        (2, "added", None, 12),
        (2, "removed", 0, None),
        (1, "created", None, None),
    ]
    assert found[0]["title"] == "A demo tape"
    assert found[0]["previous_seen_at"] == found[-1]["seen_at"]
