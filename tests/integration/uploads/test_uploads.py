"""From the uploads folder into raw: each content once, again when its ground has changed, and never in silence."""

from __future__ import annotations

import os
import time
import zipfile
from dataclasses import replace

import psycopg
import pytest

from myi_pipeline.archives.uploads.plan import RunState
from myi_pipeline.archives.uploads.scan import UploadsSeen
from myi_pipeline.archives.uploads.upload_log import WAITS_S, retry_import
from myi_pipeline.errors import BadInput
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.postgres.connections import Role
from tests.integration.uploads.conftest import Uploads

NO_ARCHIVE = b"PK\x05\x06" + bytes(18)


def retry(uploads: Uploads, *, yes: bool = False) -> None:
    with uploads.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        retry_import(connection, import_id=uploads.row("import_id"), is_confirmed=yes)


def test_an_archive_has_a_row_from_the_moment_it_is_seen_and_is_imported_once(uploads: Uploads) -> None:
    uploads.put("ana/one.zip", rows=5)
    uploads.put("ben/export/endsong_0.json", rows=6)

    first = uploads.plan()
    assert [(each.user_key, each.name) for each in first.wanted] == [("ana", "ana/one.zip"), ("ben", "ben/export")]
    assert uploads.sql("select archive_name, status, attempt from app.imports order by 1") == [
        ("export", "pending", 0), ("one.zip", "pending", 0),
    ]  # fmt: skip

    # Asked for, not imported yet: what the sensor remembers of it makes no difference.
    uploads.ask(first.wanted, "r1")
    running = {"r1": RunState.UNFINISHED}
    assert uploads.plan(first.seen, running).wanted == uploads.plan(runs=running).wanted == ()

    for wanted in first.wanted:
        assert uploads.run(wanted.user_key, [wanted.name]).results[0].status == "completed"

    # In: nothing asks again, nor for the same content under another name.
    again = uploads.put("ana/again.zip", content=(uploads.settings.uploads_folder / "ana/one.zip").read_bytes())
    assert uploads.plan(runs={"r1": RunState.ENDED}).wanted == ()
    assert uploads.sql("select attempt, kind from app.imports") == [(1, "extended_history")] * 2
    assert again.exists()


def test_a_run_that_died_before_it_wrote_a_row_is_asked_for_again_and_says_so(either: Uploads) -> None:
    either.put("ana/one.zip")
    for number in range(len(WAITS_S) + 1):
        (wanted,) = either.plan().wanted
        either.ask([wanted], f"r{number}")
        assert either.wanted({f"r{number}": RunState.ENDED}) == []
        assert "ended before it began" in either.row("error")
        if number < len(WAITS_S):
            assert either.row("status") == "pending"
            assert either.wanted() == []
            either.later(61)

    # So many times, and then it is said wherever a person looks.
    assert (either.row("status"), either.row("tries")) == ("failed", len(WAITS_S) + 1)
    (remark,) = either.plan().remarks
    assert remark.startswith("ana/one.zip has failed and is left alone: the run that should have imported it ended")
    found = {check.name: check for check in run_checks(either.settings)}["imports"]
    assert found.status is Status.WARN
    assert "one.zip: the run that should have imported it" in found.found

    # A person wants it after all.
    retry(either)
    assert either.wanted() == ["ana/one.zip"]
    assert either.run("ana").results[0].status == "completed"
    with pytest.raises(BadInput, match="is completed; there is nothing to retry"):
        retry(either)


def test_a_request_that_nobody_heard_is_repeated_under_its_own_key(either: Uploads) -> None:
    either.put("ana/one.zip")
    either.ask(either.plan().wanted, "r1")
    # Dagster may not have started it yet.
    assert either.plan().wanted == ()

    either.later(3)
    (wanted,) = either.plan().wanted
    assert wanted.request_id == "r1"
    either.ask([wanted], "r1")
    assert either.row("tries") == 1


