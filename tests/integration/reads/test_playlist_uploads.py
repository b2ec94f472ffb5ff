"""Playlist files that are uploaded: read at once, refused with place and rule, and stored by another process."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from psycopg.errors import InsufficientPrivilege

from myi_pipeline.playlists.file_inbox import MOST_BYTES, keep_files
from myi_pipeline.postgres.connections import Role
from myi_pipeline.web import playlist_uploads
from tests.integration.reads.conftest import Api, Filled
from tests.integration.reads.test_other_users import browser_of
from tests.integration.reads.test_playlist_files import mover

__all__ = ["mover"]

FILES = "/v1/me/playlist-files"
TRIP = "#EXTM3U\n#PLAYLIST:Road trip\n#EXTINF:215,Björk - Jóga\nhttps://open.spotify.com/track/{:022d}\n"


@pytest.fixture
def ada(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    """A browser of ada's, whose imported lists go again."""
    with browser_of(filled, api, "ada", "files") as client:
        yield client
    filled.restore_access()
    filled.sql("delete from raw.playlists where provider_playlist ~ '[.](m3u8|zip|csv)'")
    filled.sql("delete from ops.playlist_file_inbox")
    filled.sql("delete from ops.changed_playlists")
    filled.sql("delete from app.sessions where device = 'files'")


def sent(client: httpx.Client, content: str | bytes, *, name: str = "trip.m3u8", **headers: str) -> httpx.Response:
    data = content.encode() if isinstance(content, str) else content
    return client.post(FILES, params={"name": name}, content=data, headers=headers)


def stored(filled: Filled) -> int:
    """What another process stores; the number of files."""
    with filled.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        kept = keep_files(connection, now=lambda: datetime.now(UTC))
    assert (kept.put_off, kept.is_done) == (0, True)
    return kept.files


def kept_lists(filled: Filled) -> list[tuple[Any, ...]]:
    query = (
        "select p.user_id, p.provider_playlist, v.version_no, v.name, v.state, v.items from raw.playlists as p"
        " inner join raw.playlist_versions as v on v.playlist_id = p.playlist_id"
        " where p.provider_playlist ~ '[.](m3u8|zip|csv)' order by p.provider_playlist, v.version_no"
    )
    return filled.sql(query)


def test_a_file_is_read_at_once_and_its_playlist_stored(ada: httpx.Client, filled: Filled) -> None:
    answer = sent(ada, TRIP.format(1))
    assert answer.status_code == 202, answer.text
    assert answer.json() == {
        "playlists": [{"file": "trip.m3u8", "format": "m3u8", "name": "Road trip", "entries": 1}],
        "warnings": [],
    }
    assert kept_lists(filled) == []
    assert stored(filled) == 1
    me = filled.users["ada"]
    assert kept_lists(filled) == [(me, "trip.m3u8", 1, "Road trip", "readable", 1)]
    # The same file again changes nothing, and another one of that name is a version.
    for number in (1, 2):
        assert sent(ada, TRIP.format(number), name="C:\\Music\\trip.m3u8").status_code == 202
    assert stored(filled) == 2
    assert [row[2] for row in kept_lists(filled)] == [1, 2]
    assert stored(filled) == 0


def test_a_removed_list_comes_back_with_its_file(ada: httpx.Client, filled: Filled) -> None:
    sent(ada, TRIP.format(1))
    stored(filled)
    (number,) = filled.sql("select playlist_id from raw.playlists where provider_playlist = 'trip.m3u8'")[0]
    assert ada.delete(f"/v1/me/playlists/{number}").status_code == 204
    sent(ada, TRIP.format(1))
    stored(filled)
    assert [row[4] for row in kept_lists(filled)] == ["readable", "gone", "readable"]


def test_several_lists_in_one_file_are_several_playlists(ada: httpx.Client, filled: Filled) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.m3u8", TRIP.format(1))
        archive.writestr("b/c.m3u8", TRIP.format(2) + "#EXTINF:1,nothing\n\nnot an address of anything\n")
    answer = sent(ada, made.getvalue(), name="lists.zip").json()
    assert [each["file"] for each in answer["playlists"]] == ["lists.zip/a.m3u8", "lists.zip/b/c.m3u8"]
    stored(filled)
    assert [row[1] for row in kept_lists(filled)] == ["lists.zip/a.m3u8", "lists.zip/b/c.m3u8"]
    table = "Track name,Artist name,Playlist name,Type\nJóga,Björk,One,Favorite\nHyper,Björk,Two,Favorite\n"
    answer = sent(ada, table, name="moved.csv").json()
    assert [(each["name"], each["entries"]) for each in answer["playlists"]] == [("One", 1), ("Two", 1)]
    assert stored(filled) == 1
    assert [row[1] for row in kept_lists(filled) if "csv" in row[1]] == ["moved.csv#One", "moved.csv#Two"]


