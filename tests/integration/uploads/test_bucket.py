"""Uploads in an object store: what differs from a folder, and what may not. The server checks every signature."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from myi_pipeline.archives.uploads import upload_log
from myi_pipeline.archives.uploads.bucket import fetched, scan_bucket
from myi_pipeline.archives.uploads.forget import forget_upload, has_file
from myi_pipeline.archives.uploads.incoming import incoming
from myi_pipeline.archives.uploads.plan import RunState
from myi_pipeline.archives.uploads.receive import judge_upload, place_upload, take_upload
from myi_pipeline.archives.uploads.scan import Scan, UploadsSeen
from myi_pipeline.errors import Permanent, Transient
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.erase_users import count_all, erase_user
from myi_pipeline.operations.maintenance import forget_left_copies, remove_unfinished_uploads
from myi_pipeline.operations.remove_users import finish_removals
from myi_pipeline.postgres.connections import Role
from myi_pipeline.storage.open_store import open_uploads
from myi_pipeline.storage.uploads_bucket import UploadsBucket
from tests.hostile import decoys
from tests.integration.uploads.conftest import BUCKET, PREFIX, Uploads
from tests.s3_server import S3Server

LIMIT_S = 60


def opened(uploads: Uploads) -> UploadsBucket:
    found = open_uploads(uploads.settings)
    assert found is not None
    return found


def zipped(path: Path, rows: int = 20) -> bytes:
    decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", decoys.good_json(rows)))
    return path.read_bytes()


def until(holds: Callable[[], object]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.02)


def reads(s3: S3Server, name: str) -> int:
    """How often the object's content was asked for."""
    return sum(method == "GET" and address.partition("?")[0].endswith(name) for method, address in s3.check.asked)


