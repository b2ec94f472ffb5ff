"""Playlists in an archive of plays, as Spotify's account data has them, are kept with the archive."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from myi_pipeline.archives.uploads.import_uploads import UserImports, import_uploads
from myi_pipeline.errors import Transient
from myi_pipeline.operations.archive_playlists import import_archive_playlists
from myi_pipeline.postgres.connections import Warehouse
from tests.integration.uploads.conftest import Uploads
from tests.integration.uploads.test_another_persons_rows import account_data

LIST = {"name": "Road trip", "items": [{"track": {"trackName": "Song 1", "artistName": "Band"}}]}
KEPT = "select u.user_key, p.provider, v.name, v.items from raw.playlists as p join app.users as u using (user_id)"
KEPT += " join raw.playlist_versions as v using (playlist_id) order by 1, 3, v.version_no"


def put_account_data(uploads: Uploads, name: str, *, lists: str, rows: int = 20) -> Path:
    path = uploads.settings.home / "account.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Spotify Account Data/StreamingHistory_music_0.json", json.dumps(account_data(rows)))
        archive.writestr("Spotify Account Data/Playlist1.json", lists)
        archive.writestr("Spotify Account Data/Userdata.json", "{}")
    return uploads.put(name, content=path.read_bytes())


def run(uploads: Uploads, user_key: str = "ana", *, skip_imported: bool = False, keep: object = None) -> UserImports:
    return import_uploads(
        uploads.warehouse, settings=uploads.settings, user_key=user_key, names=None, sleep=lambda _: None,
        skip_imported=skip_imported, import_extras=keep or import_archive_playlists,
    )  # fmt: skip


def test_playlists_of_an_archive_are_kept_once_and_said(either: Uploads) -> None:
    put_account_data(either, "ana/my_spotify_data.zip", lists=json.dumps({"playlists": [LIST]}))
    first = run(either)
    assert [each.accounting.loaded for each in first.results] == [20]
    assert "ana/my_spotify_data.zip: 1 playlist kept, 1 of them new or changed" in first.remarks
    assert either.sql(KEPT) == [("ana", "file", "Road trip", 1)]
    assert "ana/my_spotify_data.zip: 1 playlist kept, 0 of them new or changed" in run(either).remarks
    assert either.sql(KEPT) == [("ana", "file", "Road trip", 1)]


def test_archives_of_several_years_imported_again_change_no_list(uploads: Uploads) -> None:
    longer = {**LIST, "items": [*LIST["items"], {"track": {"trackName": "Song 2", "artistName": "Band"}}]}
    put_account_data(uploads, "ana/2023.zip", lists=json.dumps({"playlists": [LIST]}))
    put_account_data(uploads, "ana/2024.zip", lists=json.dumps({"playlists": [longer]}), rows=25)
    for _ in range(2):
        assert len(run(uploads).results) == 2
        assert [items for *_, items in uploads.sql(KEPT)] == [1, 2]


def test_playlists_that_cannot_be_read_keep_no_play_out(uploads: Uploads) -> None:
    put_account_data(uploads, "ana/my_spotify_data.zip", lists='{"playlists": [{"name": 5')
    done = run(uploads)
    assert [each.accounting.loaded for each in done.results] == [20]
    assert not done.failures
    assert any("the playlists were not read: " in each for each in done.remarks)
    assert uploads.sql(KEPT) == []


def test_an_archive_that_waits_for_a_confirmation_leaves_no_playlists(uploads: Uploads) -> None:
    lists = json.dumps({"playlists": [LIST]})
    put_account_data(uploads, "ana/my_spotify_data.zip", lists=lists)
    run(uploads)
    put_account_data(uploads, "ben/my_spotify_data.zip", lists=lists)
    assert run(uploads, "ben").waiting == ("ben/my_spotify_data.zip",)
    assert {user for user, *_ in uploads.sql(KEPT)} == {"ana"}


def test_what_a_run_that_died_did_not_keep_is_kept_by_the_next(uploads: Uploads) -> None:
    def dies(warehouse: Warehouse, paths: object, *, user_key: str) -> str | None:
        raise Transient("the database went away")

    put_account_data(uploads, "ana/my_spotify_data.zip", lists=json.dumps({"playlists": [LIST]}))
    (failure,) = run(uploads, keep=dies).failures
    assert failure.is_transient
    assert uploads.sql("select status from app.imports") == [("completed",)]
    again = run(uploads, skip_imported=True)
    assert again.done == ("ana/my_spotify_data.zip",)
    assert uploads.sql(KEPT) == [("ana", "file", "Road trip", 1)]


@pytest.mark.parametrize("name", ["ana/2024/endsong_0.json", "ana/history.zip"])
def test_an_archive_without_playlists_says_nothing_of_them(uploads: Uploads, name: str) -> None:
    uploads.put(name)
    done = run(uploads)
    assert len(done.results) == 1
    assert not [each for each in done.remarks if "playlist" in each]
