"""What the generator of the archives knows is what the marts say, row for row, in every zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from myi_pipeline.marts.dbt_runner import DbtResult, DbtRunner
from myi_pipeline.postgres.connections import Role
from myi_pipeline.simulator import (
    ArchiveTruth,
    build_listener,
    expected_marts,
    write_account_archive,
    write_extended_archive,
)
from tests.dbt.properties.truth_in_marts import differences
from tests.integration.archives.conftest import SPEC
from tests.integration.archives.setups import Setup

pytestmark = pytest.mark.property

# An hour, an hour on other days, half an hour (Lord Howe), and no hour are lost and won; one is a day ahead of all.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Kiritimati")
# Through both changes of the clock and the turn of an ISO year.
HISTORY = replace(SPEC, first_day=date(2020, 10, 1), last_day=date(2021, 11, 30), plays=2_500, silent_days=0.3)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[ArchiveTruth]:
    """Two vintages that overlap by two months and spell things differently, and account data of two years across both:
    the older tell episodes as tracks, the younger have lost some names and go on for some days.
    """
    folder, listener = tmp_path_factory.mktemp("archives"), build_listener(HISTORY)
    old_end, new_start, new_end = date(2021, 4, 30), date(2021, 3, 1), date(2021, 11, 20)
    return [
        write_extended_archive(folder / "old.zip", listener, until=old_end, vintage="endsong", rows_per_file=500),
        write_extended_archive(folder / "new.zip", listener, since=new_start, until=new_end, rows_per_file=500),
        write_account_archive(folder / "account.zip", listener, until=HISTORY.last_day, rows_per_file=500),
        write_account_archive(folder / "mydata.zip", listener, until=date(2021, 5, 31), names="old", rows_per_file=500),
    ]


def bring(marts: Any, archives: Sequence[ArchiveTruth], *zones: str) -> dict[str, int]:
    """The same archives for one user in each zone; the users by zone."""
    setup = Setup(marts.warehouse)
    users = {zone: marts.add_user(f"user-{number}", zone) for number, zone in enumerate(zones)}
    for number in range(len(zones)):
        for archive in archives:
            assert setup.bring(archive.path, f"user-{number}").status == "completed"
    return users


def test_the_marts_say_what_the_generator_knows(marts: Any, archives: list[ArchiveTruth]) -> None:
    users = bring(marts, archives, *ZONES)
    assert marts.refresh(run_tests=True).is_good
    for zone, user in users.items():
        truth = expected_marts(archives, time_zone=zone)
        assert differences(marts.read, user, truth) == {}, zone
    assert {play.source for play in truth.plays} == {"extended_history", "account_history"}
    assert any(play.confirmed for play in truth.plays)
    quirks = archives[0].quirks
    assert {"identical", "unknown_content", "renamed", "without_ms_played"} <= {name for name in quirks if quirks[name]}


def test_the_marts_say_it_whichever_archive_came_first_and_however_often(
    marts: Any, archives: list[ArchiveTruth]
) -> None:
    order = [archives[2], archives[3], archives[1], archives[2], archives[0], archives[1]]
    user = marts.add_user("user", ZONES[0])
    for archive in order:
        assert Setup(marts.warehouse).bring(archive.path, "user").status == "completed"
        marts.refreshed()
    truth = expected_marts([archives[2], archives[3], archives[1], archives[0]], time_zone=ZONES[0])
    assert differences(marts.read, user, truth) == {}


class OtherThreshold:
    """dbt, told that a play counts from 20 s on."""

    def __init__(self, dbt: DbtRunner) -> None:
        self.dbt = dbt

    def invoke(self, arguments: Sequence[str], *, environment: Mapping[str, str], on_node: Any = None) -> DbtResult:
        told = [*arguments, "--vars", '{"counted_ms": 20000}']
        return self.dbt.invoke(told, environment=environment, on_node=on_node)


@pytest.mark.long
def test_broken_another_threshold_is_found_out(marts: Any, archives: list[ArchiveTruth]) -> None:
    (user,) = bring(marts, archives[:1], ZONES[0]).values()
    assert marts.with_dbt(OtherThreshold(marts.dbt)).refreshed().status == "completed"
    found = differences(marts.read, user, expected_marts(archives[:1], time_zone=ZONES[0]))
    assert set(found) == {"days", "hours", "tracks", "artists", "albums", "sessions"}


def behind_the_ledgers_back(marts: Any, query: str, *arguments: object) -> None:
    with marts.warehouse.connect(Role.OWNER) as connection:
        connection.execute("alter table raw.listening_events disable trigger user")
        assert connection.execute(query.encode(), arguments).rowcount
        connection.execute("alter table raw.listening_events enable trigger user")


@pytest.mark.long
def test_broken_what_the_ledger_does_not_know_of_is_found_out(marts: Any, archives: list[ArchiveTruth]) -> None:
    (user,) = bring(marts, archives[:1], ZONES[0]).values()
    truth = expected_marts(archives[:1], time_zone=ZONES[0])
    one = "(select played_at from raw.listening_events where content_id is not null order by played_at limit 1)"

    marts.sql(f"delete from raw.listening_events where played_at = {one}")
    marts.refreshed()
    assert differences(marts.read, user, truth).keys() >= {"plays", "days", "hours", "tracks"}

    # Its row comes back with the archive; what the ledger did not hear of stays away.
    assert Setup(marts.warehouse).bring(archives[0].path, "user-0").accounting.loaded >= 1
    marts.sql("delete from ops.changed_days")
    marts.refreshed()
    assert differences(marts.read, user, truth).keys() >= {"plays", "days", "hours", "tracks"}
    assert not marts.verify().is_good

    behind_the_ledgers_back(marts, f"delete from raw.listening_events where played_at = {one}")
    assert Setup(marts.warehouse).bring(archives[0].path, "user-0").accounting.loaded >= 1
    marts.refreshed()
    assert differences(marts.read, user, truth) == {}

    behind_the_ledgers_back(marts, f"delete from raw.listening_events where played_at = {one}")
    assert marts.refreshed().status == "nothing"
    assert not marts.verify().is_good


@pytest.mark.long
def test_broken_days_of_another_zone_are_found_out(marts: Any, archives: list[ArchiveTruth]) -> None:
    (user,) = bring(marts, archives[:1], ZONES[0]).values()
    marts.refreshed()
    found = differences(marts.read, user, expected_marts(archives[:1], time_zone="Pacific/Honolulu"))
    assert set(found) >= {"days", "hours", "tracks", "artists", "albums"}
    assert not {"plays", "sessions", "firsts"} & set(found)
