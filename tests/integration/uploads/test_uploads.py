"""From the uploads folder into raw: each content once, a failure a few times, and never another's."""

from __future__ import annotations

from myi_pipeline.services.plan_uploads import MOST_ATTEMPTS
from tests.integration.uploads.conftest import Uploads


def test_a_content_is_asked_for_once_and_never_again_once_it_is_in(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.put("ben/export/endsong_0.json")

    first = uploads.plan()
    assert [(each.user_key, each.name) for each in first.wanted] == [("ana", "ana/one.zip"), ("ben", "ben/export")]

    # Asked for, not imported yet.
    seen = first.with_asked(first.wanted)
    assert uploads.plan(seen).wanted == ()

    for wanted in first.wanted:
        assert uploads.run(wanted.user_key, [wanted.name]).results[0].status == "completed"

    # In: not even a lost memory asks again, nor does the same content under another name.
    uploads.put("ana/again.zip").write_bytes((uploads.settings.uploads_folder / "ana/one.zip").read_bytes())
    uploads.age(uploads.settings.uploads_folder / "ana/again.zip")
    assert uploads.plan().wanted == ()
    assert uploads.sql("select sum(attempt) from app.imports") == [(2,)]


def test_a_failed_import_is_asked_for_a_few_times_and_then_left_to_a_person(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    (wanted,) = uploads.plan().wanted
    uploads.run("ana")
    uploads.sql("update app.imports set status = 'failed', error = 'the disk was full', finished_at = now()")

    (again,) = uploads.plan(uploads.plan().with_asked([wanted])).wanted
    assert again.key != wanted.key

    uploads.sql("update app.imports set attempt = %s", MOST_ATTEMPTS)
    plan = uploads.plan()
    assert plan.wanted == ()
    assert plan.remarks == ("ana/one.zip has failed 3 times and is left alone: the disk was full",)


def test_an_import_that_is_running_is_left_alone_until_its_heart_stops(uploads: Uploads) -> None:
    uploads.put("ana/one.zip")
    uploads.run("ana")
    uploads.sql("update app.imports set status = 'running', heartbeat_at = now()")
    assert uploads.plan().wanted == ()

    uploads.sql("update app.imports set heartbeat_at = now() - interval '11 minutes'")
    assert len(uploads.plan().wanted) == 1


def test_one_bad_archive_stops_neither_the_others_nor_goes_unsaid(uploads: Uploads) -> None:
    uploads.put("ana/good.zip")
    bad = uploads.put("ana/bad.zip")
    bad.write_bytes(b"PK\x05\x06" + bytes(18))
    uploads.age(bad)

    imports = uploads.run("ana")

    assert [result.archive_name for result in imports.results] == ["good.zip"]
    (failure,) = imports.failures
    assert (failure.name, failure.is_transient) == ("ana/bad.zip", False)
    # Refused before it got a row: asked for once all the same.
    plan = uploads.plan()
    assert [each.name for each in plan.wanted] == ["ana/bad.zip"]
    assert uploads.plan(plan.with_asked(plan.wanted)).wanted == ()


def test_importing_everything_again_names_what_lies_there_no_more(uploads: Uploads) -> None:
    gone, kept = uploads.put("ana/gone.zip", rows=5), uploads.put("ana/kept.zip", rows=9)
    uploads.put("ben/ben.zip")
    assert len(uploads.run("ana").results) == 2
    gone.unlink()

    imports = uploads.run("ana")

    assert [(result.archive_name, result.attempt) for result in imports.results] == [(kept.name, 2)]
    assert imports.results[0].accounting.loaded == 0
    assert [name.partition(" (")[0] for name in imports.gone] == ["gone.zip"]
    # Another user's archive is nobody else's business.
    assert uploads.sql(
        "select count(*) from app.imports i join app.users u using (user_id) where user_key = 'ben'"
    ) == [(0,)]
