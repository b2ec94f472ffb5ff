"""Exports and lists that are made here, through the API: files by signed links, and nobody else's."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from myi_pipeline.cli.app import main
from myi_pipeline.operations.maintenance import remove_old_exports
from myi_pipeline.people import manage_access
from myi_pipeline.people.manage_access import TokenScope
from myi_pipeline.playlists.files import FORMATS, WRITABLE, Limits, read_bytes
from myi_pipeline.postgres.connections import Role
from myi_pipeline.providers.shared_keys import shared_keys
from myi_pipeline.storage.links import Links
from myi_pipeline.web.api.routes.playlist_files import FormatKey
from tests.integration.reads.conftest import Api, Filled
from tests.integration.reads.test_other_users import browser_of


@pytest.fixture
def ada(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    """A browser of ada's, whose exports and made lists go again."""
    forget(filled)
    with browser_of(filled, api, "ada", "exports") as client:
        yield client
    forget(filled)
    filled.sql("delete from app.sessions where device = 'exports'")


def forget(filled: Filled) -> None:
    """Whatever tests on this warehouse made."""
    filled.restore_access()
    assert filled.settings.artifacts_folder is not None
    shutil.rmtree(filled.settings.artifacts_folder, ignore_errors=True)


@pytest.fixture
def number(api: Api) -> int:
    return next(int(each["playlist_id"]) for each in api.read("/v1/me/playlists")["data"] if each["name"] == "List one")


def made(client: httpx.Client, path: str, status: int = 201, **body: Any) -> dict[str, Any]:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def fetched(api: Api, link: str) -> httpx.Response:
    """By the link alone."""
    parts = urlsplit(link)
    return httpx.get(f"{str(api.client.base_url).rstrip('/')}{parts.path}?{parts.query}", trust_env=False)


def test_the_contract_names_every_format_that_is_written() -> None:
    assert set(FormatKey.__args__) == set(WRITABLE)  # type: ignore[attr-defined]


def test_all_lists_are_one_zip_that_whoever_has_the_link_can_fetch(ada: httpx.Client, api: Api, number: int) -> None:
    answer = ada.post("/v1/me/playlists/exports", json={"format": "jspf"})
    told = answer.json()
    assert (answer.status_code, told["playlists"], told["entries"], told["left_out"]) == (201, 2, 14, 0)
    assert answer.headers["location"] == f"/v1/me/playlists/exports/{told['file_name']}"
    file = fetched(api, told["link"])
    assert (file.status_code, file.headers["content-type"]) == (200, "application/zip")
    assert file.headers["content-disposition"] == f'attachment; filename="{told["file_name"]}"'
    assert int(file.headers["content-length"]) == told["bytes"] == len(file.content)
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        lists = {each["playlist_id"]: each for each in manifest["playlists"]}
        assert (lists[number]["version_no"], lists[number]["entries"], lists[number]["not_said"]) == (2, 13, {})
        data = archive.read(lists[number]["file"])
    (playlist,) = read_bytes(data, place="x.jspf", name="", limits=Limits()).playlists
    items = [each for page in api.pages(f"/v1/me/playlists/{number}/items") for each in page]
    assert [each.track.uri for each in playlist.entries] == [each["uri"] for each in items]


@pytest.mark.parametrize("key", ["m3u8", "exportify"])
def test_one_list_is_a_file_of_its_format_as_it_was(ada: httpx.Client, api: Api, number: int, key: str) -> None:
    told = made(ada, f"/v1/me/playlists/{number}/exports", format=key, version_no=1)
    assert (told["playlists"], told["entries"]) == (1, 12)
    suffix = FORMATS[key].suffixes[0]
    assert told["file_name"].startswith(f"playlist-{number}-version-1-{key}-")
    (playlist,) = read_bytes(fetched(api, told["link"]).content, place=f"x{suffix}", name="", limits=Limits()).playlists
    assert len(playlist.entries) == 12
    made(ada, f"/v1/me/playlists/{number}/exports", 422, format=key, version_no=9)
    made(ada, f"/v1/me/playlists/{number}/exports", 422, format="wav")
    made(ada, f"/v1/me/playlists/{10**6}/exports", 404, format=key)


