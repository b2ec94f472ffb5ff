"""Rules of backups that need no database: what is kept, when one is due, what is sealed, how roles are renamed."""

from __future__ import annotations

import io
import random
import tarfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from myi_pipeline.archives.reading_settings import account_names_key
from myi_pipeline.errors import BadInput, DiskFull, Permanent, Transient
from myi_pipeline.operations.backup import packing, sealing
from myi_pipeline.operations.backup.load import renamed
from myi_pipeline.operations.backup.make import made_at_of, new_name
from myi_pipeline.operations.backup.programs import failure, find_programs
from myi_pipeline.operations.backup.restore import environment_of_dagster
from myi_pipeline.operations.backup.retention import is_due, kept
from myi_pipeline.postgres.connections import Role, Warehouse
from myi_pipeline.settings import Settings
from myi_pipeline.settings.backups import keep_counts

NOON = datetime(2026, 3, 18, 12, tzinfo=UTC)  # a Wednesday


def days_ago(*days: float) -> list[datetime]:
    return [NOON - timedelta(days=day) for day in days]


def test_the_newest_of_each_day_week_and_month_is_kept() -> None:
    made_at = days_ago(*range(60))
    found = kept(made_at, keep_counts("7d,4w,2m"))
    # Seven days; the last days of three more weeks; the last day of the month before.
    assert sorted(found, reverse=True) == days_ago(0, 1, 2, 3, 4, 5, 6, 10, 17, 18)


def test_of_several_a_day_the_last_one_stands_for_the_day() -> None:
    made_at = days_ago(0, 0.1, 0.2, 1, 1.1)
    assert kept(made_at, {"d": 2}) == set(days_ago(0, 1))


def test_days_without_a_backup_take_no_place() -> None:
    assert kept(days_ago(0, 40, 80, 120), {"d": 3}) == set(days_ago(0, 40, 80))


Kept = Callable[[Sequence[datetime], Mapping[str, int]], frozenset[datetime]]


def kept_broken(made_at: Sequence[datetime], counts: Mapping[str, int]) -> frozenset[datetime]:
    """Keeps the oldest of each period, so that a period's place goes to another backup each day."""
    found = set()
    for unit, count in counts.items():
        assert unit == "d"
        by_day = {at.date(): at for at in sorted(made_at, reverse=True)}
        found |= {by_day[day] for day in sorted(by_day, reverse=True)[:count]}
    return frozenset(found)


def run_daily(keep: Kept, gaps: list[int], counts: Mapping[str, int]) -> None:
    """Backups made one after another, old ones deleted each time: the newest is always there, and as many days as were
    wished are kept, of those there were."""
    there: list[datetime] = []
    made: list[datetime] = []
    now = NOON
    for hours in gaps:
        now += timedelta(hours=hours)
        there.append(now)
        made.append(now)
        there = sorted(keep(there, counts))
        assert now in there
        days = sorted({at.date() for at in made}, reverse=True)[: counts["d"]]
        assert {at.date() for at in there} >= set(days)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=60), st.integers(1, 9))
def test_deleting_after_each_backup_keeps_what_is_promised(gaps: list[int], days: int) -> None:
    run_daily(kept, gaps, {"d": days})


def test_the_promise_can_be_broken() -> None:
    with pytest.raises(AssertionError):
        run_daily(kept_broken, [5] * 40, {"d": 3})


@pytest.mark.parametrize("text", ["", "7", "d7", "0d", "7d,3d", "7d;4w", "7x"])
def test_a_retention_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        keep_counts(text)


@pytest.mark.parametrize(
    ("every", "last", "due"),
    [
        ("hour", NOON - timedelta(minutes=1), True),
        ("hour", NOON, False),
        ("day", NOON.replace(hour=3), False),
        ("day", NOON.replace(hour=2, minute=59), True),
        ("week", NOON - timedelta(days=2), False),
        ("week", NOON - timedelta(days=2, hours=10), True),
        ("week", None, True),
    ],
)
def test_a_backup_is_due_when_its_hour_day_or_week_has_none(every: str, last: datetime | None, due: bool) -> None:
    assert is_due(last, every=every, now=NOON) is due


def test_before_three_at_night_yesterdays_backup_is_this_days() -> None:
    now = NOON.replace(hour=1)
    assert not is_due(now - timedelta(hours=20), every="day", now=now)
    assert is_due(now - timedelta(hours=23), every="day", now=now)


def test_a_name_says_when_the_backup_was_made() -> None:
    made_at = NOON.replace(microsecond=250_001)
    assert made_at_of(new_name(made_at)) == made_at


def test_names_of_one_second_sort_by_time() -> None:
    moments = [NOON + timedelta(microseconds=each) for each in (0, 1, 99_999, 999_999)]
    names = [new_name(each) for each in moments]
    assert sorted(names) == names
    assert [made_at_of(each) for each in names] == moments


