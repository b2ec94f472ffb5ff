"""Which archives hold a row is noted where it matters: where one archive has several of one moment and length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.archives.conftest import set_steps, stopping_after
from tests.integration.archives.setups import Setup, account_row, nameless, row, write_account_rows, write_rows

HELD = (
    "select i.archive_name, to_char(h.played_at, 'MI:SS'), right(c.uri, 1), h.ms_played, h.occurrence"
    " from raw.event_holders as h inner join app.imports as i using (import_id)"
    " left join raw.contents as c using (content_id) order by 1, 2, 3, 5"
)


def track(second: int, number: int, **fields: object) -> dict[str, object]:
    return row(second, **{"spotify_track_uri": f"spotify:track:{number:022}", **fields})


def test_only_what_another_archive_brought_and_only_where_ids_share_a_moment(
    shared_setup: Setup, tmp_path: Path
) -> None:
    skips: dict[str, Any] = {"ms_played": 0, "master_metadata_track_name": "Another"}
    first = [
        track(0, 1), track(60, 1), track(120, 1), nameless(180), track(240, 1, reason_end="x"),
        track(300, 1, ms_played=0), track(360, 1),
    ]  # fmt: skip
    second = [
        track(0, 1), track(0, 2), track(60, 1, ms_played=1), track(60, 2), nameless(180), track(180, 2),
        track(240, 1, reason_end="x"), track(240, 1, reason_end="y"), track(240, 2),
        # Skips of two songs in one second are no rarity, and no doubt either: their names differ.
        track(300, 1, ms_played=0), track(300, 2, **skips), track(360, 1),
    ]  # fmt: skip
    shared_setup.bring(write_rows(tmp_path / "first.zip", *first))
    assert shared_setup.sql(HELD) == []
    shared_setup.close_ledger()
    result = shared_setup.bring(write_rows(tmp_path / "second.zip", *second))
    assert (result.accounting.loaded, result.accounting.present) == (7, 5)
    held = [
        ("second.zip", "00:00", "1", 180_000, 0),
        ("second.zip", "03:00", None, 180_000, 0),
        ("second.zip", "04:00", "1", 180_000, 0),
    ]
    assert shared_setup.sql(HELD) == held
    assert len(shared_setup.sql("select utc_day from ops.changed_days")) > 0

    shared_setup.close_ledger()
    shared_setup.bring(tmp_path / "second.zip")
    shared_setup.bring(tmp_path / "first.zip")
    assert shared_setup.sql(HELD) == held
    assert shared_setup.sql("select utc_day from ops.changed_days") == []

    # The second one's rows at another time in the order: the first archive holds nothing twice.
    third = shared_setup.bring(write_rows(tmp_path / "third.zip", *second, track(420, 1)))
    assert (third.accounting.loaded, third.accounting.present) == (1, 12)
    assert [name for name, *_ in shared_setup.sql(HELD)].count("third.zip") == 7

    shared_setup.sql("delete from app.imports where archive_name = 'second.zip'")
    assert {name for name, *_ in shared_setup.sql(HELD)} == {"third.zip"}
    shared_setup.sql("delete from app.users")
    assert shared_setup.sql(HELD) == []


def test_account_data_are_noted_where_names_are_spelt_in_two_ways(shared_setup: Setup, tmp_path: Path) -> None:
    both = [account_row(0), account_row(0, trackName="SONG"), account_row(0, trackName="Other", msPlayed=0)]
    shared_setup.bring(write_account_rows(tmp_path / "first.zip", account_row(0), account_row(0, msPlayed=0)))
    shared_setup.bring(write_account_rows(tmp_path / "second.zip", *both, account_row(0, msPlayed=0)))
    assert shared_setup.sql(HELD) == [("second.zip", "00:00", None, 180_000, 0)]


def test_an_import_that_stops_in_the_middle_and_is_repeated_notes_the_same(
    shared_setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_steps(monkeypatch, batch=20, chunk=50)
    shared_setup.bring(write_rows(tmp_path / "first.zip", *(track(second, 1) for second in range(200))))
    rows = [track(second, number) for second in range(200) for number in (1, 2)]
    path = write_rows(tmp_path / "second.zip", *rows)

    with stopping_after(3) as stopped, pytest.raises(stopped):
        shared_setup.bring(path)
    assert 0 < shared_setup.one("select count(*) from raw.event_holders") < 200
    assert shared_setup.bring(path).accounting.unaccounted == 0
    assert shared_setup.one("select count(*) from raw.event_holders") == 200