def test_a_link_that_was_changed_or_has_expired_fetches_nothing(
    ada: httpx.Client, api: Api, filled: Filled, number: int
) -> None:
    told = made(ada, f"/v1/me/playlists/{number}/exports", format="xspf")
    other = made(ada, f"/v1/me/playlists/{number}/exports", format="pls")
    assert abs(datetime.fromisoformat(told["link_expires_at"]).timestamp() - time.time() - 3_600) < 60
    parts = urlsplit(told["link"])
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    user, name = filled.users["ada"], told["file_name"]

    def status(path: str, **given: str) -> tuple[int, str]:
        answer = api.client.get(path, params=given or None)
        return answer.status_code, answer.json()["detail"] if answer.status_code != 200 else ""

    wrong = (404, "This is not a link of this site, or not all of it.")
    assert status(parts.path, **query)[0] == 200
    assert status(parts.path) == wrong
    assert status(parts.path, **{**query, "expires": str(int(query["expires"]) + 1)}) == wrong
    assert status(parts.path, **{**query, "signature": query["signature"][::-1]}) == wrong
    assert status(f"/downloads/{user}/{other['file_name']}", **query) == wrong
    assert status(f"/downloads/{filled.users['bob']}/{name}", **query) == wrong
    assert status("/downloads/0/x", **query) == wrong
    assert status(f"/downloads/{user}/..%2f..%2fsecrets%2fdownloads.key", **query)[0] == 404
    # The oldest key: an encryption key may have been made since the site started.
    links = Links(shared_keys(filled.settings, "downloads")[-1:])
    code, said = status(links.address(user, name, expires_at=int(time.time()) - 1))
    assert (code, "has expired" in said) == (410, True)
    # Even a good signature reaches stored files alone.
    for hostile in ("../../secrets/downloads.key", ".hidden.zip", "a/b.zip"):
        code, said = status(links.address(user, hostile, expires_at=int(time.time()) + 60))
        assert code == 404, hostile


def test_exports_are_listed_until_they_are_deleted(ada: httpx.Client, api: Api, filled: Filled, number: int) -> None:
    first = made(ada, "/v1/me/playlists/exports", format="m3u8")
    second = made(ada, f"/v1/me/playlists/{number}/exports", format="xspf")
    folder = filled.settings.artifacts_folder
    assert folder is not None
    place = folder / str(filled.users["ada"])
    assert sorted(os.listdir(place)) == sorted([first["file_name"], second["file_name"]])
    os.utime(place / first["file_name"], (1_000, 1_000))
    listed = api.read("/v1/me/playlists/exports")["data"]
    assert [each["file_name"] for each in listed] == [second["file_name"], first["file_name"]]
    rows = list(csv.DictReader(io.StringIO(api.get("/v1/me/playlists/exports", headers={"accept": "text/csv"}).text)))
    assert [row["file_name"] for row in rows] == [second["file_name"], first["file_name"]]
    assert api.get("/v1/me/playlists/exports", as_="bob").json()["data"] == []
    fresh = api.read(f"/v1/me/playlists/exports/{first['file_name']}")
    assert fetched(api, fresh["link"]).status_code == 200
    assert api.get(f"/v1/me/playlists/exports/{first['file_name']}", as_="bob").status_code == 404

    assert remove_old_exports(filled.settings, now=datetime.now(UTC)) == 1
    gone = fetched(api, fresh["link"])
    assert (gone.status_code, "has been deleted" in gone.json()["detail"]) == (410, True)
    assert api.get(f"/v1/me/playlists/exports/{first['file_name']}").status_code == 404
    assert fetched(api, second["link"]).status_code == 200


def test_what_was_on_a_list_before_is_a_list_of_its_own(
    ada: httpx.Client, filled: Filled, number: int, api: Api
) -> None:
    path = f"/v1/me/playlists/{number}/restorations"
    whole = made(ada, path, version_no=1, name="As it was")
    assert (whole["name"], whole["entries"], whole["is_new"]) == ("As it was", 12, True)
    assert made(ada, path, 200, version_no=1, name="As it was") == {**whole, "is_new": False}
    removed = made(ada, path, only_removed=True)
    query = (
        "select i.content_id from raw.playlist_items as i where i.playlist_id = %s"
        " and i.items_key = (select items_key from raw.playlist_versions as v where v.playlist_id = i.playlist_id"
        " and v.version_no = %s) order by position"
    )
    before, now = ([id for (id,) in filled.sql(query, number, version)] for version in (1, 2))
    assert [id for (id,) in filled.sql(query, whole["playlist_id"], 1)] == before
    assert [id for (id,) in filled.sql(query, removed["playlist_id"], 1)] == [id for id in before if id not in now]
    on_the_day = made(ada, path, day="2024-06-01")
    assert [id for (id,) in filled.sql(query, on_the_day["playlist_id"], 1)] == before
    for body in ({}, {"version_no": 9}, {"day": "2024-05-01"}, {"version_no": 1, "day": "2024-06-01"}, {"at": "x"}):
        made(ada, path, 422, **body)
    made(ada, f"/v1/me/playlists/{10**6}/restorations", 404, version_no=1)