def test_a_user_made_anew_with_the_same_key_gets_the_same_archive_imported_again(either: Uploads) -> None:
    either.put("ana/one.zip")
    seen = either.plan().seen
    either.run("ana")
    assert either.plan(seen).wanted == ()

    either.sql("delete from app.users where user_key = 'ana'")
    either.sql("delete from ops.removals")
    either.sql("insert into app.users (user_key, time_zone) values ('ana', 'UTC')")

    assert [each.name for each in either.plan(seen).wanted] == ["ana/one.zip"]
    assert either.run("ana").results[0].accounting.loaded == 20


def test_a_restored_database_imports_what_it_does_not_know(either: Uploads) -> None:
    either.put("ana/one.zip")
    plan = either.plan()
    either.ask(plan.wanted, "r1")
    either.run("ana")
    # The backup is from before: of a moment when a run was under way, and of one when nothing was there.
    either.sql("delete from raw.listening_events")
    either.sql("update app.imports set status = 'running', attempt = 1, heartbeat_at = now() - interval '1 day'")
    assert either.plan(plan.seen, {"r1": RunState.ENDED}).wanted == ()
    either.later(2)
    assert [each.request_id for each in either.plan(plan.seen, {"r1": RunState.ENDED}).wanted] == [None]

    either.sql("delete from app.imports")
    assert [each.request_id for each in either.plan(plan.seen, {"r1": RunState.ENDED}).wanted] == [None]


def test_an_import_that_is_running_is_left_alone_until_its_heart_stops(either: Uploads) -> None:
    either.put("ana/one.zip")
    either.run("ana")
    either.sql("update app.imports set status = 'running', heartbeat_at = now()")
    assert either.wanted() == []

    either.later(11)
    assert either.wanted() == []
    assert (either.row("status"), either.row("error")) == ("pending", "its process ended without reporting a result")
    either.later(2)
    assert either.wanted() == ["ana/one.zip"]


def test_what_is_no_archive_is_refused_once_with_its_reason_and_again_when_it_is_put_there_again(
    uploads: Uploads,
) -> None:
    uploads.put("ana/good.zip")
    bad = uploads.put("ana/bad.zip", content=NO_ARCHIVE)
    loose = uploads.put("ben/notes.json", content=b'[{"a": 1}]')

    imports = uploads.run("ana")
    assert [result.archive_name for result in imports.results] == ["good.zip"]
    assert [(failure.name, failure.is_transient) for failure in imports.failures] == [("ana/bad.zip", False)]
    assert len(uploads.run("ben").failures) == 1
    rows = "select archive_name, status, kind, is_refused, error is not null from app.imports where kind = 'unknown'"
    assert sorted(uploads.sql(rows)) == [
        ("bad.zip", "failed", "unknown", True, True), ("ben", "failed", "unknown", True, True),
    ]  # fmt: skip
    for _ in range(2):
        plan = uploads.plan()
        assert plan.wanted == ()
        assert sum("has failed and is left alone" in remark for remark in plan.remarks) == 2

    # The same bytes, put there again.
    bad.unlink()
    uploads.put("ana/bad.zip", content=NO_ARCHIVE)
    assert uploads.wanted() == ["ana/bad.zip"]
    # And a good file in the bad one's place is an archive of its own; the bad one is gone, and nobody waits for it.
    loose.unlink()
    uploads.put("ben/StreamingHistory_music_0.json", rows=7)
    assert "ben" in uploads.wanted()
    assert uploads.run("ben").results[0].status == "completed"


