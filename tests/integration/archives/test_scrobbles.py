"""Scrobbles of other services and players on their way to raw: everything is accounted for, and nothing twice."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from myi_pipeline.archives.due_rows import bring_in_due_rows
from myi_pipeline.archives.files import Limits
from myi_pipeline.catalogue.sources import TRAITS
from myi_pipeline.errors import NotConfirmed
from myi_pipeline.simulator import ArchiveSpec, build_listener
from myi_pipeline.simulator.scrobbles import FORMS, Scrobble, scrobbled, write_scrobbles
from tests.integration.archives.setups import SPANS, Setup

HEARD = """
select e.played_at, c.title, c.creator, c.collection, e.ms_played, e.skipped
from raw.listening_events as e
inner join raw.contents as c on c.content_id = e.content_id
order by 1, 2, 3
"""
COUNTS = "select rows_read, rows_loaded, rows_present, rows_identical, rows_quarantined from app.imports order by 1"


@pytest.fixture(scope="module")
def scrobbles() -> list[Scrobble]:
    spec = ArchiveSpec(seed=7, first_day=date(2003, 2, 1), last_day=date(2003, 3, 31), plays=400)
    # No player can write a tab into its log.
    return sorted({each for each in scrobbled(build_listener(spec)) if "\t" not in each.title})


@pytest.mark.parametrize("form", sorted(FORMS))
def test_what_was_scrobbled_is_in_raw_and_a_second_import_adds_nothing(
    shared_setup: Setup, scrobbles: list[Scrobble], tmp_path: Path, form: str
) -> None:
    truth = write_scrobbles(tmp_path / f"{form}{_suffix(form)}", scrobbles, form=form)
    first = shared_setup.bring(truth.path)
    assert first.kind == truth.kind
    assert first.warnings == ()
    assert (first.accounting.read, first.accounting.loaded) == (len(scrobbles), len(scrobbles))
    heard = sorted((each.started_at, each.title, each.artist, each.album, None) for each in truth.scrobbles)
    assert [row[:5] for row in shared_setup.sql(HEARD)] == heard
    again = shared_setup.bring(truth.path)
    assert (again.accounting.present, again.accounting.loaded) == (len(scrobbles), 0)
    assert again.accounting.unaccounted == 0
    # What was not reported is missing, and nothing says so.
    assert shared_setup.sql(SPANS) == []


def test_what_a_source_knows_of_a_recording_is_kept(
    shared_setup: Setup, scrobbles: list[Scrobble], tmp_path: Path
) -> None:
    truth = write_scrobbles(tmp_path / "listens.zip", scrobbles, form="listenbrainz")
    shared_setup.bring(truth.path)
    told = {
        (row[0], row[1], row[2], row[3])
        for row in shared_setup.sql("select uri, isrc, recording_mbid::text, duration_ms from raw.contents")
    }
    assert told == {
        (each.uri if each.uri.startswith("spotify:track:") else None, each.isrc, each.recording_mbid, each.length_ms)
        for each in scrobbles
    }


def test_a_log_of_a_player_that_knows_no_zone_is_read_in_the_users_and_moves_when_another_is_named(
    shared_setup: Setup, scrobbles: list[Scrobble], tmp_path: Path
) -> None:
    shared_setup.sql("update app.users set time_zone = 'America/New_York'")
    truth = write_scrobbles(tmp_path / ".scrobbler.log", scrobbles, form="scrobbler_log", zone="Europe/Berlin")
    taken = shared_setup.bring(truth.path)
    assert "America/New_York" in taken.warnings[0]
    assert shared_setup.one("select min(played_at) from raw.listening_events") != scrobbles[0].started_at
    mended = shared_setup.bring(truth.path, time_zone="Europe/Berlin")
    assert "Europe/Berlin" in mended.warnings[0]
    assert mended.accounting.loaded == len(scrobbles)
    assert [row[0] for row in shared_setup.sql(HEARD)] == [each.started_at for each in scrobbles]
    # It stays with the import.
    assert shared_setup.bring(truth.path).accounting.present == len(scrobbles)


def test_a_skipped_line_is_a_skipped_play(shared_setup: Setup, scrobbles: list[Scrobble], tmp_path: Path) -> None:
    told = [each._replace(skipped=number % 2 == 0) for number, each in enumerate(scrobbles)]
    shared_setup.bring(write_scrobbles(tmp_path / "player.log", told, form="scrobbler_log").path)
    assert [row[5] for row in shared_setup.sql(HEARD)] == [each.skipped for each in told]


def test_two_equal_scrobbles_in_a_minute_are_two_plays_and_in_a_second_one(
    shared_setup: Setup, scrobbles: list[Scrobble], tmp_path: Path
) -> None:
    twice = [scrobbles[0], scrobbles[0], scrobbles[1]]
    in_minutes = shared_setup.bring(write_scrobbles(tmp_path / "minutes.csv", twice, form="lastfm_to_csv").path)
    in_seconds = shared_setup.bring(write_scrobbles(tmp_path / "seconds.csv", twice, form="lastfm_table").path)
    assert (in_minutes.accounting.loaded, in_minutes.accounting.identical) == (3, 0)
    assert (in_seconds.accounting.loaded, in_seconds.accounting.identical) == (2, 1)


def test_a_scrobble_of_tomorrows_tomorrow_comes_in_when_its_time_has_come(
    shared_setup: Setup, scrobbles: list[Scrobble], tmp_path: Path
) -> None:
    ahead = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(days=3)
    forms = ("listenbrainz", "koito", "scrobbler_log", "lastfm_pages", "lastfm_to_csv")
    for form in forms:
        told = [scrobbles[0], scrobbles[1]._replace(started_at=ahead)]
        path = write_scrobbles(tmp_path / f"{form}{_suffix(form)}", told, form=form).path
        assert shared_setup.bring(path).reasons == {"in_the_future": 1}
    assert bring_in_due_rows(shared_setup.warehouse, now=ahead, limits=Limits()) == len(forms)
    assert shared_setup.one("select count(*) from raw.listening_events where played_at = %s", ahead) == len(forms)
    assert {row[0] - sum(row[1:]) for row in shared_setup.sql(COUNTS)} == {0}


def test_another_persons_scrobbles_are_asked_about_however_they_were_written(
    shared_setup: Setup, scrobbles: list[Scrobble], tmp_path: Path
) -> None:
    shared_setup.add_user("ben")
    shared_setup.bring(write_scrobbles(tmp_path / "pages.json", scrobbles, form="lastfm_pages").path, user="ana")
    table = write_scrobbles(tmp_path / "table.csv", scrobbles, form="lastfm_table").path
    with pytest.raises(NotConfirmed):
        shared_setup.bring(table, user="ben", is_confirmed=False)
    own = [
        each._replace(started_at=each.started_at.replace(second=(each.started_at.second + 1) % 60))
        for each in scrobbles
    ]
    bens = write_scrobbles(tmp_path / "bens.csv", own, form="lastfm_table").path
    assert shared_setup.bring(bens, user="ben", is_confirmed=False).accounting.loaded == len(set(own))


def test_the_traits_of_sources_are_the_same_in_python_and_in_the_database(shared_setup: Setup) -> None:
    rows = shared_setup.sql("select source_id, source, earliest, precision_ms from raw.sources order by 1")
    assert rows == [
        (int(source), source.name.lower(), traits.earliest, traits.precision_ms)
        for source, traits in sorted(TRAITS.items())
    ]


def _suffix(form: str) -> str:
    if form == "listenbrainz":
        return ".zip"
    return ".log" if form == "scrobbler_log" else ".csv" if form in ("lastfm_to_csv", "lastfm_table") else ".json"
