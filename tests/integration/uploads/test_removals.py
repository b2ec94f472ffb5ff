"""Removing a user removes all that was theirs: rows, files, and names that nobody else played."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from pydantic import SecretStr

from myi_pipeline.errors import BadInput
from myi_pipeline.operations.doctor.check import Status
from myi_pipeline.operations.doctor.run import run_checks
from myi_pipeline.operations.erase_users import erase_user
from myi_pipeline.operations.remove_users import _LOCK, Removal, finish_removals
from myi_pipeline.people.manage_users import add_user, find_user_id
from myi_pipeline.postgres.connections import Role
from myi_pipeline.settings import Settings
from myi_pipeline.storage.open_store import open_store
from tests.conftest import free_port
from tests.integration.uploads.conftest import Uploads

NAMES = "select title from raw.contents"
REST = (
    "select (select count(*) from raw.artists), (select count(*) from raw.albums), (select count(*) from raw.contexts),"
    " (select count(*) from raw.pictures), (select count(*) from raw.kept_pictures),"
    " (select count(*) from raw.picture_files), (select count(*) from ops.picture_fetches),"
    " (select count(*) from ops.catalogue_queue), (select count(*) from raw.content_aliases)"
)
URL = "https://i.scdn.co/image/cover"
PICTURES = f"""
insert into raw.pictures (entity_kind, entity_id, place, url) select 'album', album_id, 0, '{URL}' from raw.albums;
insert into raw.picture_files (digest, media_type, content, fetched_at) values (sha256('p'), 'image/png', 'p', now());
insert into raw.kept_pictures values ('{URL}', sha256('p'));
insert into ops.picture_fetches (url, state, due_at) values ('{URL}', 'kept', now());
insert into ops.catalogue_queue (entity_kind, entity_id, uri, due_at)
select 'track', content_id, uri, now() from raw.contents where uri is not null
"""


@dataclass(frozen=True)
class Removing(Uploads):
    def remove(self, key: str = "ana", *, keeps_key: bool = False) -> None:
        with closing(self.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            user_id = find_user_id(connection, user_key=key)
        erase_user(self.warehouse, self.settings, user_id=user_id, now=datetime.now(UTC), keeps_key=keeps_key)

    def add(self, key: str = "ana") -> None:
        with closing(self.warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            add_user(connection, user_key=key, time_zone="UTC")

    def finish(self, partitions: tuple[str, ...] | None = ()) -> tuple[Removal, ...]:
        return finish_removals(self.warehouse, self.settings, partition_keys=partitions)

    def names(self) -> list[str]:
        return sorted((title for (title,) in self.sql(NAMES)), key=lambda title: int(title.split()[-1]))


@pytest.fixture
def removing(uploads: Uploads) -> Removing:
    return Removing(uploads.warehouse, uploads.settings)


def test_files_rows_and_names_of_a_removed_user_go_and_what_others_play_stays(removing: Removing) -> None:
    removing.put("ana/one.zip", rows=12)
    removing.put("ben/one.zip", rows=5)
    removing.run("ana")
    removing.run("ben")
    removing.sql("update raw.contents set isrc = 'of Ana alone' where title = 'Harmless 11'")
    removing.sql(
        "insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, content_id, taken_at)"
        " select 2, current_date, 'track', 'long_term', 1, content_id, now() from raw.contents"
        " where title = 'Harmless 9'"
    )
    removing.remove()
    assert len(removing.names()) == 12

    assert removing.finish() == ()

    assert removing.names() == [f"Harmless {number}" for number in (0, 1, 2, 3, 4, 9)]
    assert not (removing.settings.uploads_folder / "ana").exists()
    assert (removing.settings.uploads_folder / "ben/one.zip").exists()
    # Artist, album and context are Ben's as well.
    assert removing.sql(REST)[0][:3] == (1, 1, 1)
    # The marts hear of names that are gone.
    assert removing.sql(
        "select count(distinct content_id) from ops.changed_contents as c"
        " where not exists (select from raw.contents as k where k.content_id = c.content_id)"
    ) == [(6,)]
    # Ben's later play of one that was deleted is a name like any other.
    removing.put("ben/more.zip", rows=12)
    assert removing.run("ben", ["ben/more.zip"]).results[0].accounting.loaded == 7
    assert len(removing.names()) == 12


def test_the_last_user_leaves_nothing_of_the_catalogue(removing: Removing) -> None:
    removing.put("ana/one.zip", rows=3)
    removing.put("ana/account/StreamingHistory_music_0.json", content=ACCOUNT_DATA)
    removing.run("ana")
    removing.sql(PICTURES)
    removing.sql(
        "insert into raw.artists (name, artist_key) values ('Of a list', gen_random_uuid());"
        "insert into raw.top_items (user_id, taken_on, entity_kind, term, rank, artist_id, taken_at)"
        " select 1, current_date, 'artist', 'long_term', 1, artist_id, now() from raw.artists where name = 'Of a list'"
    )
    assert removing.sql(REST)[0] == (2, 1, 1, 1, 1, 1, 1, 3, 1)

    removing.remove()
    assert removing.finish() == ()

    assert removing.names() == []
    assert removing.sql(REST)[0] == (0,) * 9


def test_a_removal_that_is_interrupted_goes_on(removing: Removing) -> None:
    removing.put("ana/one.zip", rows=30)
    removing.run("ana")
    # Whoever deletes the row, and by whatever way.
    removing.sql("delete from app.users where user_key = 'ana'")
    folder = removing.settings.uploads_folder
    # Killed after the folder had lost its name, and after some names were gone.
    (folder / "ana").rename(folder / ".removed-1")
    removing.sql("select ops.find_orphans(1)")
    removing.sql("select ops.find_orphans(1)")
    removing.sql("select ops.delete_orphans(1, 7)")
    assert 0 < len(removing.names()) < 30

    assert removing.finish() == ()
    assert removing.names() == []
    assert list(folder.iterdir()) == []


def test_no_link_leads_out_of_the_uploads_folder(removing: Removing) -> None:
    home = removing.settings.home
    other = home / "not ours"
    other.mkdir(parents=True)
    (other / "kept").touch()
    folder = removing.settings.uploads_folder / "ana"
    folder.mkdir(parents=True)
    (folder / "inside").symlink_to(other)
    removing.remove()
    assert removing.finish() == ()
    assert (other / "kept").exists()
    assert not folder.exists()

    # A link in the folder's own place.
    (removing.settings.uploads_folder / "ben").symlink_to(other)
    removing.remove("ben")
    assert removing.finish() == ()
    assert (other / "kept").exists()
    assert not os.path.lexists(removing.settings.uploads_folder / "ben")


def test_a_key_is_free_again_when_nothing_of_its_old_holder_is_left(removing: Removing) -> None:
    removing.put("ana/one.zip", rows=3)
    removing.run("ana")
    removing.sql("update ops.mart_state set completed_run_id = 1")
    removing.remove()
    removing.sql("update ops.removals set removed_at = now() - interval '2 hours'")
    for partitions in (("ana", "ben"), ()):
        with pytest.raises(BadInput, match="the key 'ana' is not free yet"):
            removing.add()
        removing.finish(partitions)
    # The marts still have rows of the old user.
    (left,) = removing.finish()
    assert left.what_is_left == ("rows of the marts, until the next refresh",)
    found = {check.name: check for check in run_checks(removing.settings)}["removed users"]
    assert found.status is Status.WARN
    with pytest.raises(BadInput, match="is not free yet"):
        removing.add()

    # A refresh has closed the ledger.
    removing.sql("delete from ops.changed_users")
    (left,) = removing.finish()
    assert left.is_in_marts, "the names are still to go"
    removing.sql("delete from ops.changed_contents")
    assert removing.finish() == ()
    removing.add()
    assert removing.sql("select count(*) from ops.removals") == [(0,)]


def test_the_same_person_may_begin_anew_at_once_and_keeps_new_files(removing: Removing) -> None:
    removing.put("ana/one.zip", rows=3)
    removing.run("ana")
    removing.remove(keeps_key=True)
    removing.add()
    removing.finish(("ana",))
    assert (removing.settings.uploads_folder / "ana/one.zip").exists()
    assert removing.wanted() == ["ana/one.zip"]


def test_a_name_that_is_played_just_as_it_goes_is_kept_or_looked_up_again(removing: Removing) -> None:
    removing.put("ana/one.zip", rows=2)
    removing.run("ana")
    removing.remove()
    ((content,), (other,)) = removing.sql("select content_id from raw.contents order by content_id")
    play = (
        "insert into raw.listening_events (user_id, source_id, batch_id, played_at, content_id)"
        " values (2, 3, 0, '2020-02-01 00:00Z', %s)"
    )
    removing.sql(play, content)
    removing.finish()
    assert removing.names() == ["Harmless 0"]
    # A poll that had looked the other one up before it was deleted does not store a play of nothing.
    with pytest.raises(Exception, match="look it up again"):
        removing.sql(play, other)


ACCOUNT_DATA = (
    b'[{"endTime": "2020-02-01 00:30", "artistName": "The Decoys", "trackName": "Harmless 0", "msPlayed": 180000}]'
)


def test_exports_of_a_removed_user_go_and_others_stay(removing: Removing) -> None:
    users = dict(removing.sql("select user_key, user_id from app.users"))
    store = open_store(removing.settings)
    for user_id in users.values():
        with store.writing(user_id, "playlists-xspf-20240309-5f0c1e2d3a4b.zip", "application/zip") as out:
            out.write(b"x")
    removing.remove("ana")
    assert removing.finish() == ()
    assert [file.user_id for file in store.all_files()] == [users["ben"]]


def test_exports_that_cannot_be_deleted_are_said_and_deleted_later(removing: Removing) -> None:
    pytest.importorskip("obstore")
    options = SecretStr(f"endpoint=http://127.0.0.1:{free_port()}&access_key_id=key&secret_access_key=hidden")
    settings = removing.settings.model_copy(update={"artifacts": "s3://exports", "artifacts_options": options})
    removing.remove("ana")
    (left,) = Removing(removing.warehouse, settings).finish()
    assert "files that were uploaded or exported" in left.what_is_left
    assert str(left.last_error).startswith(
        "uploads and exports could not be deleted: the request to the object store failed"
    )
    assert removing.finish() == ()


def test_doctor_says_whether_exports_can_be_kept(removing: Removing) -> None:
    def check(settings: Settings) -> tuple[Status, str]:
        return next((each.status, each.found) for each in run_checks(settings) if each.name == "exports")

    folder = removing.settings.artifacts_folder
    assert folder is not None
    assert check(removing.settings) == (Status.OK, f"{folder} (made with the first export)")
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file in the folder's place")
    assert check(removing.settings) == (Status.FAIL, f"{folder} is a file")


def test_records_that_never_end_hold_no_key_for_ever(removing: Removing, monkeypatch: pytest.MonkeyPatch) -> None:
    removing.remove()
    monkeypatch.setattr("myi_pipeline.operations.remove_users.clear_logs", lambda *_, **__: 1)
    assert removing.finish() == ()
    removing.add()


def test_an_error_of_the_database_is_noted_and_looked_for_again_not_at_every_tick(
    removing: Removing, monkeypatch: pytest.MonkeyPatch
) -> None:
    removing.remove()
    looks: list[int] = []

    def look(*_: object) -> int:
        looks.append(1)
        raise psycopg.errors.UndefinedTable("job_ticks")

    monkeypatch.setattr("myi_pipeline.operations.remove_users.clear_dagster", look)
    for _ in range(3):
        finish_removals(
            removing.warehouse, removing.settings, partition_keys=(), looks_every=timedelta(hours=1), wait_s=0
        )
    assert len(looks) == 1
    (left,) = removing.finish()
    assert len(looks) == 2
    assert left.has_traces
    assert removing.sql("select last_error from ops.removals") == [
        ("traces could not be cleared away: UndefinedTable",)
    ]


def test_two_processes_do_not_clear_away_at_once(removing: Removing) -> None:
    removing.remove()
    with closing(removing.warehouse.connect(Role.INGEST, autocommit=True)) as other:
        other.execute("select pg_advisory_lock(%s)", (_LOCK,))
        (left,) = finish_removals(removing.warehouse, removing.settings, partition_keys=(), wait_s=0)
        assert left.has_traces
        assert removing.sql("select count(*) from ops.removals") == [(1,)]
    assert removing.finish() == ()