def look(uploads: Uploads, *, step_s: int) -> Scan:
    """One that remembers nothing, and for which the time goes on so far whenever it is asked for."""
    seconds = itertools.count(step=step_s)
    with closing(uploads.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        return scan_bucket(
            opened(uploads), connection, users=["ana", "ben"], seen=UploadsSeen(), clock=lambda: next(seconds)
        )


def hand_in(uploads: Uploads, content: bytes, *, is_killed_before_its_row: bool = False, user: str = "ana") -> None:
    """As the site does."""
    with incoming(uploads.settings, user_key=user, most_bytes=len(content)) as upload:
        upload.write(content)
        judged = judge_upload(upload, settings=uploads.settings, name="one.zip", time_zone="UTC")
        placed = place_upload(judged, user_key=user)
        if not is_killed_before_its_row:
            ((user_id,),) = uploads.sql("select user_id from app.users where user_key = %s", user)
            with uploads.warehouse.connect(Role.APP, autocommit=True) as connection:
                take_upload(connection, judged, placed, user_id=user_id)


@pytest.fixture(autouse=True)
def _answering(s3: S3Server) -> Any:
    yield
    s3.check.fails = lambda _: False


def test_what_came_over_the_network_is_read_once_by_whoever_imports_it(
    bucket: Uploads, s3: S3Server, tmp_path: Path
) -> None:
    hand_in(bucket, zipped(tmp_path / "a.zip"))
    (name,) = bucket.names()
    assert bucket.sql("select status, upload_name from app.imports") == [("pending", name)]
    # Nothing of the copies stays, here or there.
    assert [path for path in bucket.settings.uploads_folder.rglob("*") if path.is_file()] == []
    plan = bucket.plan()
    assert ([each.name for each in plan.wanted], reads(s3, name)) == ([name], 0)
    bucket.ask(plan.wanted, "r1")
    (result,) = bucket.run("ana", [name]).results
    assert (result.status, result.accounting.loaded, reads(s3, name)) == ("completed", 20, 1)
    assert bucket.plan().wanted == bucket.plan(plan.seen).wanted == ()
    assert (reads(s3, name), list(bucket.settings.uploads_folder.glob(".fetched/*"))) == (1, [])


def test_a_site_that_is_killed_between_the_object_and_its_row_loses_nothing(bucket: Uploads, tmp_path: Path) -> None:
    hand_in(bucket, zipped(tmp_path / "a.zip"), is_killed_before_its_row=True)
    assert bucket.sql("select count(*) from app.imports") == [(0,)]
    (wanted,) = bucket.plan().wanted
    assert wanted.name == bucket.names()[0]
    assert bucket.sql("select status from app.imports") == [("pending",)]
    assert bucket.run("ana", [wanted.name]).results[0].accounting.loaded == 20


def test_objects_that_people_put_there_are_imported_each_as_an_archive(bucket: Uploads, s3: S3Server) -> None:
    bucket.put("ana/2024/one.zip")
    bucket.put("ana/endsong_0.json", rows=7)
    for name in ("ana/.hidden.zip", "ana/x.tar", "ana/notes.txt.part", "nobody/a.zip", "loose.zip"):
        bucket.put(name, content=b"x" * 30)
    plan = bucket.plan()
    assert [each.name for each in plan.wanted] == ["ana/2024/one.zip", "ana/endsong_0.json"]
    told = "\n".join(plan.remarks)
    assert all(
        part in told for part in ("ana/x.tar is not a ZIP", "nobody/ does not belong", "loose.zip is not in a user")
    )
    assert bucket.plan(plan.seen).seen == plan.seen
    before = len(s3.check.asked)
    bucket.plan(plan.seen)
    assert {method for method, address in s3.check.asked[before:] if "list-type" not in address} == set()
    assert [result.accounting.loaded for result in bucket.run("ana").results] == [20, 0]
    assert bucket.sql("select status, count(*) from app.imports group by 1") == [("completed", 2)]
    # The same name again with another content is another archive.
    bucket.put("ana/2024/one.zip", rows=25)
    assert bucket.wanted() == ["ana/2024/one.zip"]


def test_an_archive_that_is_not_there_fails_by_name_and_waits_again_when_it_is_back(either: Uploads) -> None:
    """A run that found nothing ended well, and its import waited for the next of its four tries."""
    either.put("ana/one.zip")
    either.put("ana/two.zip", rows=9)
    either.ask(either.plan().wanted, "r1")
    either.remove("ana/one.zip")

    imports = either.run("ana", ["ana/one.zip", "ana/two.zip"])

    assert imports.missing == ("ana/one.zip",)
    assert [result.archive_name for result in imports.results] == ["two.zip"]
    rows = "select archive_name, status, tries, error like '%%did not find it%%' from app.imports order by 1 desc"
    assert either.sql(rows) == [("two.zip", "completed", 1, None), ("one.zip", "pending", 1, True)]
    assert either.wanted({"r1": RunState.ENDED}) == []
    # An object is another one when its second is.
    time.sleep(1.1)
    either.put("ana/one.zip")
    either.later(2)
    assert either.wanted({"r1": RunState.ENDED}) == ["ana/one.zip"]
    assert either.run("ana", ["ana/one.zip"]).results[0].status == "completed"


def test_a_worker_that_looks_elsewhere_fails_the_import_by_name_after_four_tries(bucket: Uploads, s3: S3Server) -> None:
    bucket.put("ana/one.zip")
    elsewhere = replace(bucket, settings=bucket.settings.model_copy(update={"uploads": f"s3://{BUCKET}/elsewhere"}))
    for number in range(4):
        bucket.ask(bucket.plan().wanted, f"r{number}")
        assert elsewhere.run("ana", ["ana/one.zip"]).missing == ("ana/one.zip",)
        assert "same MYI_UPLOADS" in bucket.row("error")
        assert bucket.row("status") == ("pending" if number < 3 else "failed")
        bucket.later(90)
    plan = bucket.plan()
    assert (plan.wanted, "has failed and is left alone" in "".join(plan.remarks)) == ((), True)


def test_an_object_that_cannot_be_read_for_a_moment_is_tried_again(bucket: Uploads, s3: S3Server) -> None:
    bucket.put("ana/one.zip")
    bucket.ask(bucket.plan().wanted, "r1")
    # As it is called in its row, and another one by now: its hash is not known.
    bucket.put("ana/one.zip", rows=25)
    s3.check.fails = lambda environ: environ["PATH_INFO"].endswith("/one.zip")
    with pytest.raises(Transient):
        bucket.run("ana", ["ana/one.zip"])
    assert (bucket.row("status"), bucket.row("is_refused")) == ("pending", False)
    s3.check.fails = lambda _: False
    assert bucket.run("ana", ["ana/one.zip"]).results[0].accounting.loaded == 25


def test_a_look_ends_in_time_and_the_next_one_goes_on_without_a_memory(bucket: Uploads, s3: S3Server) -> None:
    names = [f"ana/{number}.zip" for number in range(4)]
    for number, name in enumerate(names):
        bucket.put(name, rows=20 + number)
    # Every question for the time is six seconds later; there are two for each object.
    first = look(bucket, step_s=6)
    assert 0 < len(first.ready) < 4
    assert "ana" not in first.seen_whole
    second = look(bucket, step_s=6)
    assert [each.name for each in second.ready] == names
    assert "ana" in second.seen_whole
    assert [reads(s3, name) for name in names] == [1] * 4
    assert bucket.sql("select status, count(*) from app.imports group by 1") == [("pending", 4)]
    assert [each.name for each in bucket.plan().wanted] == names


def test_an_object_too_large_for_one_look_is_named_and_a_run_reads_it(bucket: Uploads) -> None:
    bucket.put("ana/large.zip", content=os.urandom(9 * 1024 * 1024))
    scan = look(bucket, step_s=15)
    assert scan.ready == ()
    (remark,) = scan.remarks
    assert "ana/large.zip is too large" in remark
    assert scan.seen_whole == frozenset({"ben"})
    assert [failure.name for failure in bucket.run("ana").failures] == ["ana/large.zip"]


def test_what_came_while_the_place_was_looked_at_is_not_said_to_be_gone(bucket: Uploads) -> None:
    bucket.put("ana/one.zip")
    bucket.plan()
    bucket.later(10)
    with closing(bucket.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        now = datetime.now(UTC)
        early = upload_log.fail_missing(connection, user_keys=["ana"], found=[], looked_at=now - timedelta(hours=1))
        assert (early, bucket.row("status")) == (0, "pending")
        assert upload_log.fail_missing(connection, user_keys=["ana"], found=[], looked_at=now) == 1


def test_an_object_that_goes_while_it_is_asked_for_fails_by_name(bucket: Uploads, s3: S3Server) -> None:
    bucket.put("ana/one.zip")
    bucket.ask(bucket.plan().wanted, "r1")

    def vanish(environ: dict[str, Any]) -> bool:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith("/one.zip"):
            s3.check.fails = lambda _: False
            bucket.remove("ana/one.zip")
        return False

    s3.check.fails = vanish
    (failure,) = bucket.run("ana", ["ana/one.zip"]).failures
    assert (failure.name, failure.is_transient) == ("ana/one.zip", False)
    assert "is not in the object store" in failure.error
    assert (bucket.row("status"), bucket.row("is_refused")) == ("failed", True)


def test_while_the_store_is_away_nothing_fails_and_nobody_is_told_that_something_is_gone(
    bucket: Uploads, s3: S3Server
) -> None:
    bucket.put("ana/one.zip")
    bucket.plan()
    bucket.later(60)
    s3.check.fails = lambda _: True
    plan = bucket.plan()
    assert (plan.wanted, len(plan.remarks), "object store" in plan.remarks[0]) == ((), 1, True)
    with pytest.raises(Transient):
        bucket.run("ana", ["ana/one.zip"])
    assert bucket.row("status") == "pending"
    assert has_file(bucket.settings, user_key="ana", sha256="0" * 64, upload_name="ana/one.zip") is False
    # One that breaks in the middle of reading is tried again.
    s3.check.fails = lambda environ: environ["PATH_INFO"].endswith("/one.zip")
    (failure,) = bucket.run("ana", ["ana/one.zip"]).failures
    assert (failure.is_transient, bucket.row("status")) == (True, "pending")
    s3.check.fails = lambda _: False
    bucket.later(5)
    assert bucket.wanted() == ["ana/one.zip"]


def test_a_key_that_is_wrong_is_said_without_it(bucket: Uploads, s3: S3Server) -> None:
    wrong = s3.options_of("key", "not the secret")
    settings = bucket.settings.model_copy(update={"uploads_options": SecretStr(wrong)})
    (check,) = [each for each in run_checks(settings) if each.name == "uploads"]
    assert check.status is Status.FAIL
    assert check.found == "the object store refuses the credentials of MYI_UPLOADS_OPTIONS"
    with pytest.raises(Permanent, match="refuses the credentials"):
        replace(bucket, settings=settings).run("ana")
    (check,) = [each for each in run_checks(bucket.settings) if each.name == "uploads"]
    assert (check.status, check.found) == (Status.OK, f"s3://{BUCKET}/{PREFIX} can be written to")


def test_a_worker_that_is_killed_while_it_fetches_leaves_nothing_for_ever(bucket: Uploads, s3: S3Server) -> None:
    bucket.put("ana/one.zip")
    bucket.ask(bucket.plan().wanted, "r1")
    asked, go_on = threading.Event(), threading.Event()

    def slowly(environ: dict[str, Any]) -> bool:
        if environ["REQUEST_METHOD"] == "GET" and environ["PATH_INFO"].endswith("/one.zip"):
            asked.set()
            go_on.wait(LIMIT_S)
        return False

    s3.check.fails = slowly
    program = (
        "from myi_pipeline.settings import load_settings\n"
        "from myi_pipeline.archives.uploads.bucket import fetched\n"
        "from myi_pipeline.storage.open_store import open_uploads\n"
        "settings = load_settings()\n"
        "with fetched(open_uploads(settings), settings, 'ana/one.zip', size=1): pass\n"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    child = subprocess.Popen([sys.executable, "-c", program], env=inherited | bucket.settings.environment())
    folder = bucket.settings.uploads_folder / ".fetched"
    try:
        assert asked.wait(LIMIT_S)
        (left,) = folder.iterdir()
        # In use: whoever comes meanwhile leaves it alone.
        bucket.put("ana/two.zip")
        with fetched(opened(bucket), bucket.settings, "ana/two.zip", size=1):
            forget_left_copies(bucket.settings)
            assert list(left.iterdir())
    finally:
        child.kill()
        child.wait()
        go_on.set()
    assert list(left.iterdir())
    forget_left_copies(bucket.settings)
    assert list(folder.iterdir()) == []
    s3.check.fails = lambda _: False
    assert bucket.run("ana", ["ana/one.zip"]).results[0].status == "completed"
    assert list(folder.iterdir()) == []


def test_an_erased_user_leaves_no_upload(either: Uploads, s3: S3Server) -> None:
    either.put("ana/one.zip")
    either.put("ana/deep/two.zip", rows=9)
    either.put("ben/kept.zip", rows=5)
    either.run("ana")
    with closing(either.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        ((user_id,),) = either.sql("select user_id from app.users where user_key = 'ana'")
        assert count_all(connection, either.settings, user_id=user_id, user_key="ana")["files"] == 2
    erase_user(either.warehouse, either.settings, user_id=user_id, now=datetime.now(UTC))
    # Of a worker that was killed in the middle of the import.
    copy = either.settings.uploads_folder / ".fetched/0123456789abcdef/one.zip"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"a copy")
    if either.s3 is not None:
        # Its own deletion waits for a store that is away, and then it is done.
        either.put("ana/.incoming-0123456789abcdef", content=b"half")
        s3.check.fails = lambda _: True
        (left,) = finish_removals(either.warehouse, either.settings)
        assert "files that were uploaded or exported" in left.what_is_left
        s3.check.fails = lambda _: False
    finish_removals(either.warehouse, either.settings)
    assert either.names() == ["ben/kept.zip"]
    assert not copy.parent.exists()


def test_what_a_killed_site_left_on_its_disk_goes_with_its_next_start(uploads: Uploads) -> None:
    for age_s, name in ((90_000, ".incoming-old"), (10, ".incoming-new")):
        folder = uploads.settings.uploads_folder / "ana" / name
        folder.mkdir(parents=True)
        (folder / "part").write_bytes(b"half")
        os.utime(folder, (time.time() - age_s, time.time() - age_s))
    forget_left_copies(uploads.settings)
    assert uploads.names() == ["ana/.incoming-new/part"]


def test_a_forgotten_upload_goes_with_every_copy_and_nothing_else(bucket: Uploads, tmp_path: Path) -> None:
    content = zipped(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.comment = b"packed again"
    bucket.put("ana/one.zip", content=content)
    sha256 = bucket.run("ana").results[0].sha256
    bucket.put("ana/named otherwise.zip", content=content)
    bucket.put("ana/packed-again.zip", content=(tmp_path / "a.zip").read_bytes())
    bucket.put("ana/Streaming_History_Audio_2024_0.json", content=decoys.good_json(20))
    bucket.put("ana/.incoming-0123456789abcdef", content=content)
    for kept in ("ana/other.zip", "ben/same.zip"):
        bucket.put(kept, rows=7)
    assert has_file(bucket.settings, user_key="ana", sha256=sha256, upload_name="ana/one.zip")
    members = [(len(decoys.good_json(20)), zlib.crc32(decoys.good_json(20)))]
    assert forget_upload(bucket.settings, user_key="ana", sha256=sha256, members=members) == 5
    assert bucket.names() == ["ana/other.zip", "ben/same.zip"]
    assert not has_file(bucket.settings, user_key="ana", sha256=sha256, upload_name="ana/one.zip")


def test_what_killed_processes_left_goes_after_a_day_and_nothing_else(bucket: Uploads, s3: S3Server) -> None:
    place = opened(bucket)
    bucket.put("ana/.incoming-0123456789abcdef", content=b"half")
    # Archives from before their user was added, and files of other programs: dates are hexadecimal digits as well.
    kept = [
        "alice/my_spotify_data-20240115.zip",
        "ana/one.zip",
        "backups/nightly-20240101.zip",
        "later/one-01234567.zip",
    ]
    for name in kept:
        bucket.put(name)
    assert remove_unfinished_uploads(bucket.settings) == 0
    assert len(bucket.names()) == 5
    # A part is with the store, and nobody will ever finish it. (moto says of each that it began in 2010.)
    s3.client.create_multipart_upload(Bucket=BUCKET, Key=f"{PREFIX}/ana/.incoming-fedcba9876543210")
    others = ["of others/large", f"{PREFIX}/backups/large.zip"]
    for key in others:
        s3.client.create_multipart_upload(Bucket=BUCKET, Key=key)
    assert place.forget_unfinished(older_than=timedelta(0)) == 2
    assert bucket.names() == kept
    assert sorted(s3.unfinished(BUCKET)) == sorted(others)

    # Of a whole bucket, too.
    at_the_root = bucket.settings.model_copy(update={"uploads": f"s3://{BUCKET}"})
    root = open_uploads(at_the_root)
    assert root is not None
    assert root.forget_unfinished(older_than=timedelta(0)) == 0
    assert sorted(s3.unfinished(BUCKET)) == sorted(others)


def test_doctor_says_when_broken_uploads_cannot_be_ended(bucket: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "boto3" else found(name, *rest))
    (check,) = [each for each in run_checks(bucket.settings) if each.name == "uploads"]
    assert (check.status, "boto3" in check.found) == (Status.WARN, True)


def test_an_upload_that_is_given_up_or_refused_leaves_nothing(bucket: Uploads, s3: S3Server) -> None:
    with incoming(bucket.settings, user_key="ana", most_bytes=0) as upload:
        for _ in range(20):
            upload.write(os.urandom(1024 * 1024))
        # Its first parts are with the store by now.
        assert s3.unfinished(BUCKET)
    assert (s3.unfinished(BUCKET), bucket.names()) == ([], [])


def test_an_upload_that_nobody_gives_up_stays_as_parts_broken(
    bucket: Uploads, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("myi_pipeline.storage.object_store.ObjectWriter.give_up", lambda _: None)
    with pytest.raises(AssertionError):
        test_an_upload_that_is_given_up_or_refused_leaves_nothing(bucket, s3)