@pytest.mark.parametrize(
    ("body", "query"),
    [
        ({"period": "year", "date": "2023-05-05"}, {"period": "year", "date": "2023-05-05"}),
        ({"period": "month", "date": "2023-05-05"}, {"period": "month", "date": "2023-05-05"}),
        ({"first_day": "2023-02-03", "last_day": "2024-05-20"}, {"from": "2023-02-03", "to": "2024-05-20"}),
        ({}, {"period": "all"}),
    ],
)
def test_what_was_played_most_is_a_list_in_its_order(
    ada: httpx.Client, api: Api, filled: Filled, body: dict[str, Any], query: dict[str, Any]
) -> None:
    told = made(ada, "/v1/me/playlists", limit=20, **body)
    songs = api.read("/v1/me/top/tracks", by="recording", limit=20, **query)["data"]
    listed = filled.sql(
        "select i.content_id from raw.playlist_items as i where i.playlist_id = %s order by position",
        told["playlist_id"],
    )
    recordings = dict(filled.read("select track_id, recording_id from marts.dim_tracks"))
    assert [recordings[id] for (id,) in listed] == [recordings[song["id"]] for song in songs if song["counted_plays"]]
    assert made(ada, "/v1/me/playlists", 200, limit=20, **body) == {**told, "is_new": False}
    changed = made(ada, "/v1/me/playlists", limit=5, **body)
    assert (changed["playlist_id"], changed["version_no"], changed["entries"]) == (told["playlist_id"], 2, 5)


def test_what_is_new_and_what_was_not_heard_since(ada: httpx.Client, filled: Filled) -> None:
    def contents(told: dict[str, Any]) -> list[int]:
        rows = filled.sql("select content_id from raw.playlist_items where playlist_id = %s", told["playlist_id"])
        return [id for (id,) in rows]

    heard = (
        "select track.recording_id, min(play.played_at), max(play.played_at)"
        " from marts.fct_plays as play inner join marts.dim_tracks as track on track.track_id = play.content_id"
        " where play.user_id = %s group by 1"
    )
    spans = {id: (first, last) for id, first, last in filled.read(heard, filled.users["ada"])}
    recordings = dict(filled.read("select track_id, recording_id from marts.dim_tracks"))
    new = contents(made(ada, "/v1/me/playlists", period="year", date="2024-01-01", new_only=True, limit=30))
    start = datetime(2023, 12, 31, 23, tzinfo=UTC)  # of the year in Berlin
    assert new
    assert all(spans[recordings[id]][0] >= start for id in new)
    end = datetime(2023, 12, 31, 23, tzinfo=UTC)
    old = contents(made(ada, "/v1/me/playlists", period="all", not_since="2024-01-01", limit=30))
    assert old
    assert all(spans[recordings[id]][1] < end for id in old)
    nothing = made(ada, "/v1/me/playlists", 422, first_day="2001-01-01", last_day="2001-01-31")
    assert nothing["detail"] == "No plays match."
    made(ada, "/v1/me/playlists", 422, first_day="2024-02-01", last_day="2024-01-01")
    made(ada, "/v1/me/playlists", 422, first_day="2024-01-01", period="year")


def test_a_token_that_reads_makes_nothing(api: Api, number: int) -> None:
    for path, body in (
        ("/v1/me/playlists/exports", {"format": "xspf"}),
        (f"/v1/me/playlists/{number}/exports", {"format": "xspf"}),
        (f"/v1/me/playlists/{number}/restorations", {"only_removed": True}),
        ("/v1/me/playlists", {}),
    ):
        answer = api.client.post(path, json=body, headers={"authorization": f"Bearer {api.tokens['ada']}"})
        assert answer.status_code == 403, path


