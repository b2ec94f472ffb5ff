"""Erasing a user: the wish and its grace, what stands in the way, backups that bring somebody back, and kills."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from myi_pipeline.archives.import_log import archive_lock
from myi_pipeline.errors import Permanent
from myi_pipeline.operations.backup.packing import put_secrets
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.erase_users import carry_out_due, count_all, erase_user, reapply_tombstones, receipt_of
from myi_pipeline.operations.remove_users import finish_removals
from myi_pipeline.people import erasures
from myi_pipeline.people.corrections import Described, Wish, add_correction, undo_correction
from myi_pipeline.people.erasures import ImportIsRunning, Receipt
from myi_pipeline.people.manage_users import add_user, find_user_id
from myi_pipeline.people.tombstones import fetch_record, read_tombstones, share_tombstones, tombstones_file
from myi_pipeline.postgres.connections import Role
from tests.hostile import decoys
from tests.integration.uploads.conftest import Uploads
from tests.s3_server import S3Server
from tests.searching import places_with

NOW = datetime.now(UTC)
KEY, ARTIST, TRACK, ARCHIVE = "quetzalcoatl", "Xochipilli", "Song of Mictlan", "data_of_tlaloc.zip"
NEEDLES = (KEY, ARTIST, TRACK, ARCHIVE)
BEFORE = "select (select count(*) from raw.listening_events), (select count(*) from app.audit)"
USER = "select user_id, user_key, display_name, time_zone, created_at from app.users where user_key = 'ana'"
DAYS = "select distinct (played_at at time zone 'UTC')::date from raw.listening_events where user_id = %s"
EVENTS = "select count(*), count(distinct content_id) from raw.listening_events where user_id = %s"


@dataclass(frozen=True)
class Erasing(Uploads):
    def user_id(self, key: str = "ana") -> int:
        with closing(self.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            return find_user_id(connection, user_key=key)

    def wish(self, *, days: int = 0, key: str = "ana") -> str:
        with closing(self.warehouse.connect(Role.APP, autocommit=True)) as connection:
            wish = erasures.request_erasure(
                connection, user_id=self.user_id(key), now=NOW, grace=timedelta(days=days), address="192.0.2.1"
            )
        return wish.receipt_id

    def erase(self, key: str = "ana") -> str:
        return erase_user(self.warehouse, self.settings, user_id=self.user_id(key), now=NOW)

    def carry_out(self, *, days: int = 0) -> tuple[str, ...]:
        return carry_out_due(self.warehouse, self.settings, now=NOW + timedelta(days=days))

    def receipt(self, receipt_id: str) -> Receipt:
        found = receipt_of(self.warehouse, receipt_id)
        assert found is not None
        return found

    def users(self) -> list[str]:
        return [key for (key,) in self.sql("select user_key from app.users order by user_key")]


@pytest.fixture
def erasing(uploads: Uploads) -> Erasing:
    return Erasing(uploads.warehouse, uploads.settings)


def test_doctor_fails_where_a_restore_would_bring_back_whom_another_home_erased(
    erasing: Erasing, tmp_path: Path
) -> None:
    erasing.erase()

    def said() -> Status:
        (check,) = [each for each in run_checks(erasing.settings, {}) if each.name == "tombstones"]
        return check.status

    assert said() is Status.OK
    tombstones_file(erasing.settings).rename(tmp_path / "in another home")
    assert said() is Status.FAIL


def host(erasing: Erasing, home: Path, s3: S3Server) -> Erasing:
    """The same installation on a host with a home of its own, as a pod has it."""
    given = {"home": home, "artifacts": "s3://kept/exports", "artifacts_options": SecretStr(s3.options)}
    return replace(erasing, settings=erasing.settings.model_copy(update=given))


def bring_back(erasing: Erasing, user: tuple[object, ...]) -> None:
    """As a restore of an older backup: the row is as it was, and the database knows nothing of an erasure."""
    erasing.sql("delete from ops.erasures")
    erasing.sql("delete from ops.removals")
    erasing.sql(
        "insert into app.users (user_id, user_key, display_name, time_zone, created_at) overriding system value"
        " values (%s, %s, %s, %s, %s)", *user,
    )  # fmt: skip


def test_a_restore_on_another_host_knows_whom_a_host_erased_that_is_gone(
    erasing: Erasing, s3: S3Server, tmp_path: Path
) -> None:
    """The record was in the home of the pod that erased, and went with it."""
    s3.make_bucket("kept")
    one, two, third = (host(erasing, tmp_path / name, s3) for name in ("one", "two", "third"))
    users = erasing.sql("select user_id, user_key, display_name, time_zone, created_at from app.users order by 2")
    receipts = {one.erase("ana"), two.erase("ben")}
    shutil.rmtree(one.settings.home)
    shutil.rmtree(two.settings.home)
    # Two tombstones, and the keys of the two homes; none has a name.
    assert [key.split("/")[1:3] for key in s3.keys("kept")] == [["erased", "keys"]] * 2 + [["erased", "tombstones"]] * 2
    stored = [s3.client.get_object(Bucket="kept", Key=key)["Body"].read() for key in s3.keys("kept")]
    assert not [text for text in stored if b"ana" in text or b"ben" in text]
    (check,) = [each for each in run_checks(third.settings, {}) if each.name == "tombstones"]
    assert check.status is Status.OK

    for user in users:
        bring_back(erasing, user)
    # A daily look does not read the bucket: it may be that of the installation of which this is a copy.
    assert reapply_tombstones(third.warehouse, third.settings) == 0
    put_secrets(third.settings.secrets_folder, fetch_record(third.settings, backups=str(tmp_path / "backups")))
    assert reapply_tombstones(third.warehouse, third.settings) == 2
    assert third.users() == []
    assert set(read_tombstones(third.settings).values()) == receipts


def test_what_a_home_alone_records_is_brought_into_the_object_store(
    erasing: Erasing, s3: S3Server, tmp_path: Path
) -> None:
    s3.make_bucket("kept")
    (user,) = erasing.sql(USER)
    erasing.erase()
    control = host(erasing, erasing.settings.home, s3)
    assert share_tombstones(control.settings) == 1
    assert share_tombstones(control.settings) == 0
    bring_back(erasing, user)
    other = host(erasing, tmp_path / "other", s3)
    # The place of the backups is looked at as well as that of the exports.
    elsewhere = other.settings.model_copy(update={"artifacts": None, "backup_options": SecretStr(s3.options)})
    assert fetch_record(elsewhere, backups=str(tmp_path)) == {}
    put_secrets(elsewhere.secrets_folder, fetch_record(elsewhere, backups="s3://kept/exports"))
    assert reapply_tombstones(other.warehouse, elsewhere) == 1


def test_nothing_is_deleted_while_the_record_cannot_be_written(erasing: Erasing, s3: S3Server, tmp_path: Path) -> None:
    s3.make_bucket("another")
    with pytest.raises(Permanent, match="the bucket of MYI_ARTIFACTS does not exist"):
        host(erasing, tmp_path / "one", s3).erase()
    assert erasing.users() == ["ana", "ben"]
    s3.make_bucket("kept")
    assert host(erasing, tmp_path / "two", s3).carry_out() != ()
    assert erasing.users() == ["ben"]


def test_a_wish_can_be_withdrawn_until_it_is_due(erasing: Erasing) -> None:
    receipt_id = erasing.wish(days=7)
    assert erasing.wish() == receipt_id, "asked twice, the first wish stands"
    assert erasing.carry_out(days=6) == ()
    assert erasing.receipt(receipt_id).state == "waiting"
    with closing(erasing.warehouse.connect(Role.APP, autocommit=True)) as connection:
        assert erasures.withdraw(connection, user_id=erasing.user_id(), now=NOW + timedelta(days=6))
        assert not erasures.withdraw(connection, user_id=erasing.user_id(), now=NOW)
    assert erasing.carry_out(days=8) == ()
    assert receipt_of(erasing.warehouse, receipt_id) is None

    again = erasing.wish(days=7)
    with closing(erasing.warehouse.connect(Role.APP, autocommit=True)) as connection:
        assert not erasures.withdraw(connection, user_id=erasing.user_id(), now=NOW + timedelta(days=8))
    assert erasing.carry_out(days=8) == (again,)
    assert erasing.users() == ["ben"]
    assert erasing.receipt(again).state == "clearing"
    assert finish_removals(erasing.warehouse, erasing.settings, partition_keys=()) == ()
    assert erasing.receipt(again).state == "finished"


def test_the_preview_is_what_the_receipt_says(erasing: Erasing) -> None:
    erasing.put("ana/one.zip", rows=12)
    erasing.run("ana")
    with closing(erasing.warehouse.connect(Role.APP, autocommit=True)) as connection:
        preview = count_all(connection, erasing.settings, user_id=erasing.user_id(), user_key="ana")
    assert (preview["plays"], preview["archives"], preview["files"]) == (12, 1, 1)
    counts = erasing.receipt(erasing.erase()).counts
    # The wish itself was recorded meanwhile.
    assert counts == preview | {"entries of the audit log": preview["entries of the audit log"] + 1}


def test_what_is_kept_of_somebody_the_web_interface_learns_of_its_own_user_alone(erasing: Erasing) -> None:
    erasing.put("ana/one.zip", rows=12)
    erasing.run("ana")
    for role, asking, known in ((Role.APP, "ben", 0), (Role.APP, "ana", 12), (Role.INGEST, "ben", 12)):
        with closing(erasing.warehouse.connect(role, autocommit=True)) as connection, connection.transaction():
            connection.execute("select set_config('app.user_id', %s, true)", (str(erasing.user_id(asking)),))
            counted = connection.execute(
                "select coalesce(sum(rows), 0) from app.count_kept_of(%s) where kind = 'raw.listening_events'",
                (erasing.user_id(),),
            ).fetchone()
        assert counted == (known,), (role, asking)


def test_while_an_archive_is_imported_nothing_is_erased_and_nothing_half_done(erasing: Erasing) -> None:
    erasing.put("ana/one.zip", rows=12)
    erasing.run("ana")
    ((sha256,),) = erasing.sql("select sha256 from app.imports")
    waiting = erasing.wish(days=1)
    erasing.sql("update app.imports set status = 'running'")
    before = erasing.sql(BEFORE)
    with (
        closing(erasing.warehouse.connect(Role.INGEST, autocommit=True)) as importing,
        archive_lock(importing, user_id=erasing.user_id(), sha256=bytes(sha256), wait_s=1),
    ):
        with pytest.raises(ImportIsRunning, match=r"one\.zip is being imported: wait until that has ended"):
            erasing.erase()
        # One that was asked for before waits, and says why.
        assert erasing.carry_out(days=2) == ()
        assert "one.zip" in erasing.sql("select last_error from app.erasure_requests")[0][0]
        assert erasing.sql(BEFORE) == before
        assert not tombstones_file(erasing.settings).exists()
    # The importer died, or has ended: nobody holds the archive.
    assert erasing.carry_out(days=2) == (waiting,)
    assert erasing.users() == ["ben"]


def test_whom_an_older_backup_brings_back_is_erased_again(erasing: Erasing) -> None:
    erasing.put("ana/one.zip", rows=3)
    erasing.run("ana")
    kept = erasing.sql(
        "select user_id, user_key, display_name, time_zone, created_at from app.users where user_key = 'ana'"
    )
    receipt_id = erasing.erase()
    assert finish_removals(erasing.warehouse, erasing.settings, partition_keys=()) == ()
    assert read_tombstones(erasing.settings) != {}
    text = tombstones_file(erasing.settings).read_text()
    assert "ana" not in json.loads(text).values()
    assert tombstones_file(erasing.settings).stat().st_mode & 0o077 == 0
    assert reapply_tombstones(erasing.warehouse, erasing.settings) == 0

    bring_back(erasing, kept[0])
    assert reapply_tombstones(erasing.warehouse, erasing.settings) == 1
    assert erasing.users() == ["ben"]
    assert finish_removals(erasing.warehouse, erasing.settings, partition_keys=()) == ()
    assert erasing.receipt(receipt_id).state == "finished"

    # Another person under the same key is nobody's ghost.
    with closing(erasing.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        add_user(connection, user_key="ana", time_zone="UTC")
    assert reapply_tombstones(erasing.warehouse, erasing.settings) == 0
    assert erasing.users() == ["ana", "ben"]


def test_a_tombstone_that_was_torn_by_a_crash_harms_no_other(erasing: Erasing) -> None:
    tombstones_file(erasing.settings).parent.mkdir(parents=True, exist_ok=True)
    tombstones_file(erasing.settings).write_text('{"tombstone": "ab')
    receipt_id = erasing.erase()
    assert list(read_tombstones(erasing.settings).values()) == [receipt_id]


def test_what_is_deleted_for_good_leaves_raw_and_does_not_come_back_with_its_archive(erasing: Erasing) -> None:
    erasing.put("ana/one.zip", rows=12)
    erasing.put("ben/one.zip", rows=5)
    erasing.run("ana")
    erasing.run("ben")
    ana, ben = erasing.user_id(), erasing.user_id("ben")
    erasing.sql("delete from ops.changed_days")
    days = erasing.sql(
        "select distinct (played_at at time zone 'UTC')::date from raw.listening_events where user_id = %s", ana
    )
    ((artist_id,),) = erasing.sql("select artist_id from raw.artists")
    wish = Wish(action="delete", described=Described(artist_id=artist_id), for_good=True)
    with closing(erasing.warehouse.connect(Role.APP, autocommit=True)) as connection:
        correction_id = add_correction(connection, user_id=ana, wish=wish)
    assert erasing.sql(EVENTS, ana) == [(0, 0)]
    assert erasing.sql(EVENTS, ben) == [(5, 5)]
    marked = erasing.sql("select distinct utc_day from ops.changed_days where user_id = %s", ana)
    assert set(days) <= set(marked), "the marts follow by the ledger"

    # The same plays in another archive: its accounting closes, and they are gone again.
    erasing.put("ana/two.zip", rows=14)
    (result,) = erasing.run("ana", ["ana/two.zip"]).results
    assert result.accounting is not None
    assert result.accounting.read == 14
    assert erasing.sql(EVENTS, ana) == [(0, 0)]

    # While the rule holds, and no longer.
    with closing(erasing.warehouse.connect(Role.APP, autocommit=True)) as connection:
        assert undo_correction(connection, user_id=ana, correction_id=correction_id)
    erasing.put("ana/three.zip", rows=15)
    erasing.run("ana", ["ana/three.zip"])
    assert erasing.sql(EVENTS, ana) == [(15, 15)]


def archive_of_two(erasing: Erasing, name: str, *, plays: int, forgotten: int, newer: int = 0) -> None:
    """`forgotten` of the rows are of another artist."""
    rows = decoys.good_rows(plays + forgotten + newer)
    for row in rows[plays : plays + forgotten]:
        row["master_metadata_album_artist_name"] = "The Forgotten"
    erasing.put(name, content=b"")
    decoys.zip_of(
        erasing.settings.uploads_folder / name, ("Streaming_History_Audio_2024_0.json", json.dumps(rows).encode())
    )
    erasing.age(erasing.settings.uploads_folder / name)


@pytest.mark.parametrize(("plays", "forgotten"), [(7, 3), (2, 9)])
def test_the_accounting_of_an_overlapping_archive_closes_while_a_rule_deletes_for_good(
    erasing: Erasing, plays: int, forgotten: int
) -> None:
    archive_of_two(erasing, "ana/one.zip", plays=plays, forgotten=forgotten)
    erasing.run("ana")
    ana = erasing.user_id()
    ((artist_id,),) = erasing.sql("select artist_id from raw.artists where name = 'The Forgotten'")
    wish = Wish(action="delete", described=Described(artist_id=artist_id), for_good=True)
    with closing(erasing.warehouse.connect(Role.APP, autocommit=True)) as connection:
        add_correction(connection, user_id=ana, wish=wish)
    assert erasing.sql(EVENTS, ana) == [(plays, plays)]

    archive_of_two(erasing, "ana/two.zip", plays=plays, forgotten=forgotten, newer=1)
    (result,) = erasing.run("ana", ["ana/two.zip"]).results
    done = result.accounting
    assert (done.read, done.loaded, done.present) == (plays + forgotten + 1, forgotten + 1, plays)
    assert done.unaccounted == 0
    assert erasing.sql(EVENTS, ana) == [(plays + 1, plays + 1)]


def test_the_artist_of_a_rule_stays_when_another_listener_is_erased_and_goes_with_its_own(erasing: Erasing) -> None:
    for key in ("ana", "ben"):
        archive_of_two(erasing, f"{key}/one.zip", plays=1, forgotten=3)
        erasing.run(key)
    forgotten = "select artist_id from raw.artists where name = 'The Forgotten'"
    ((artist_id,),) = erasing.sql(forgotten)
    wish = Wish(action="delete", described=Described(artist_id=artist_id), for_good=True)
    with closing(erasing.warehouse.connect(Role.APP, autocommit=True)) as connection:
        add_correction(connection, user_id=erasing.user_id(), wish=wish)

    erasing.erase("ben")
    assert finish_removals(erasing.warehouse, erasing.settings, partition_keys=()) == ()
    assert erasing.sql(forgotten) == [(artist_id,)]
    archive_of_two(erasing, "ana/two.zip", plays=2, forgotten=4)
    erasing.run("ana", ["ana/two.zip"])
    assert erasing.sql(EVENTS, erasing.user_id()) == [(2, 2)]

    erasing.erase("ana")
    assert finish_removals(erasing.warehouse, erasing.settings, partition_keys=()) == ()
    assert erasing.sql("select count(*) from raw.artists") == [(0,)]


# Kills.


def prepare(erasing: Erasing) -> None:
    """The user anew, with names of their own."""
    with closing(erasing.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
        add_user(connection, user_key=KEY, time_zone="UTC")
    rows = [
        row
        | {
            "master_metadata_track_name": f"{TRACK} {number}",
            "master_metadata_album_artist_name": ARTIST,
            "spotify_track_uri": f"spotify:track:Mictlan{number:015}",
        }
        for number, row in enumerate(decoys.good_rows(40))
    ]
    path = erasing.settings.uploads_folder / KEY / ARCHIVE
    path.parent.mkdir(parents=True, exist_ok=True)
    decoys.zip_of(path, ("Streaming_History_Audio_2024_0.json", json.dumps(rows).encode()))
    erasing.age(path)
    assert erasing.run(KEY).results[0].accounting.loaded == 40
    erasing.settings.dbt_logs.mkdir(parents=True, exist_ok=True)
    (erasing.settings.dbt_logs / "dbt.log").write_text(f"one line of {KEY}\nanother of nobody\n")


def erase_all(erasing: Erasing) -> None:
    """What the killed process does."""
    erasing.erase(KEY)
    finish_removals(erasing.warehouse, erasing.settings, partition_keys=())


def go_on(erasing: Erasing) -> None:
    """The next start, and a person who types the command again if it came to nothing."""
    carry_out_due(erasing.warehouse, erasing.settings, now=datetime.now(UTC))
    reapply_tombstones(erasing.warehouse, erasing.settings)
    if KEY in erasing.users():
        erasing.erase(KEY)
    finish_removals(erasing.warehouse, erasing.settings, partition_keys=())


def traces(erasing: Erasing) -> dict[str, list[str]]:
    """Where each name still is."""
    return places_with(NEEDLES, folder=erasing.settings.home, urls=[erasing.warehouse.url(Role.OWNER)])


def survives_kills(erasing: Erasing, kills: int, *, broken: Callable[[Erasing], None] | None = None) -> None:
    prepare(erasing)
    began = time.monotonic()
    erase_all(erasing)
    longest_s = time.monotonic() - began
    for number in range(kills):
        prepare(erasing)
        ((erased,),) = erasing.sql("select count(*) from ops.erasures")
        assert set(traces(erasing)) == set(NEEDLES)
        process = multiprocessing.get_context("fork").Process(target=erase_all, args=(erasing,))
        process.start()
        process.join(longest_s * (number + 0.5) / kills)
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        if broken is not None:
            broken(erasing)
        go_on(erasing)
        assert traces(erasing) == {}, f"after kill {number}"
        assert erasing.sql("select count(*), count(finished_at) from ops.erasures") == [(erased + 1, erased + 1)]


@pytest.mark.property
def test_an_erasure_that_is_killed_anywhere_leaves_nothing_once_it_has_gone_on(
    erasing: Erasing, erasure_kills: int
) -> None:
    survives_kills(erasing, erasure_kills)


@pytest.mark.long
@pytest.mark.property
def test_an_erasure_that_is_killed_at_many_points_leaves_nothing(erasing: Erasing, erasure_kills: int) -> None:
    survives_kills(erasing, erasure_kills)


@pytest.mark.property
def test_a_broken_erasure_that_forgets_what_is_left_is_found(erasing: Erasing) -> None:
    def forget(erasing: Erasing) -> None:
        erasing.sql("delete from app.users where user_key = %s", KEY)
        erasing.sql("delete from ops.removals")

    with pytest.raises(AssertionError, match="after kill 0"):
        survives_kills(erasing, 2, broken=forget)