def test_a_name_of_an_older_version_is_right_to_the_second() -> None:
    assert made_at_of("myi-20261128T031500Z-ffffff").replace(microsecond=0) == datetime(2026, 11, 28, 3, 15, tzinfo=UTC)


def test_what_is_sealed_opens_with_its_passphrase_alone() -> None:
    sealed = sealing.seal(b"secret", "correct horse")
    assert sealing.unseal(sealed, "correct horse") == b"secret"
    assert b"secret" not in sealed
    with pytest.raises(BadInput, match="does not open"):
        sealing.unseal(sealed, "correct hors")
    for place in (random.Random(4).randrange(len(sealed) - 20, len(sealed)), sealed.index(b"salt") + 9):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(BadInput):
            sealing.unseal(bytes(changed), "correct horse")
    with pytest.raises(BadInput, match="at least 8"):
        sealing.seal(b"secret", "short")


def test_a_sealed_file_cannot_ask_for_all_memory() -> None:
    sealed = sealing.seal(b"secret", "correct horse")
    with pytest.raises(BadInput, match="cannot be read"):
        sealing.unseal(sealed.replace(b'"n": 131072', b'"n": 1073741824'), "correct horse")


def test_secrets_of_one_server_stay_there(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    for name in ("encryption_keys", "downloads.key", "roles-myi-0a.json", "dagster-0a.pgpass"):
        (folder / name).write_text(f"{name}\n")
    packing.pack_secrets(Settings(home=tmp_path), tmp_path / "sealed", passphrase="correct horse")
    found = packing.open_secrets(tmp_path / "sealed", passphrase="correct horse")
    assert set(found) == {"encryption_keys", "downloads.key"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "encryption_keys").write_text("its own\n")
    packing.put_secrets(other, found)
    assert (other / "encryption_keys").read_text().split() == ["encryption_keys", "its", "own"]
    assert (other / "downloads.key").stat().st_mode & 0o777 == 0o600


def test_the_key_of_account_names_is_sealed_wherever_it_came_from(tmp_path: Path) -> None:
    """Given by environment it was in no backup, and nothing said so: whoever restored without it hashed the same user
    names differently, and was no longer told that two people hand in archives of one account."""
    given = Settings(home=tmp_path / "pod", account_names_key=SecretStr("ab" * 32))
    packing.pack_secrets(given, tmp_path / "sealed", passphrase="correct horse")
    other = Settings(home=tmp_path / "other")
    packing.put_secrets(other.secrets_folder, packing.open_secrets(tmp_path / "sealed", passphrase="correct horse"))
    assert account_names_key(other) == account_names_key(given)


def test_whoever_was_erased_here_or_there_stays_erased(tmp_path: Path) -> None:
    here, there = ('{"tombstone": "aa"}', '{"tombstone": "bb"}'), ('{"tombstone": "cc"}', '{"tombstone": "aa"}')
    (tmp_path / "tombstones").write_text("\n".join(here) + "\n")
    (tmp_path / "tombstones.key").write_text("11\n")
    packing.put_secrets(tmp_path, {"tombstones": "\n".join(there).encode(), "tombstones.key": b"22\n"})
    assert (tmp_path / "tombstones").read_text().splitlines() == [*here, there[0]]
    assert (tmp_path / "tombstones.key").read_text().split() == ["11", "22"]


def test_a_folder_comes_back_as_it_was_and_leaves_alone_what_is_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "ana").mkdir(parents=True)
    (source / "ana" / "one.zip").write_bytes(b"one")
    (source / "ana" / "two.zip").write_bytes(b"two")
    (source / "link").symlink_to("/etc/passwd")
    assert packing.pack_folder(source, tmp_path / "packed.tar") == 2
    (target / "ana").mkdir(parents=True)
    (target / "ana" / "two.zip").write_bytes(b"another")
    assert packing.unpack_folder(tmp_path / "packed.tar", target) == packing.Unpacked(1, 1)
    assert (target / "ana" / "two.zip").read_bytes() == b"another"
    assert packing.unpack_folder(tmp_path / "packed.tar", target, replace=True) == packing.Unpacked(1, 0)
    assert (target / "ana" / "two.zip").read_bytes() == b"two"
    assert not (target / "link").exists()


