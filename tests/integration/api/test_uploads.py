"""Handing archives in: what it may cost the others, how much room it may take, and whose an archive is."""

from __future__ import annotations

import os
import socket
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator.scrobbles import Scrobble, write_scrobbles
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.web import uploads
from tests.hostile import decoys
from tests.integration.api.conftest import RunningSite, SiteMaker
from tests.s3_server import S3Server
from tests.searching import files_below

IMPORTS = "/v1/me/imports"
BUCKET = "uploads"
MIB = 1024 * 1024


def hand_in(client: httpx.Client, content: object, name: str = "my_spotify_data.zip") -> httpx.Response:
    return client.post(IMPORTS, params={"name": name}, content=content, timeout=120)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def site_with_bucket(make_site_of_module: SiteMaker, s3: S3Server) -> RunningSite:
    return make_site_of_module(**in_bucket(s3))


@pytest.fixture(params=["folder", "bucket"])
def either(
    request: pytest.FixtureRequest, site: RunningSite, site_with_bucket: RunningSite, s3: S3Server
) -> RunningSite:
    """A site without users, whose uploads lie in a folder, or in an object store."""
    s3.make_bucket(BUCKET)
    return replace(site_with_bucket, stack=site.stack) if request.param == "bucket" else site


def in_bucket(s3: S3Server) -> dict[str, object]:
    """The settings of it."""
    return {"uploads": f"s3://{BUCKET}/of/myi", "uploads_options": SecretStr(s3.options)}


def files(site: RunningSite, key: str = "ana") -> list[str]:
    """A user's, or their objects."""
    bucket = open_uploads(site.settings)
    if bucket is not None:
        return sorted(each.key.removeprefix(f"{key}/") for each in bucket.objects(key))
    folder = site.settings.uploads_folder / key
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def begun(site: RunningSite, s3: S3Server, key: str = "dee") -> int:
    """How many uploads a user has begun: each has a folder, or has asked for the user's objects."""
    if open_uploads(site.settings) is None:
        return len(list((site.settings.uploads_folder / key).glob(".incoming-*")))
    return sum("list-type=2" in address and f"{key}%2F" in address for _, address in s3.check.asked)


def archive(path: Path, *, rows: int = 20, comment: bytes = b"") -> bytes:
    decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", decoys.good_json(rows)))
    with zipfile.ZipFile(path, "a") as opened:
        opened.comment = comment
    return path.read_bytes()