def test_the_command_makes_the_same_list_as_the_api(
    ada: httpx.Client, filled: Filled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in filled.settings.environment().items():
        monkeypatch.setenv(name, value)

    def myi(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["playlists", "from-plays", "ada", *arguments])
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    told = made(ada, "/v1/me/playlists", limit=7, period="year", date="2023-05-05", rank_by="time")
    code, out, _ = myi("--period", "2023", "--limit", "7", "--rank-by", "time", "--json")
    found = json.loads(out)
    assert (code, found["made"]) == (0, {**told, "is_new": False})
    assert len(found["tracks"]) == 7
    assert myi("--period", "2023-03..", "--json")[0] == 2
    code, out, _ = myi("--period", "2023-03", "--name", "March", "--by", "track", "--new-only")
    assert (code, ", March, is kept: " in out) == (0, True), out
    code, _, err = myi("--period", "2001-01-01..2001-01-31")
    assert (code, "no plays match" in err) == (1, True), err
    for wrong in (("--period", "soon"), ("--rank-by", "luck"), ("--limit", "0"), ("--period", "2024-02-30..")):
        assert myi(*wrong)[0] == 2, wrong


@pytest.fixture
def mover(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    """A program of ada's that may move playlists."""
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        made = manage_access.make_token(
            connection, user_id=filled.users["ada"], name="mover", scope=TokenScope.MOVE_PLAYLISTS
        )
    headers = {"authorization": f"Bearer {made.token}"}
    with httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, timeout=20) as client:
        yield client
    forget(filled)


def test_a_program_that_may_move_playlists_exports_and_makes_them_once_for_each_key(
    filled: Filled, mover: httpx.Client, number: int
) -> None:
    forget_files(filled)
    wishes: list[tuple[str, dict[str, Any]]] = [
        ("/v1/me/playlists/exports", {"format": "xspf"}),
        (f"/v1/me/playlists/{number}/exports", {"format": "jspf"}),
        ("/v1/me/playlists", {"period": "all", "limit": 3, "name": "Made once"}),
        (f"/v1/me/playlists/{number}/restorations", {"version_no": 1, "name": "Restored once"}),
    ]
    for place, (path, wish) in enumerate(wishes):
        key = {"idempotency-key": f"once-{place}"}
        first, again = (mover.post(path, json=wish, headers=key) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 201), first.text
        assert (again.content, again.headers.get("location")) == (first.content, first.headers.get("location"))
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        other = mover.post(path, json={**wish, "limit": 4} if "limit" in wish else {**wish, "name": "x"}, headers=key)
        assert other.status_code == 422
    assert len(mover.get("/v1/me/playlists/exports").json()["data"]) == 2
    # Without a key each request is one of its own.
    for _ in range(2):
        assert mover.post("/v1/me/playlists/exports", json={"format": "xspf"}).status_code == 201
    assert len(mover.get("/v1/me/playlists/exports").json()["data"]) == 4
    (count,) = filled.sql("select count(*)::int from app.audit where event = 'export_made'")[0]
    assert count >= 4

    link = mover.get("/v1/me/playlists/exports").json()["data"][0]["link"]
    before = filled.sql("select count(*)::int from app.audit where event = 'export_fetched'")[0][0]
    parts = urlsplit(link)
    assert mover.get(f"{parts.path}?{parts.query}").status_code == 200
    fetched_by = filled.sql(
        "select user_id, address, count(*) over ()::int from app.audit where event = 'export_fetched'"
    )
    assert fetched_by[-1] == (filled.users["ada"], "127.0.0.1", before + 1)


def test_an_export_that_fails_keeps_no_answer_and_can_be_asked_for_again(mover: httpx.Client, number: int) -> None:
    key = {"idempotency-key": "fails-first"}
    path = f"/v1/me/playlists/{number}/exports"
    assert mover.post(path, json={"format": "xspf", "version_no": 999}, headers=key).status_code == 422
    assert mover.post(path, json={"format": "xspf"}, headers=key).status_code == 201


def forget_files(filled: Filled) -> None:
    assert filled.settings.artifacts_folder is not None
    shutil.rmtree(filled.settings.artifacts_folder, ignore_errors=True)
    filled.sql("delete from app.kept_answers")
