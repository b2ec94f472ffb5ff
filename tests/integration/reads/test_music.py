"""One track, artist or album against the marts and the lists; the names that all answers have in common; tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from myi_pipeline.web.api import models
from myi_pipeline.web.api.openapi import operations
from tests.integration.reads.conftest import Api, Filled, make_rows
from tests.integration.reads.test_whole_contract import CONTRACT

ENTITIES = {"track": models.Track, "artist": models.Artist, "album": models.Album}
MONTHS = """
select date_trunc('month', local_date::timestamp)::date::text, count(*), (count(*) filter (where is_counted)),
    coalesce(sum(ms_played), 0)::bigint
from (select *, content_id as track_id from marts.fct_plays) as play
where user_id = %s and {}_id = %s and kind = 'track' group by 1 order by 1
"""
UNHEARD = """
select {0}_id from marts.dim_{0}s
where {0}_id not in (select {0}_id from marts.agg_period_{0}s where user_id = %s) limit 1
"""


@pytest.mark.parametrize("kind", ENTITIES)
def test_one_of_a_top_list_has_the_same_figures_there_and_alone(api: Api, filled: Filled, kind: str) -> None:
    for listed in api.read(f"/v1/me/top/{kind}s", limit=40)["data"][::13]:
        answer = api.get(f"/v1/me/{kind}s/{listed['id']}")
        ENTITIES[kind].model_validate_json(answer.content)
        alone = answer.json()
        # What only a list has is its older names for `id`.
        assert {name: alone[name] for name in listed if name != f"{kind}_id"} == {
            name: value for name, value in listed.items() if name != f"{kind}_id"
        }
        months = [
            (month["first_day"], month["plays"], month["counted_plays"], month["ms_played"])
            for month in alone["months"]
        ]
        assert months == filled.read(MONTHS.format(kind), filled.users["ada"], listed["id"])
        assert alone["last_plays"] == api.read("/v1/me/plays", limit=10, **{f"{kind}_id": listed["id"]})["data"]
        assert alone["last_plays"][0]["played_at"] == alone["last_played_at"]


@pytest.mark.parametrize("kind", ENTITIES)
def test_what_a_user_never_played_does_not_exist_for_them(api: Api, filled: Filled, kind: str) -> None:
    hers = filled.read(UNHEARD.format(kind), filled.users["bob"])[0][0]
    assert api.get(f"/v1/me/{kind}s/{hers}").status_code == 200
    refused, none = api.get(f"/v1/me/{kind}s/{hers}", as_="bob"), api.get(f"/v1/me/{kind}s/2147483647", as_="bob")
    assert refused.status_code == none.status_code == 404
    assert {**refused.json(), "instance": ""} == {**none.json(), "instance": ""}
    assert refused.json()["detail"] == f"You have not played this {kind}."


def test_an_entity_that_has_not_changed_is_not_sent_again(api: Api) -> None:
    first = api.get("/v1/me/artists/" + str(api.read("/v1/me/top/artists", limit=1)["data"][0]["id"]))
    again = api.get(first.request.url.path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_older_names_say_the_same_as_those_that_all_answers_have(api: Api) -> None:
    pairs = {
        "top/tracks": {"id": "track_id"}, "top/artists": {"id": "artist_id"}, "top/albums": {"id": "album_id"},
        "plays": {"name": "title", "artist_name": "creator", "album_name": "collection"},
        "streaks": {"first_day": "streak_start", "last_day": "streak_end"}, "timeline": {"first_day": "starts_on"},
        "imports": {"id": "import_id"}, "sessions": {"id": "session_id"}, "playlists": {"id": "playlist_id"},
        "migrations": {"id": "migration_id"}, "genres": {"id": "genre_id"}, "genres/years": {"id": "genre_id"},
    }  # fmt: skip
    for path, names in pairs.items():
        has_pages = path not in ("genres/years", "migrations")
        rows = api.read(f"/v1/me/{path}", **({"limit": 50} if has_pages else {}))["data"]
        assert rows, path
        for row in rows:
            for newer, older in names.items():
                assert row[newer] == row[older], (path, newer)
    plays = api.read("/v1/me/plays", limit=500)["data"]
    assert {row["kind"] for row in plays} > {"track"}
    for row in plays:
        assert row["track_id"] == (row["content_id"] if row["kind"] == "track" else None)


def lists() -> list[str]:
    """Addresses of the contract whose answer has `data`."""
    found = []
    for path, method, operation in operations(CONTRACT):
        schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema", {})
        model = CONTRACT["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
        if method == "get" and "data" in model.get("properties", {}):
            found.append(path)
    return found


def cells(value: Any) -> str:
    """As a table has it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return "; ".join(value).replace("'", "")
    return str(value).replace("'", "")


@pytest.fixture(scope="module")
def webhook_id(filled: Filled) -> Iterator[UUID]:
    """With a row in every list."""
    yield make_rows(filled, "ada", name="note, book")
    filled.restore_access()


@pytest.mark.parametrize("path", lists())
def test_every_list_has_one_form_and_is_a_table_too(api: Api, webhook_id: UUID, path: str) -> None:
    if path == "/v1/me/playlists/exports":
        return  # Its links differ with each answer: test_playlist_files.py has it.
    if path in ("/v1/me/sign-ins", "/v1/me/tokens", "/v1/me/recording-decisions", "/v1/me/audit"):
        # A browser's: test_account.py and test_activity.py in tests/integration/api and test_songs.py for the dashboard
        # have them.
        return
    if "{track_id}" in path:
        path = path.format(track_id=api.read("/v1/me/top/tracks", limit=1)["data"][0]["id"])
    if "{playlist_id}" in path:
        path = path.format(playlist_id=api.read("/v1/me/playlists")["data"][0]["playlist_id"])
    if "{migration_id}" in path:
        path = path.format(migration_id=api.read("/v1/me/migrations")["data"][0]["migration_id"])
    path = path.format(webhook_id=webhook_id)
    asked = {"q": "a"} if path == "/v1/me/search" else {}
    document = api.read(path, **asked)
    assert isinstance(document["data"], list)
    assert "next" in document
    answer = api.get(path, headers={"accept": "text/csv"}, **asked)
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    # What is a list or a document in itself has no place in a cell.
    nested = {"candidates"} if path.endswith("/items") and "/migrations/" in path else set()
    if path == "/v1/me/notices":
        nested = {"detail"}
    assert [{name: cells(value) for name, value in row.items() if name not in nested} for row in document["data"]] == [
        {name: value.replace("'", "") for name, value in row.items()} for row in rows
    ]


def test_the_lists_of_the_contract_are_found() -> None:
    assert {"/v1/me/plays", "/v1/me/summary", "/v1/me/clock", "/v1/me/imports", "/v1/me/tokens"} <= set(lists())
    assert len(lists()) >= 14
