"""Handing an archive in: taken by its content, seen by the watch when it is whole, followed to its end."""

from __future__ import annotations

import json
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from myi_pipeline.archives.import_history import import_history
from myi_pipeline.archives.reading_settings import account_hasher, archive_limits
from myi_pipeline.archives.uploads.plan import find_wanted_imports
from myi_pipeline.archives.uploads.receive import safe_name
from myi_pipeline.archives.uploads.scan import UploadsSeen
from myi_pipeline.people import manage_access, manage_users
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from tests.integration.reads.conftest import Api, Filled
from tests.searching import empty, files_below


@pytest.fixture
def cleo(filled: Filled, api: Api) -> Iterator[httpx.Client]:
    """A browser of a user of this test's own, who has nothing yet."""
    with filled.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        manage_users.add_user(connection, user_key="cleo", time_zone="UTC")
        user_id = manage_users.get_user(connection, user_key="cleo").user_id
    with filled.warehouse.connect(Role.APP, autocommit=True) as connection:
        reference = manage_access.begin_session(connection, user_id=user_id, method="link", device="test")
    headers = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=api.client.base_url, headers=headers, trust_env=False, verify=False) as client:
        client.cookies.set("myi_session", reference, domain="127.0.0.1", path="/")
        yield client
    filled.sql("delete from app.users where user_key = 'cleo'")
    filled.sql("delete from ops.removals")
    filled.sql("delete from ops.orphans")
    filled.sql("delete from raw.listening_events where user_id = %s", user_id)
    empty(filled.settings.uploads_folder / "cleo")


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    spec = ArchiveSpec(seed=9, listener="cleo", first_day=date(2023, 1, 1), last_day=date(2023, 12, 31), plays=400)
    write_extended_archive(tmp_path / "cleo.zip", build_listener(spec))
    return (tmp_path / "cleo.zip").read_bytes()


def uploads(filled: Filled) -> list[str]:
    folder = filled.settings.uploads_folder / "cleo"
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def wanted(filled: Filled) -> list[str]:
    """What the watch of the uploads folder asks for at its very first look."""
    plan = find_wanted_imports(
        filled.warehouse, settings=filled.settings, seen=UploadsSeen(), now_s=time.time(), find_runs=lambda _: {}
    )
    return [each.name for each in plan.wanted]


def hand_in(client: httpx.Client, content: bytes, name: str = "my_spotify_data.zip") -> httpx.Response:
    return client.post("/v1/me/imports", params={"name": name}, content=content)


def run_import(filled: Filled, name: str) -> None:
    import_history(
        filled.warehouse,
        paths=filled.settings.uploads_folder / name,
        user_key="cleo",
        limits=archive_limits(filled.settings),
        hash_account=account_hasher(filled.settings),
    )


def test_an_archive_is_taken_watched_for_and_accounted_for(cleo: httpx.Client, filled: Filled, archive: bytes) -> None:
    answer = hand_in(cleo, archive)
    assert answer.status_code == 202, answer.text
    place = answer.headers["location"]
    assert cleo.get(place).json()["status"] == "pending"
    (name,) = wanted(filled)
    run_import(filled, name)
    detail = cleo.get(place).json()
    assert detail["status"] == "completed"
    assert detail["rows_loaded"] > 300
    assert detail["rows_read"] == sum(
        detail[f"rows_{part}"] for part in ("loaded", "present", "identical", "quarantined")
    )
    assert sum(file["rows_read"] for file in detail["files"]) == detail["rows_read"]
    assert wanted(filled) == []
    # The same content again is the same import, and nothing is kept of it.
    again = hand_in(cleo, archive, name="again.zip")
    assert (again.status_code, again.headers["location"]) == (202, place)
    assert again.json()["status"] == "completed"
    assert len(uploads(filled)) == 1
    assert [row["import_id"] for row in cleo.get("/v1/me/imports").json()["data"]] == [detail["import_id"]]


def test_a_json_file_is_an_archive_of_its_own(
    cleo: httpx.Client, filled: Filled, archive: bytes, tmp_path: Path
) -> None:
    (tmp_path / "a.zip").write_bytes(archive)
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        member = next(name for name in opened.namelist() if "Audio" in name and name.endswith(".json"))
        content = opened.read(member)
    answer = hand_in(cleo, content, name=Path(member).name)
    assert answer.status_code == 202, answer.text
    (name,) = wanted(filled)
    run_import(filled, name)
    assert cleo.get(answer.headers["location"]).json()["status"] == "completed"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"not an archive", 422),
        (b"PK\x03\x04 but no archive", 422),
        (b"PK\x05\x06" + b"\0" * 18, 422),
        (json.dumps([{"a": 1}]).encode(), 422),
        (json.dumps({"deep": [[]]}).encode(), 422),
    ],
)
def test_what_is_no_history_is_refused_and_leaves_nothing(
    cleo: httpx.Client, filled: Filled, content: bytes, status: int
) -> None:
    answer = hand_in(cleo, content)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert uploads(filled) == []
    assert cleo.get("/v1/me/imports").json()["data"] == []