@pytest.mark.slow
def test_archives_that_take_long_to_look_into_keep_nobody_from_the_site(site: RunningSite, tmp_path: Path) -> None:
    """Four of them held all connections for sessions and sign-ins: everybody was told that the database is gone."""
    # Two equal files, packed 150 times: they are unpacked and hashed, to know whether one is a copy of the other.
    with zipfile.ZipFile(tmp_path / "slow.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as slow:
        content = os.urandom(MIB) + bytes(150 * MIB)
        for number in range(2):
            slow.writestr(f"Streaming_History_Audio_2020_{number}.json", content)
    packed = (tmp_path / "slow.zip").read_bytes()
    uploaders = [site.browser(f"user-{number}") for number in range(4)]
    somebody, other = site.browser("ana"), site.browser("ben")
    answers: list[int] = []
    with ThreadPoolExecutor(4) as threads:
        under_way = [threads.submit(hand_in, client, packed) for client in uploaders]
        while not all(each.done() for each in under_way):
            answers += [somebody.get(IMPORTS).status_code, other.get("/account").status_code]
    assert [each.result().status_code for each in under_way] == [202] * 4
    assert set(answers) == {200}


def test_two_uploads_of_a_user_are_taken_at_once_and_the_third_waits(
    either: RunningSite, s3: S3Server, tmp_path: Path
) -> None:
    go_on = threading.Event()
    content = archive(tmp_path / "a.zip")

    def slowly() -> Iterator[bytes]:
        yield content[:10]
        go_on.wait(20)
        yield content[10:]

    clients = [either.browser("dee") for _ in range(4)]
    with ThreadPoolExecutor(2) as threads:
        under_way = [threads.submit(hand_in, client, slowly()) for client in clients[:2]]
        until = time.monotonic() + 20
        # Each has its place by then.
        while begun(either, s3) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        refused = hand_in(clients[2], content)
        others = hand_in(either.browser("ben"), content)
        go_on.set()
        assert [each.result().status_code for each in under_way] == [202, 202]
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:myi:problem:too-many-uploads")
    assert others.status_code == 202
    assert hand_in(clients[3], content).status_code == 202


def test_an_upload_that_stands_still_gives_its_place_back(either: RunningSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LONGEST_SILENCE_S", 0.3)
    cookie = either.browser("cem").cookies["myi_session"]
    head = (
        f"POST {IMPORTS} HTTP/1.1\r\nHost: 127.0.0.1:{either.settings.api_port}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Cookie: myi_session={cookie}\r\nContent-Length: 1000\r\n\r\nPK"
    )
    with socket.create_connection(("127.0.0.1", either.settings.api_port), timeout=20) as line:
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 408")
    assert files(either, "cem") == []


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_user_fills_no_more_than_a_quota_and_uploads_leave_room_on_the_disk(
    make_site: SiteMaker, tmp_path: Path, s3: S3Server, place: str
) -> None:
    content = archive(tmp_path / "a.zip", rows=400)
    s3.make_bucket(BUCKET)
    where = in_bucket(s3) if place == "bucket" else {}
    site = make_site(uploads_quota_bytes=len(content) + 10, **where)
    browser = site.browser()
    assert hand_in(browser, content).status_code == 202
    (kept,) = files(site)
    more = archive(tmp_path / "b.zip", rows=300)
    # With its length told beforehand, and without.
    for body in (more, iter([more])):
        answer = hand_in(browser, body)
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:myi:problem:over-quota")
        assert "Delete the files of completed imports" in answer.json()["detail"]
    assert files(site) == [kept]
    assert hand_in(site.browser("ben"), more).status_code == 202

    full = make_site(disk_floor_mb=10**9, **where)
    answer = hand_in(full.browser(), more)
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:myi:problem:no-room")
    assert str(full.settings.home) not in answer.text
    assert files(full) == [kept]
    # What needs no room goes on.
    assert full.browser().get(IMPORTS).status_code == 200


def anothers(site: RunningSite, path: Path) -> None:
    """Ana has this archive."""
    user_id = site.user("ana")
    with open_history(path, limits=Limits(), hash_account=lambda _: b"") as opened:
        ((import_id,),) = site.sql(
            "insert into app.imports (user_id, sha256, archive_name, kind, status, attempt)"
            " values (%s, %s, 'a.zip', 'extended_history', 'completed', 1) returning import_id",
            user_id,
            opened.sha256,
        )
        for content in opened.contents:
            site.sql("insert into app.import_members values (%s, %s, %s)", import_id, content.size, content.crc32)


def test_another_users_archive_waits_for_a_word_on_its_page(either: RunningSite, tmp_path: Path) -> None:
    archive(tmp_path / "a.zip")
    anothers(either, tmp_path / "a.zip")
    ben = either.browser("ben")
    ben.headers["accept"] = "text/html"

    answer = hand_in(ben, archive(tmp_path / "b.zip", comment=b"packed again"))

    assert answer.status_code == 202
    document = answer.json()
    assert (document["status"], document["needs_confirmation"]) == ("pending", True)
    assert "another user here has this archive" in document["error"]
    place = f"/imports/{document['import_id']}"
    page = ben.get(place)
    assert "It is mine: import it" in page.text
    assert "ana" not in page.text.replace("analy", "")
    assert ben.post(f"{place}/retry").status_code == 409
    # Nobody else confirms it.
    assert either.browser("ana").post(f"{place}/confirm").status_code == 404
    assert ben.post(f"{place}/confirm").status_code == 303
    told = ben.get(f"/v1/me{place}", headers={"accept": "application/json"}).json()
    assert told["needs_confirmation"] is False
    assert either.sql("select confirmation, status from app.imports where attempt = 0") == [("given", "pending")]


def test_an_archive_that_is_not_mine_can_be_deleted_from_its_page(either: RunningSite, tmp_path: Path) -> None:
    archive(tmp_path / "a.zip")
    anothers(either, tmp_path / "a.zip")
    ben = either.browser("bea")
    place = hand_in(ben, (tmp_path / "a.zip").read_bytes()).json()["import_id"]
    answer = ben.post(f"/imports/{place}/delete-file")
    assert (answer.status_code, answer.headers["location"]) == (303, "/imports")
    assert files(either, "bea") == []
    assert either.sql("select count(*) from app.imports") == [(1,)]


def test_deleting_the_file_deletes_every_copy_of_it(site: RunningSite, tmp_path: Path) -> None:
    content, other = archive(tmp_path / "a.zip"), archive(tmp_path / "b.zip", rows=7)
    eva = site.browser("eva")
    number = hand_in(eva, content).json()["import_id"]
    folder = site.settings.uploads_folder / "eva"
    copies = ("named otherwise.zip", ".incoming-0123456789abcdef/upload", "deep/er/copy.zip")
    for name in copies:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "packed again.zip").write_bytes(archive(tmp_path / "c.zip", comment=b"packed again"))
    (folder / "unpacked").mkdir()
    (folder / "unpacked" / "Streaming_History_Audio_2024_0.json").write_bytes(decoys.good_json(20))
    kept = {"another.zip": other, "larger/x.json": decoys.good_json(21)}
    for name, data in kept.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (tmp_path / "outside.zip").write_bytes(content)
    (folder / "link.zip").symlink_to(tmp_path / "outside.zip")
    assert eva.post(f"/imports/{number}/delete-file").status_code == 409
    with site.warehouse.connect(Role.OWNER, autocommit=True) as connection:
        connection.execute("update app.imports set status = 'completed'")
        connection.execute(
            "insert into app.import_members select import_id, %s, %s from app.imports",
            (len(decoys.good_json(20)), zlib.crc32(decoys.good_json(20))),
        )

    assert eva.post(f"/imports/{number}/delete-file").status_code == 303

    assert files(site, "eva") == sorted([*kept, "link.zip"])
    assert (tmp_path / "outside.zip").exists()
    assert "unpacked" not in {path.name for path in folder.iterdir()}
    assert "Delete the file" not in eva.get(f"/imports/{number}", headers={"accept": "text/html"}).text


@pytest.mark.parametrize("status", ["failed", "pending"])
def test_what_failed_is_tried_again_by_a_button(site: RunningSite, status: str) -> None:
    ana = site.browser("ana")
    ana.headers["accept"] = "text/html"
    ((number,),) = site.sql(
        "insert into app.imports (user_id, sha256, archive_name, kind, status, tries, is_refused, error, next_try_at)"
        " values (%s, sha256('a'), 'a.zip', 'unknown', %s, 4, true, 'the disk was on fire', now() + interval '1 hour')"
        " returning import_id",
        site.user("ana"),
        status,
    )
    for page in ("/imports", f"/imports/{number}"):
        assert "the disk was on fire" in ana.get(page).text
    assert "Try again now" in ana.get(f"/imports/{number}").text
    assert ana.post(f"/imports/{number}/retry").status_code == 303
    found = site.sql("select status, tries, is_refused, error, next_try_at from app.imports")
    assert found == [("pending", 0, False, None, None)]


def test_a_refusal_reaches_whoever_is_still_sending_a_large_archive(site: RunningSite, make_site: SiteMaker) -> None:
    """The rest of 20 MB was still on its way when the site closed the connection, and clients saw a reset."""
    large = bytes(20 * MIB)
    small, strict = make_site(api_max_upload_bytes=MIB), make_site(api_sensitive_requests_per_minute=5)
    for number in range(8):
        assert hand_in(site.visitor(origin="https://elsewhere.example"), large).status_code == 403
        assert hand_in(strict.browser(None), large).status_code == (401 if number < 5 else 429)
        for body in (large, iter([large[:MIB]] * 20)):
            assert hand_in(small.browser(), body).status_code == 413
        assert hand_in(site.browser(), large).status_code == 422


def test_exports_of_other_services_and_logs_are_taken_in_and_logs_remember_where_the_player_was(
    either: RunningSite,
) -> None:
    told = [
        Scrobble(
            datetime(2019, 7, 1, 10, number, tzinfo=UTC), f"Track {number}", "Artist", "Album", 200_000, "spotify:x"
        )
        for number in range(10)
    ]
    browser = either.browser("eva")
    folder = either.settings.home / "made"
    folder.mkdir(exist_ok=True)
    taken = {}
    for form, name in (("lastfm_to_csv", "me.csv"), ("koito", "koito.json"), ("scrobbler_log", ".scrobbler.log")):
        content = write_scrobbles(folder / name, told, form=form, zone="Europe/Berlin").path.read_bytes()
        answer = browser.post(IMPORTS, params={"name": name, "time_zone": "Europe/Berlin"}, content=content)
        assert answer.status_code == 202, answer.text
        taken[form] = answer.json()["kind"]
    assert taken == {
        "lastfm_to_csv": "lastfm_export_minutes",
        "koito": "koito_export",
        "scrobbler_log": "scrobbler_log",
    }
    assert {path.rpartition(".")[2] for path in files(either, "eva")} >= {"csv", "json", "log"}
    zones = either.sql("select kind, time_zone from app.imports where time_zone is not null")
    assert zones == [("scrobbler_log", "Europe/Berlin")]
    wrong = browser.post(IMPORTS, params={"name": "x.log", "time_zone": "Nowhere/Else"}, content=content + b"\n")
    assert wrong.status_code == 422
    assert "not a time zone" in wrong.json()["detail"]


def test_the_form_of_a_browser_without_script_says_where_the_player_was(either: RunningSite) -> None:
    told = [Scrobble(datetime(2018, 7, 1, 10, tzinfo=UTC), "Track", "Artist", None, 200_000, "spotify:x")]
    path = either.settings.home / "form.log"
    content = write_scrobbles(path, told, form="scrobbler_log", zone="Asia/Tokyo").path.read_bytes()
    answer = either.browser("fay").post(
        "/imports", data={"time_zone": "Asia/Tokyo"}, files={"archive": (".scrobbler.log", content)}
    )
    assert answer.status_code == 303, answer.text
    users = "select user_id from app.users where user_key = 'fay'"
    assert either.sql(f"select time_zone from app.imports where user_id = ({users})") == [("Asia/Tokyo",)]