def test_the_longest_name_and_a_secret_that_is_no_text_come_back(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    name = "\N{MUSICAL SYMBOL G CLEF}" * 63
    (source / name).write_bytes(b"one")
    packing.pack_folder(source, tmp_path / "packed.tar")
    assert packing.unpack_folder(tmp_path / "packed.tar", target) == packing.Unpacked(1, 0)
    packing.put_secrets(target, {name: b"\xff\x00", "encryption_keys": b"key\n"})
    assert (target / name).read_bytes() == b"\xff\x00"


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "ana/../../out", "link/out"])
def test_nothing_is_unpacked_outside_its_folder(tmp_path: Path, name: str) -> None:
    packed, target, outside = tmp_path / "packed.tar", tmp_path / "target", tmp_path / "outside"
    with tarfile.open(packed, "w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 3
        tar.addfile(info, io.BytesIO(b"out"))
    target.mkdir()
    outside.mkdir()
    (target / "link").symlink_to(outside)
    with pytest.raises(BadInput):
        packing.unpack_folder(packed, target)
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "out").exists()


SCRIPT = """\
SET transaction_timeout = 0;
\\restrict abc
CREATE FUNCTION f() RETURNS text AS $$ select has('myi_app', "myi_owner") $$;
ALTER TABLE raw.plays OWNER TO myi_owner;
GRANT SELECT ON TABLE raw.plays TO myi_app;
GRANT SELECT ON TABLE raw.plays TO grafana;
GRANT SELECT ON TABLE raw.plays TO "somebody else" WITH GRANT OPTION;
REVOKE ALL ON FUNCTION f() FROM PUBLIC;
CREATE POLICY p ON raw.plays TO myi_app USING ((myi_app_id = 1));
\\unrestrict abc"""


def test_a_script_gets_other_roles_and_leaves_out_those_that_are_not_there() -> None:
    found = renamed(SCRIPT, {"myi_owner": "it's_owner", "myi_app": "Other_app"}, known=["grafana"])
    assert found.splitlines() == [
        "CREATE FUNCTION f() RETURNS text AS $$ select has('Other_app', \"it's_owner\") $$;",
        'ALTER TABLE raw.plays OWNER TO "it\'s_owner";',
        'GRANT SELECT ON TABLE raw.plays TO "Other_app";',
        "GRANT SELECT ON TABLE raw.plays TO grafana;",
        "REVOKE ALL ON FUNCTION f() FROM PUBLIC;",
        'CREATE POLICY p ON raw.plays TO "Other_app" USING ((myi_app_id = 1));',
    ]


def test_roles_that_keep_their_names_are_not_touched() -> None:
    found = renamed(SCRIPT, {"myi_owner": "myi_owner", "myi_app": "myi_app"}, known=["grafana", "somebody else"])
    assert len(found.splitlines()) == 7
    assert "TO myi_app USING" in found


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ("pg_dump: error: could not write to file: No space left on device\n", DiskFull, "too little room in /mnt/b"),
        (
            "pg_dump: error: connection to server failed: x\npg_dump: detail: y\n",
            Transient,
            "the backup failed: connection",
        ),
        ("pg_dump: error: query failed: ERROR: permission denied\n", Permanent, "the backup failed: query failed"),
        ("", Permanent, "it said nothing"),
    ],
)
def test_a_program_that_failed_is_told_in_its_own_words(said: str, kind: type[Exception], text: str) -> None:
    error = failure(said, doing="the backup", place="/mnt/b")
    assert type(error) is kind
    assert text in str(error)


def test_programs_that_are_older_than_the_server_are_refused(tmp_path: Path) -> None:
    for name in ("pg_dump", "pg_restore"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 14.2'\n")
        (tmp_path / name).chmod(0o755)
    settings = Settings(home=tmp_path / "home", postgres_programs=tmp_path)
    with pytest.raises(Permanent, match=r"Postgres 16, and MYI_POSTGRES_PROGRAMS names pg_dump and pg_restore 14"):
        find_programs(settings, server_major=16)
    with pytest.raises(Permanent, match="has no pg_dump"):
        find_programs(Settings(home=tmp_path, postgres_programs=tmp_path / "none"), server_major=16)
    assert find_programs(Settings(home=tmp_path), server_major=15).major >= 18


def test_a_scratch_installation_inherits_nothing_of_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real one's MYI_DATABASE_URL it would end the runs of the real Dagster."""
    monkeypatch.setenv("MYI_DATABASE_URL", "postgresql://real@127.0.0.1/real")
    monkeypatch.setenv("MYI_BACKUP", "/real")
    urls = {role: f"postgresql://scratch_{role}:p@127.0.0.1:1/scratch" for role in Role}
    warehouse = Warehouse(urls=urls, dagster_url="postgresql://scratch:p@127.0.0.1:1/scratch_dagster", embedded=True)
    found = environment_of_dagster(Settings(home=tmp_path / "scratch"), warehouse)
    assert found["MYI_HOME"] == str(tmp_path / "scratch")
    assert {"MYI_DATABASE_URL", "MYI_BACKUP"}.isdisjoint(found)