def test_an_archive_that_vanishes_is_said_to_be_gone_and_waits_again_when_it_is_back(uploads: Uploads) -> None:
    path = uploads.put("ana/export/endsong_0.json")
    plan = uploads.plan()
    uploads.ask(plan.wanted, "r1")
    path.unlink()
    os.mkfifo(path)
    assert uploads.run("ana", ["ana/export"]).results == ()
    assert (uploads.row("status"), "did not find it" in uploads.row("error")) == ("pending", True)
    path.unlink()

    # It is gone: a row that waits for nothing says so, and waits again when it is back.
    assert uploads.wanted({"r1": RunState.ENDED}) == []
    uploads.later(5)
    assert uploads.wanted() == []
    assert (uploads.row("status"), "no longer in the uploads folder" in uploads.row("error")) == ("failed", True)
    uploads.put("ana/export/endsong_0.json")
    assert uploads.wanted() == ["ana/export"]
    assert uploads.run("ana", ["ana/export"]).results[0].status == "completed"
    assert uploads.wanted() == []


def test_loose_files_that_arrive_one_by_one_leave_no_failed_import_behind(uploads: Uploads) -> None:
    for number in range(3):
        uploads.put(f"ana/endsong_{number}.json", rows=20 + number)
        plan = uploads.plan(runs={f"r{number - 1}": RunState.UNFINISHED})
        assert [each.name for each in plan.wanted] == ["ana"]
        uploads.ask(plan.wanted, f"r{number}")
    assert uploads.run("ana", ["ana"]).results[0].status == "completed"
    uploads.later(10)
    assert uploads.wanted() == []
    assert uploads.sql("select status from app.imports") == [("completed",)]


