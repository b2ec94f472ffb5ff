"""The embedded Postgres upgraded from 16 or 17: data, rights and passwords stay, and no kill loses the home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from myi_pipeline.errors import Busy, Permanent
from myi_pipeline.operations.open_warehouse import open_warehouse
from myi_pipeline.operations.upgrade_postgres import forget_old_data, upgrade_postgres
from myi_pipeline.people.manage_users import add_user
from myi_pipeline.postgres.connections import Role
from myi_pipeline.postgres.embedded import binaries, swapping
from myi_pipeline.postgres.embedded.binaries import Binaries, all_binaries, find_binaries
from myi_pipeline.postgres.embedded.places import data_area
from myi_pipeline.postgres.embedded.swapping import Replacement
from myi_pipeline.postgres.embedded.upgrade import kept_data
from myi_pipeline.settings import Settings
from tests.conftest import end_outside
from tests.integration.backup.conftest import ask
from tests.integration.backup.rights import rights
from tests.postgres_servers import programs_by_major

OLD = 16
LOCALES = "select datname, datlocprovider, datcollate, datctype from pg_database where datname like 'myi%' order by 1"


@pytest.fixture
def old(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The major version to upgrade from. Our own package has no 17; that of another stands in for it."""
    major = int(getattr(request, "param", OLD))
    if major not in all_binaries():
        programs = programs_by_major().get(major)
        if programs is None:
            pytest.skip(f"there is no Postgres {major} on this machine")
        both = all_binaries() | {major: Binaries(programs.parent.resolve(), major)}
        monkeypatch.setattr(binaries, "all_binaries", lambda: both)
    return major


@pytest.fixture
def settings(tmp_path: Path, old: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """An installation that an older MYI made, when `old` was the newest; one user is in it."""
    found = Settings(home=tmp_path / "home", time_zone="UTC")
    with monkeypatch.context() as before:
        before.setattr(binaries, "find_binaries", lambda: binaries.all_binaries()[old])
        with open_warehouse(found) as warehouse, closing(warehouse.connect(Role.INGEST, autocommit=True)) as connection:
            add_user(connection, user_key="ana", time_zone="UTC")
    yield found
    end_outside(found.home)


def version_and_users(settings: Settings) -> tuple[int, list[str]]:
    with open_warehouse(settings) as warehouse:
        ((version,),) = ask(warehouse, "select current_setting('server_version_num')::int / 10000")
        return version, [key for (key,) in ask(warehouse, "select user_key from app.users")]


def test_the_package_has_the_versions_that_its_folders_say() -> None:
    for major, found in all_binaries().items():
        said = subprocess.run([found.path("postgres"), "--version"], capture_output=True, text=True, check=True).stdout
        assert f"(PostgreSQL) {major}." in said


@pytest.mark.slow
@pytest.mark.parametrize("old", [OLD, pytest.param(17, marks=pytest.mark.long)], indirect=True)
@pytest.mark.parametrize(
    ("by_dump", "method"), [(False, "pg_upgrade"), pytest.param(True, "dump and load", marks=pytest.mark.long)]
)
def test_from_an_older_version_to_the_newest(settings: Settings, old: int, by_dump: bool, method: str) -> None:
    with open_warehouse(settings) as warehouse:
        before, locales = rights(warehouse), ask(warehouse, LOCALES)
        area = data_area(settings.home)
        assert area is not None
        with pytest.raises(Busy, match="in use"):
            upgrade_postgres(settings)
    with (area / "data" / "postgresql.conf").open("a") as file:
        file.write("log_lock_waits = on\n")
    # Until it is upgraded, it goes on with the version that made it.
    assert version_and_users(settings) == (old, ["ana"])

    done = upgrade_postgres(settings, by_dump=by_dump)

    assert done is not None
    assert (done.old_major, done.new_major, done.method) == (old, find_binaries().major, method)
    assert version_and_users(settings) == (find_binaries().major, ["ana"])
    with open_warehouse(settings) as warehouse:
        assert rights(warehouse) == before
        # What is a letter, and how it sorts, is what it was: keys that were computed before are still found.
        assert ask(warehouse, LOCALES) == locales
        assert ask(warehouse, "show log_lock_waits") == [("on",)]
        with warehouse.connect(Role.ANALYST) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    assert upgrade_postgres(settings) is None
    (kept,) = kept_data(settings.home)
    assert (kept / "PG_VERSION").read_text().strip() == str(old)
    assert forget_old_data(settings) > 10_000_000
    assert kept_data(settings.home) == ()
    assert version_and_users(settings) == (find_binaries().major, ["ana"])


def test_an_external_server_is_not_ours_to_upgrade(tmp_path: Path) -> None:
    settings = Settings.model_validate({"home": tmp_path, "database_url": "postgresql://a:b@127.0.0.1:1/x"})
    with pytest.raises(Permanent, match="not MYI's to upgrade"):
        upgrade_postgres(settings)


UPGRADE = "import sys; from myi_pipeline.cli import main; main(['upgrade', *sys.argv[1:]])"


def kill_while_it_upgrades(settings: Settings, *, after_s: float, by_dump: bool = False) -> bool:
    """Whether it was killed before it was done."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MYI_")}
    process = subprocess.Popen(
        [sys.executable, "-c", UPGRADE, *(["--by-dump"] if by_dump else [])],
        env=inherited | settings.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    return False


@pytest.mark.parametrize(
    ("there", "becomes"),
    [
        # Killed before it was done; between the two steps; and when the new data were lost after the first.
        ({"data": "old", "data.x.part": "half"}, "old"),
        ({"data-of-16": "old", "data.x.part": "new"}, "new"),
        ({"data-of-16": "old"}, "old"),
        ({"data": "new", "data-of-16": "old"}, "new"),
    ],
)
def test_whatever_a_killed_replacement_left_there_is_one_database(
    tmp_path: Path, there: dict[str, str], becomes: str
) -> None:
    for name, content in there.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_text(content)
    swapping.begin(tmp_path, Replacement(new="data.x.part", old="data-of-16"))
    swapping.settle(tmp_path, tmp_path)
    assert (tmp_path / "data" / "content").read_text() == becomes
    swapping.settle(tmp_path, tmp_path)
    assert not (tmp_path / "upgrade.json").exists()


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("by_dump", [False, True])
def test_killed_at_any_moment_it_goes_on_with_one_of_both(settings: Settings, by_dump: bool) -> None:
    after_s, kills = 0.5, 0
    while kill_while_it_upgrades(settings, after_s=after_s, by_dump=by_dump):
        kills += 1
        version, users = version_and_users(settings)
        assert (version in (OLD, find_binaries().major), users) == (True, ["ana"])
        if version != OLD:
            break
        after_s += 0.7
    assert kills > 3
    assert upgrade_postgres(settings) is None or version_and_users(settings)[1] == ["ana"]
    assert not (settings.home / "postgres" / "upgrade.json").exists()
