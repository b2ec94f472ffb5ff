"""The archive of a live listener: the same plays, read back by the real reader."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from myi_pipeline.archives.files import Limits, open_history
from myi_pipeline.catalogue.plays import QuarantinedRow
from myi_pipeline.simulator.live import PERSONAS, LiveListener, World, persona, write_archive

FIRST_DAY = date(2025, 6, 1)
NOW = datetime(2025, 8, 1, 12, 0, 30, tzinfo=UTC)


def read(path: Path) -> list[tuple[datetime, int | None, str | None]]:
    plays = []
    with open_history(path, limits=Limits(), hash_account=str.encode) as archive:
        for file in archive.files:
            for item in archive.read(file):
                assert not isinstance(item, QuarantinedRow)
                plays.append((item.played_at, item.ms_played, item.content.uri if item.content else None))
    return plays


@pytest.mark.parametrize("kind", PERSONAS)
def test_an_extended_archive_holds_every_play_at_the_second_of_its_end(kind: str, world: World, tmp_path: Path) -> None:
    listener = LiveListener(persona(kind, "ana", first_day=FIRST_DAY, archived_at_sync=0.0), world)
    write_archive(tmp_path / "a.zip", listener, until=NOW)
    gone = {thing.uri for thing in world.shelf.things if thing.defect == "removed"}
    expected = Counter(
        (play.ended_at.replace(microsecond=0), play.ms_played, None if play.uri in gone else play.uri)
        for play in listener.truth(until=NOW)
        if not play.is_offline or (listener_knows(play.surfaces_at, play.ended_at))
    )
    found = Counter(read(tmp_path / "a.zip"))

    # Short plays of an offline session surface nowhere in the API, yet are in the archive once it is synced.
    assert not found - Counter(
        (play.ended_at.replace(microsecond=0), play.ms_played, None if play.uri in gone else play.uri)
        for play in listener.truth(until=NOW)
    )
    assert not expected - found


def listener_knows(surfaces_at: datetime | None, ended_at: datetime) -> bool:
    return surfaces_at <= NOW if surfaces_at else ended_at < NOW - timedelta(days=3)


def test_rows_are_in_time_order_and_late_syncs_stand_at_their_sync(world: World, tmp_path: Path) -> None:
    listener = LiveListener(persona("commuter", "ana", first_day=FIRST_DAY, archived_at_sync=1.0), world)
    truth = write_archive(tmp_path / "a.zip", listener, until=NOW)
    times = [play.played_at for play in truth.plays()]
    late = [play for play in listener.truth(until=NOW) if play.archived_at > play.ended_at + timedelta(minutes=5)]

    assert times == sorted(times)
    assert len(late) > 100
    assert sum(play.is_offline for play in late) == len(late)


def test_what_an_offline_device_has_not_told_is_in_no_archive(world: World, tmp_path: Path) -> None:
    spec = persona("commuter", "ana", first_day=FIRST_DAY, offline=1.0, offline_until_h=(47.0, 48.0))
    listener = LiveListener(spec, world)
    rows = read(write_archive(tmp_path / "a.zip", listener, until=NOW).path)
    assert rows
    assert max(played_at for played_at, _, _ in rows) < NOW - timedelta(hours=40)


def test_account_data_tell_the_last_year_to_the_minute(world: World, tmp_path: Path) -> None:
    listener = LiveListener(persona("albums", "ana", first_day=date(2024, 1, 1)), world)
    truth = write_archive(tmp_path / "a.zip", listener, until=NOW, kind="account")
    rows = read(tmp_path / "a.zip")

    assert len(rows) == truth.rows > 1000
    assert all(played_at.second == 0 for played_at, _, _ in rows)
    assert min(played_at for played_at, _, _ in rows) > NOW - timedelta(days=367)


def test_an_archive_ends_at_the_moment_it_is_asked_for(world: World, tmp_path: Path) -> None:
    listener = LiveListener(persona("heavy", "ana", first_day=FIRST_DAY), world)
    later = read(write_archive(tmp_path / "b.zip", listener, until=NOW + timedelta(days=30)).path)
    earlier = read(write_archive(tmp_path / "a.zip", listener, until=NOW).path)
    assert max(played_at for played_at, _, _ in earlier) <= NOW
    assert not Counter(earlier) - Counter(later)