@pytest.mark.parametrize(
    ("name", "content", "place", "rule"),
    [
        ("trip.xspf", "<playlist xmlns='http://xspf.org/ns/0/' version='1'><trackList>", "trip.xspf", ""),
        ("trip.txt", "a shopping list", "trip.txt", "a playlist file"),
        ("trip.csv", "a,b\n1,2\n", "trip.csv, line 1", "title, artist"),
        ("trip.m3u8", "", "trip.m3u8", "a playlist file"),
        ("trip.zip", b"PK\x03\x04 and then nothing", "trip.zip", ""),
        ("/", TRIP.format(1), "name", "1 to 200 characters"),
    ],
)
def test_a_bad_file_is_refused_with_its_name_the_place_and_the_rule(
    ada: httpx.Client, filled: Filled, name: str, content: str | bytes, place: str, rule: str
) -> None:
    answer = sent(ada, content, name=name)
    told = answer.json()
    assert (answer.status_code, told["type"]) == (422, "urn:myi:problem:invalid-request"), told
    (wrong,) = told["errors"]
    assert wrong["place"].startswith(place)
    assert rule in wrong["message"]
    assert filled.sql("select count(*) from ops.playlist_file_inbox") == [(0,)]


def test_a_body_has_a_bound_and_so_has_what_waits(ada: httpx.Client, filled: Filled) -> None:
    assert sent(ada, b" " * (MOST_BYTES + 1)).status_code == 413
    filled.sql(
        "insert into ops.playlist_file_inbox (user_id, file_name, content, next_try_at)"
        " select %s, 'x', convert_to(repeat('x', %s), 'UTF8'), now() + interval '1 day' from generate_series(1, 4)",
        filled.users["ada"], MOST_BYTES,
    )  # fmt: skip
    answer = sent(ada, TRIP.format(1))
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:myi:problem:too-much-waiting")


def test_reading_a_file_has_a_time_limit(ada: httpx.Client, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playlist_uploads, "LONGEST_READ_S", 0.0)
    answer = sent(ada, TRIP.format(1))
    assert (answer.status_code, answer.json()["type"]) == (504, "urn:myi:problem:took-too-long")
    assert filled.sql("select count(*) from ops.playlist_file_inbox") == [(0,)]
    monkeypatch.undo()
    assert sent(ada, TRIP.format(1)).status_code == 202


def test_a_program_with_the_scope_imports_a_file_once_for_each_key(
    ada: httpx.Client, mover: httpx.Client, api: Api, filled: Filled
) -> None:
    key = {"idempotency-key": "file-once"}
    first, again = (sent(mover, TRIP.format(1), **key) for _ in range(2))
    assert (first.status_code, again.status_code, again.content) == (202, 202, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert sent(mover, TRIP.format(2), **key).status_code == 422
    assert stored(filled) == 1
    headers = {"authorization": f"Bearer {api.tokens['ada']}"}
    assert sent(api.client, TRIP.format(1), **headers).status_code == 403
    assert sent(api.client, TRIP.format(1)).status_code == 401


def test_files_are_stored_for_whoever_sent_them(ada: httpx.Client, api: Api, filled: Filled) -> None:
    with browser_of(filled, api, "bob", "files") as bob:
        sent(bob, TRIP.format(3))
    sent(ada, TRIP.format(1))
    assert stored(filled) == 2
    assert {row[0] for row in kept_lists(filled)} == {filled.users["ada"], filled.users["bob"]}
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        connection.execute("select set_config('app.user_id', %s, false)", (str(filled.users["bob"]),))
        with pytest.raises(InsufficientPrivilege, match="not a file of this user"):
            connection.execute("select ops.accept_playlist_file(%s, 'x', 'x', 9)", (filled.users["ada"],))


def test_a_file_that_cannot_be_stored_now_is_tried_again_and_blocks_no_other(ada: httpx.Client, filled: Filled) -> None:
    sent(ada, TRIP.format(1), name="first.m3u8")
    sent(ada, TRIP.format(2), name="second.m3u8")
    filled.sql("alter table raw.playlists add constraint no_first check (provider_playlist <> 'first.m3u8')")
    try:
        with filled.warehouse.connect(Role.INGEST, autocommit=True) as connection:
            kept = keep_files(connection, now=lambda: datetime.now(UTC))
        assert (kept.files, kept.put_off) == (1, 1)
        waiting = filled.sql("select file_name, tries, last_error, next_try_at > now() from ops.playlist_file_inbox")
        assert waiting == [("first.m3u8", 1, "CheckViolation", True)]
    finally:
        filled.sql("alter table raw.playlists drop constraint no_first")
    filled.sql("update ops.playlist_file_inbox set next_try_at = now()")
    assert stored(filled) == 1
    assert [row[1] for row in kept_lists(filled)] == ["first.m3u8", "second.m3u8"]
