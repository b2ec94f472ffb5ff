"""A MYI_HOME that was copied, moved, linked, restored or lost: whose database is it?"""

from __future__ import annotations

import json
import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from myi_pipeline.errors import Busy, OwnedByAnotherHome, Permanent
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.people.logins import resume_user
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.embedded import EmbeddedServer, adopt, embedded_server, ownership, places, processes
from myi_pipeline.settings import Settings
from tests.conftest import end_outside

IS_ROOT = os.geteuid() == 0
only_root = pytest.mark.skipif(not IS_ROOT, reason="only root's database lies outside of the home")


def copied(home: Path, target: Path, *options: str) -> Path:
    subprocess.run(["cp", "-a", *options, str(home), str(target)], check=True)
    return target


def value(server: EmbeddedServer, query: str) -> object:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        found = connection.execute(query.encode()).fetchone()
    return None if found is None else found[0]


def run(server: EmbeddedServer, query: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(query.encode())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account can pass; what homes below it leave elsewhere is ended and removed."""
    folder = Path(tempfile.mkdtemp(prefix="myi-copies-"))
    folder.chmod(0o711)
    yield folder
    for home in folder.iterdir():
        if not home.is_symlink():
            end_outside(home)
    shutil.rmtree(folder)


@pytest.fixture
def home(folder: Path) -> Path:
    """A home that holds its database itself, as everybody's but root's does, and root's did in earlier versions."""
    home = folder / "home"
    for each in (home, home / "postgres"):
        each.mkdir()
        each.chmod(0o711 if IS_ROOT else 0o700)
    return home


def test_a_copy_of_a_running_home_and_its_original_never_touch_each_other(
    home: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with embedded_server(home) as original:
        run(original, "create table plays as select 1 as n")
        run(original, "checkpoint")
        everybody = processes.survivors(original.places)
        assert len(everybody) > 3
        copy = copied(home, folder / "copy")
        with caplog.at_level(logging.WARNING), embedded_server(copy) as second:
            assert "copied from" in caplog.text
            assert "while the database there was running" in caplog.text
            assert value(second, "select n from plays") == 1
            run(second, "drop table plays")
            assert second.places.cluster_name != original.places.cluster_name
            assert second.places.socket != original.places.socket
            # What a power cut does to the copy; its next start ends what outlived that, and nobody else.
            for process in processes.survivors(second.places):
                process.kill()
            with embedded_server(copy) as again:
                assert value(again, "select count(*) from pg_tables where tablename = 'plays'") == 0
        assert processes.survivors(second.places) == []
        assert all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in everybody)
        assert value(original, "select n from plays") == 1
    assert processes.survivors(original.places) == []


@pytest.mark.slow
def test_a_copy_leaves_the_logins_at_spotify_to_the_original(
    home: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Spotify replaces a login's token as it is used: whichever home came second was signed out."""
    paused = "select paused_at is not null from app.credentials"
    with open_warehouse(Settings(home=home)) as opened:
        with opened.connect(Role.INGEST, autocommit=True) as connection:
            user = add_user(connection, user_key="ana", time_zone="UTC")
        with opened.connect(Role.OWNER, autocommit=True) as connection:
            connection.execute(
                "insert into app.credentials (user_id, client_id, account_key, refresh_token, authorised_at,"
                " refreshed_at) values (%s, 'client', 'id:ana', decode(repeat('ab', 40), 'hex'), now(), now())",
                (user.user_id,),
            )
    copy = copied(home, folder / "copy")
    with caplog.at_level(logging.WARNING), open_warehouse(Settings(home=copy)) as second:
        assert "they are paused here (ana)" in caplog.text
        with second.connect(Role.INGEST, autocommit=True) as connection:
            assert connection.execute(paused).fetchall() == [(True,)]
            resume_user(connection, user_key="ana")
        # What a person decided after that stays.
        with open_warehouse(Settings(home=copy)), second.connect(Role.INGEST, autocommit=True) as connection:
            assert connection.execute(paused).fetchall() == [(False,)]
    with open_warehouse(Settings(home=home)) as first, first.connect(Role.INGEST, autocommit=True) as connection:
        assert connection.execute(paused).fetchall() == [(False,)]


def test_a_home_that_is_moved_while_it_runs_goes_on(home: Path, folder: Path) -> None:
    first = EmbeddedServer(home)
    run(first, "create table plays as select 1 as n")
    running = processes.postmaster(first.places)
    moved = home.rename(folder / "moved")
    with embedded_server(moved) as server:
        assert processes.postmaster(server.places) == running
        assert value(server, "select n from plays") == 1
        assert server.places.server_id == first.places.server_id
    first.close()
    with embedded_server(moved) as server:
        assert value(server, "select n from plays") == 1
    assert processes.survivors(server.places) == []


@pytest.mark.slow
@only_root
def test_a_copy_whose_database_lies_elsewhere_is_refused_and_told_three_ways_out(folder: Path) -> None:
    home, copy = folder / "home", folder / "copy"
    with embedded_server(home) as server:
        run(server, "create table plays as select 1 as n")
        data = server.places.data
        assert not data.is_relative_to(home)
        for each in (home, *(path for path in home.rglob("*") if path.is_dir())):
            assert stat.S_IMODE(each.stat().st_mode) == 0o700, each
        copied(home, copy)
        with pytest.raises(OwnedByAnotherHome, match=r"myi doctor --adopt") as told:
            EmbeddedServer(copy)
        assert f"use MYI_HOME={home}" in str(told.value)
        with pytest.raises(Busy, match="is in use"):
            adopt(copy)
        assert value(server, "select n from plays") == 1
    # A database of its own, as the message says:
    assert f"cp -a {data} {copy / 'postgres'}/" in str(told.value)
    subprocess.run(["cp", "-a", str(data), f"{copy / 'postgres'}/"], check=True)
    with embedded_server(home) as server, embedded_server(copy) as second:
        run(second, "drop table plays")
        assert second.places.data != data
        assert value(server, "select n from plays") == 1
    # Or the other one's, which then has none.
    third = copied(home, folder / "third")
    assert adopt(third) == data
    with embedded_server(third) as server:
        assert value(server, "select n from plays") == 1
    with pytest.raises(OwnedByAnotherHome, match=f"belongs to {third}"):
        EmbeddedServer(home)


# What follows needs no server: a folder stands for the data.


def account_for_data() -> tuple[int, int]:
    if not IS_ROOT:
        return os.geteuid(), os.getegid()
    found = pwd.getpwnam("nobody")
    return found.pw_uid, found.pw_gid


def put_data(data: Path) -> None:
    (data / "global").mkdir(parents=True)
    (data / "global" / "pg_control").touch()
    (data / "pg_wal").mkdir()
    for path in (data, *data.rglob("*")):
        os.chown(path, *account_for_data())
    data.chmod(0o700)


def made(home: Path) -> places.Places:
    """A home with data in it."""
    put_data(home / "postgres" / "data")
    return places.prepare(home)


@pytest.fixture
def elsewhere(folder: Path) -> Path:
    """A home whose data lie outside of it, as root's do."""
    home, area = folder / "home", folder / "system"
    (home / "postgres").mkdir(parents=True)
    area.mkdir()
    put_data(area / "data")
    (home / "postgres" / "places.json").write_text(json.dumps({"server_id": "0badcafe", "area": str(area)}))
    (home / "postgres" / "superuser").touch()
    (area / "home.txt").write_text(f"{home}\n")
    places.prepare(home)
    return home


def test_a_copy_gets_names_and_folders_of_its_own_and_the_original_keeps_them(home: Path, folder: Path) -> None:
    original = made(home)
    copy = places.prepare(copied(home, folder / "copy"))
    assert copy.server_id != original.server_id
    assert copy.data == folder / "copy" / "postgres" / "data"
    assert copy.socket.is_relative_to(folder / "copy")
    assert places.prepare(home) == original
    assert places.prepare(folder / "copy") == copy


def test_a_copy_of_a_home_of_an_earlier_version_leads_to_itself_too(home: Path, folder: Path) -> None:
    """Its record held absolute paths: `user remove` in the copy removed the user in the original."""
    original = made(home)
    record = {"server_id": original.server_id, "area": str(original.area), "socket": str(original.socket)}
    (home / "postgres" / "places.json").write_text(json.dumps(record))
    (home / "postgres" / "data" / ownership.RECORD).unlink()
    copy = places.prepare(copied(home, folder / "copy"))
    assert copy.data.is_relative_to(folder / "copy")
    assert copy.socket.is_relative_to(folder / "copy")
    assert copy.server_id != original.server_id
    assert places.prepare(home) == original


def test_a_moved_home_keeps_its_names_wherever_its_data_lie(home: Path, folder: Path) -> None:
    before = made(home)
    after = places.prepare(home.rename(folder / "moved"))
    assert after.server_id == before.server_id
    assert after.data == folder / "moved" / "postgres" / "data"


def test_a_home_whose_data_lie_elsewhere_can_be_moved_renamed_and_linked(elsewhere: Path, folder: Path) -> None:
    before = places.prepare(elsewhere)
    moved = elsewhere.rename(folder / "moved")
    assert places.prepare(moved).data == before.data
    (folder / "link").symlink_to(moved)
    assert places.prepare(folder / "link") == places.prepare(moved)


def test_a_copy_of_an_earlier_versions_home_whose_data_lie_elsewhere_is_refused_too(
    elsewhere: Path, folder: Path
) -> None:
    """Its data hold no record of whose they are, but a file beside them names the home."""
    (folder / "system" / "data" / ownership.RECORD).unlink()
    record = {"server_id": "0badcafe", "area": str(folder / "system"), "socket": str(folder / "system" / "run")}
    (elsewhere / "postgres" / "places.json").write_text(json.dumps(record))
    copy = copied(elsewhere, folder / "copy")
    with pytest.raises(OwnedByAnotherHome, match=f"belongs to {elsewhere}"):
        places.prepare(copy)
    assert places.prepare(elsewhere).data == folder / "system" / "data"
    with pytest.raises(OwnedByAnotherHome):
        places.prepare(copy)


def test_a_copy_is_refused_whatever_the_original_is_called_by_now(elsewhere: Path, folder: Path) -> None:
    renamed = elsewhere.rename(folder / "home.old")
    copied(renamed, elsewhere)
    with pytest.raises(OwnedByAnotherHome, match=f"belongs to {renamed}"):
        places.prepare(elsewhere)
    places.prepare(renamed)


def test_a_backup_that_is_put_back_over_a_deleted_home_finds_its_database(elsewhere: Path, folder: Path) -> None:
    before = places.prepare(elsewhere)
    copied(elsewhere, folder / "backup")
    shutil.rmtree(elsewhere)
    assert places.prepare(copied(folder / "backup", elsewhere)).data == before.data
    with pytest.raises(OwnedByAnotherHome):
        places.prepare(folder / "backup")


def test_a_copy_takes_over_when_the_original_was_deleted(
    elsewhere: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """So that a move to another disk, which is a copy and a deletion, goes on working."""
    before = places.prepare(elsewhere)
    copy = copied(elsewhere, folder / "copy")
    shutil.rmtree(elsewhere)
    with caplog.at_level(logging.WARNING):
        assert places.prepare(copy).data == before.data
    assert "takes over the database" in caplog.text


def test_an_original_on_a_disk_that_is_not_mounted_now_is_not_taken_for_deleted(elsewhere: Path, folder: Path) -> None:
    copy = copied(elsewhere, folder / "copy")
    data = folder / "system" / "data"
    owner = ownership.owner_of(data)
    assert owner is not None
    shutil.rmtree(elsewhere)
    (data / ownership.RECORD).write_text(ownership.HomeIdentity(owner.path, owner.device + 1, owner.inode).as_text())
    with pytest.raises(OwnedByAnotherHome, match="cannot be found now"):
        places.prepare(copy)
    assert adopt(copy) == data
    places.prepare(copy)


def test_a_copy_that_shares_its_database_by_a_link_is_refused(home: Path, folder: Path) -> None:
    made(home)
    (home / "postgres").rename(folder / "large-disk")
    (home / "postgres").symlink_to(folder / "large-disk")
    places.prepare(home)
    with pytest.raises(OwnedByAnotherHome, match=f"belongs to {home}"):
        places.prepare(copied(home, folder / "copy"))
    places.prepare(home)


def test_a_copy_that_shares_files_with_its_original_is_refused(home: Path, folder: Path) -> None:
    made(home)
    with pytest.raises(Permanent, match="hard links"):
        places.prepare(copied(home, folder / "hard-linked", "-l"))
    (home / "postgres" / "data" / "pg_wal").rename(folder / "fast-disk")
    (home / "postgres" / "data" / "pg_wal").symlink_to(folder / "fast-disk")
    with pytest.raises(Permanent, match="fast-disk"):
        places.prepare(copied(home, folder / "copy"))
    places.prepare(home)


def test_a_home_that_came_to_another_machine_without_its_database_does_not_begin_an_empty_one(
    elsewhere: Path, folder: Path
) -> None:
    shutil.rmtree(folder / "system")
    with pytest.raises(Permanent, match=r"the database of .* is missing: it was in .*system/data"):
        places.prepare(elsewhere)
    with pytest.raises(Permanent, match="names no database"):
        adopt(elsewhere)


def test_root_s_data_that_were_put_into_a_closed_home_are_moved_to_where_their_account_gets(folder: Path) -> None:
    if not IS_ROOT:
        pytest.skip("only root's server runs as another account")
    home = folder / "restored"
    home.mkdir(mode=0o700)
    put_data(home / "postgres" / "data")
    (home / "postgres").chmod(0o700)
    found = places.prepare(home)
    assert found.area.is_relative_to(places.SYSTEM_FOLDER)
    assert (found.data / "global" / "pg_control").exists()
    assert not (home / "postgres" / "data").exists()
    assert places.prepare(home) == found