def test_nothing_is_given_up_because_the_uploads_folder_is_not_mounted(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.plan()
    uploads.later(60)
    folder = uploads.settings.uploads_folder
    folder.rename(folder.with_name("elsewhere"))
    assert uploads.wanted() == []
    assert uploads.row("status") == "pending"
    folder.with_name("elsewhere").rename(folder)
    assert uploads.wanted() == ["ana/one.zip"]


def test_a_run_that_looks_while_the_folder_is_not_mounted_gives_nothing_up(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.ask(uploads.plan().wanted, "r1")
    folder = uploads.settings.uploads_folder
    folder.rename(folder.with_name("elsewhere"))
    assert uploads.run("ana", ["ana/one.zip"]).missing == ("ana/one.zip",)
    # It comes back as the same file.
    folder.with_name("elsewhere").rename(folder)
    assert uploads.wanted({"r1": RunState.ENDED}) == []
    uploads.later(2)
    assert uploads.wanted({"r1": RunState.ENDED}) == ["ana/one.zip"]

    # An empty folder in its place looks as if all were gone; that is another failed try.
    uploads.ask(uploads.plan().wanted, "r2")
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()
    uploads.run("ana", ["ana/one.zip"])
    folder.rmdir()
    folder.with_name("elsewhere").rename(folder)
    uploads.later(20)
    assert uploads.wanted({"r2": RunState.ENDED}) == ["ana/one.zip"]
    assert uploads.run("ana", ["ana/one.zip"]).results[0].status == "completed"


def test_a_run_that_looks_while_the_archive_is_written_again_gives_nothing_up(uploads: Uploads) -> None:
    path = uploads.put("ana/one.zip")
    uploads.ask(uploads.plan().wanted, "r1")
    content = path.read_bytes()
    path.write_bytes(content[:100])
    assert uploads.run("ana", ["ana/one.zip"]).missing == ("ana/one.zip",)
    assert uploads.sql("select status from app.imports where attempt = 0 and seen_as <> 'stuck'") == [("pending",)]
    uploads.age(path).write_bytes(content)
    uploads.age(path)
    uploads.wanted({"r1": RunState.ENDED})
    uploads.later(2)
    assert uploads.wanted({"r1": RunState.ENDED}) == ["ana/one.zip"]


def test_on_a_full_disk_archives_wait_and_that_is_no_failed_try(either: Uploads) -> None:
    either.put("ana/one.zip")
    either.ask(either.plan().wanted, "r1")
    full = replace(either, settings=either.settings.model_copy(update={"disk_floor_mb": 10**9}))

    (failure,) = full.run("ana").failures
    assert failure.is_transient
    assert "MYI_DISK_FLOOR_MB" in failure.error
    assert (either.row("status"), either.row("tries"), either.row("attempt")) == ("pending", 0, 0)
    assert "MYI_DISK_FLOOR_MB" in either.row("error")
    either.later(2)
    plan = full.plan()
    assert plan.wanted == ()
    assert "MYI_DISK_FLOOR_MB" in plan.remarks[0]

    # There is room again.
    assert either.wanted() == ["ana/one.zip"]
    assert either.run("ana").results[0].status == "completed"


def test_importing_everything_again_names_what_lies_there_no_more(either: Uploads) -> None:
    either.put("ana/gone.zip", rows=5)
    kept = either.put("ana/kept.zip", rows=9)
    either.put("ben/ben.zip")
    assert len(either.run("ana").results) == 2
    either.remove("ana/gone.zip")

    imports = either.run("ana")

    assert [(result.archive_name, result.attempt) for result in imports.results] == [(kept.name, 2)]
    assert imports.results[0].accounting.loaded == 0
    assert [name.partition(" (")[0] for name in imports.gone] == ["gone.zip"]
    # Another user's archive is nobody else's business.
    assert either.sql("select count(*) from app.imports i join app.users u using (user_id) where user_key = 'ben'") == [
        (0,)
    ]


def test_an_archive_that_another_user_has_waits_for_a_word_and_names_nobody(uploads: Uploads) -> None:
    original = uploads.put("ana/my_spotify_data.zip")
    uploads.run("ana")
    member = uploads.put("ben/one-of-its-files/Streaming_History_Audio_2024_0.json")
    packed = uploads.put("ben/packed-again.zip", content=original.read_bytes() + b"")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.comment = b"packed again"
    uploads.age(packed)

    for name in ("ben/one-of-its-files", "ben/packed-again.zip"):
        imports = uploads.run("ben", [name])
        assert (imports.results, imports.failures, imports.waiting) == ((), (), (name,))
    rows = uploads.sql("select status, confirmation, error from app.imports where user_id = 2 order by import_id")
    assert [row[:2] for row in rows] == [("pending", "needed")] * 2
    assert all("another user here has this archive" in row[2] and "ana" not in row[2] for row in rows)
    assert uploads.sql("select count(*) from raw.listening_events where user_id = 2") == [(0,)]
    plan = uploads.plan()
    assert plan.wanted == ()
    assert not any("ana" in remark for remark in plan.remarks)

    # A file beside it confirms one of the two, once.
    confirming = member.parent.with_name("one-of-its-files.confirm")
    confirming.touch()
    assert uploads.wanted() == ["ben/one-of-its-files"]
    assert not confirming.exists()
    assert uploads.run("ben", ["ben/one-of-its-files"]).results[0].accounting.loaded == 20
    assert uploads.sql("select count(*) from app.imports where confirmation = 'needed'") == [(1,)]
    # Whose it was is not asked, and its owner is asked nothing.
    assert uploads.run("ana").results[0].attempt == 2


def test_an_archive_that_was_imported_by_an_older_version_is_known_by_its_files_too(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.run("ana")
    uploads.sql("delete from app.import_members")
    uploads.put("ben/one-of-its-files/Streaming_History_Audio_2024_0.json")
    assert uploads.wanted() == ["ben/one-of-its-files"]
    assert uploads.run("ben").waiting == ("ben/one-of-its-files",)


def test_an_archive_that_is_cut_off_is_listed_with_its_reason_until_it_is_whole(uploads: Uploads) -> None:
    path = uploads.put("ana/one.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    os.utime(path, (1_700_000_000, 1_700_000_000))
    for _ in range(2):
        assert uploads.wanted() == []
        assert uploads.sql("select archive_name, status from app.imports") == [("one.zip", "failed")]
    assert "one.zip is incomplete" in uploads.row("error")
    with pytest.raises(BadInput, match="there is nothing to retry"):
        retry(uploads)

    uploads.put("ana/one.zip", content=whole)
    assert uploads.wanted() == ["ana/one.zip"]
    assert uploads.sql("select status, kind from app.imports") == [("pending", "unknown")]


def _broken(whole: bytes) -> dict[str, bytes]:
    """What a person may find in the uploads folder instead of a ZIP."""
    half = len(whole) // 2
    return {
        "empty": b"",
        "no-zip": b"<html>Please sign in to download your data</html>" * 20,
        "half": whole[:half],
        "without-its-last-byte": whole[:-1],
        "with-something-behind-it": whole + b"\r\n",
        "without-its-beginning": whole[half:],
        "with-a-hole": whole[: half - 40] + bytes(80) + whole[half + 40 :],
        "only-an-end": NO_ARCHIVE,
    }


def test_a_broken_zip_has_a_row_when_it_is_seen_and_soon_says_what_is_wrong_with_it(uploads: Uploads) -> None:
    """One that was cut off had no row for ten minutes."""
    path = uploads.put("ben/whole.zip")
    broken = _broken(path.read_bytes())
    path.unlink()
    for name, content in broken.items():
        # Put there this moment.
        os.utime(uploads.put(f"ana/{name}.zip", content=content))
    seen = uploads.plan().seen
    states = "select archive_name, status, error from app.imports order by 1"
    assert [row[:2] for row in uploads.sql(states)] == [(f"{name}.zip", "pending") for name in sorted(broken)]
    assert all(f"ana/{name} is still being written" in error for name, _, error in uploads.sql(states))

    # It does not grow: what may be whole is tried, the rest waits a little for its rest, and then fails.
    for minutes in (1, 3):
        for name in broken:
            moment = time.time() - 60 * minutes
            os.utime(uploads.settings.uploads_folder / f"ana/{name}.zip", (moment, moment))
        plan = uploads.plan(seen)
        assert len(uploads.sql(states)) == len(broken)
        for wanted in plan.wanted:
            uploads.run("ana", [wanted.name])
    told = {name.removesuffix(".zip"): (status, error) for name, status, error in uploads.sql(states)}
    # What can be read of it was.
    assert told.pop("with-a-hole")[0] == "completed_with_errors"
    assert {status for status, _ in told.values()} == {"failed"}
    assert all(name in error for name, (_, error) in told.items())
    assert "This is empty" in told.pop("only-an-end")[1]
    assert "the ZIP is damaged" in told.pop("without-its-beginning")[1]
    assert {error.partition(".zip ")[2] for _, error in told.values()} == {
        "is incomplete (a ZIP file must end with its directory). It has not grown for 2 min: upload it again."
    }

    # It goes on after all.
    uploads.put("ana/half.zip", rows=30)
    assert uploads.wanted() == ["ana/half.zip"]
    assert uploads.run("ana", ["ana/half.zip"]).results[0].accounting.loaded > 0
    assert uploads.sql("select status from app.imports where archive_name = 'half.zip'") == [("completed",)]


def test_what_another_user_tried_in_vain_is_not_theirs(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.run("ana")
    uploads.sql("delete from raw.listening_events")
    uploads.sql("update app.import_files set rows_loaded = 0, rows_quarantined = rows_read, status = 'running'")
    uploads.sql("update app.imports set status = 'failed', error = 'e'")
    uploads.put("ben/one.zip")
    assert uploads.run("ben").results[0].accounting.loaded == 20


def test_an_older_program_goes_on_with_the_new_columns(uploads: Uploads) -> None:
    """What revision 0006's statements do is still allowed: rows without any of the new columns."""
    with uploads.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        connection.execute(
            "insert into app.imports (user_id, sha256, archive_name, kind, status, attempt, started_at, heartbeat_at)"
            " values (1, sha256('a'), 'old.zip', 'mixed', 'running', 1, now(), now())"
        )
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("update app.imports set kind = 'something else'")
    assert uploads.plan(UploadsSeen()).wanted == ()