def test_an_upload_that_breaks_off_leaves_nothing_and_is_never_seen(
    cleo: httpx.Client, filled: Filled, archive: bytes
) -> None:
    seen: list[list[str]] = []

    def pieces() -> Iterator[bytes]:
        yield archive[: len(archive) // 2]
        time.sleep(0.3)
        seen.append(uploads(filled))
        assert wanted(filled) == []
        raise ConnectionError("the line is dead")

    with pytest.raises(ConnectionError):
        cleo.post("/v1/me/imports", content=pieces())
    assert len(seen[0]) == 1
    assert seen[0][0].startswith(".incoming-")
    deadline = time.monotonic() + 5
    while uploads(filled) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert uploads(filled) == []


@pytest.mark.parametrize(
    "name",
    ["../../etc/cron.d/x", "..\\..\\x.zip", "/etc/passwd", ".hidden", "a\0b", "<img onerror=alert(1)>", "é" * 300, ""],
)
def test_no_name_is_a_path(name: str) -> None:
    made = safe_name(name, suffix=".zip")
    assert "/" not in made
    assert "\\" not in made
    assert not made.startswith(".")
    assert made.endswith(".zip")
    assert len(made) < 100
    assert made.isascii()


def test_nobody_learns_of_another_users_import(cleo: httpx.Client, api: Api, archive: bytes) -> None:
    place = hand_in(cleo, archive).headers["location"]
    for path in (place, f"{place}/events"):
        theirs, none = api.get(path), api.get(path.replace(place, "/v1/me/imports/2000000000"))
        assert theirs.status_code == none.status_code == 404
        assert {**theirs.json(), "instance": ""} == {**none.json(), "instance": ""}
    mine = {row["import_id"] for row in api.read("/v1/me/imports")["data"]}
    assert int(place.rpartition("/")[2]) not in mine


def test_a_token_hands_nothing_in(api: Api, archive: bytes) -> None:
    answer = api.client.post(
        "/v1/me/imports",
        content=archive,
        headers={"authorization": f"Bearer {api.tokens['ada']}", "sec-fetch-site": "same-origin"},
    )
    assert answer.status_code == 403


def events_of(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_progress_is_told_until_the_import_is_done(cleo: httpx.Client, filled: Filled, archive: bytes) -> None:
    place = hand_in(cleo, archive).headers["location"]
    (name,) = wanted(filled)
    importing = threading.Timer(0.7, run_import, (filled, name))
    importing.start()
    with cleo.stream("GET", f"{place}/events", timeout=30) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = list(events_of(response))
    importing.join()
    assert told[0][0] == "progress"
    assert told[0][1]["status"] == "pending"
    assert (told[-1][0], told[-1][1]["status"]) == ("done", "completed")
    assert [name for name, _ in told].count("done") == 1


def test_a_user_holds_only_so_many_streams_and_closed_ones_are_free_again(cleo: httpx.Client, archive: bytes) -> None:
    place = hand_in(cleo, archive).headers["location"] + "/events"

    def open_one() -> httpx.Response:
        return cleo.send(cleo.build_request("GET", place), stream=True)

    held = [open_one() for _ in range(6)]
    lines = [response.iter_lines() for response in held]
    for each in lines:
        assert next(each) == "event: progress"
    assert open_one().status_code == 429
    for response in held:
        response.close()
    deadline = time.monotonic() + 10
    while open_one().status_code == 429:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_list_of_imports_has_pages(cleo: httpx.Client, filled: Filled) -> None:
    (user_id,) = filled.sql("select user_id from app.users where user_key = 'cleo'")[0]
    filled.sql(
        "insert into app.imports (user_id, sha256, archive_name, kind)"
        " select %s, sha256(n::text::bytea), n::text, 'mixed' from generate_series(1, 5) as n",
        user_id,
    )
    names: list[str] = []
    path: str | None = "/v1/me/imports?limit=2"
    while path is not None:
        answer = cleo.get(path)
        names += [row["archive_name"] for row in answer.json()["data"]]
        path = answer.links.get("next", {}).get("url")
    assert names == ["5", "4", "3", "2", "1"]
