"""Which number a repeated row gets depends on the rows of its archive alone: not on files, their order, or chunks."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.catalogue import staging
from myi_pipeline.catalogue.staging import StagingTables
from myi_pipeline.errors import BadInput, Permanent
from tests.integration.archives.conftest import set_steps
from tests.integration.archives.setups import (
    Setup,
    account_row,
    nameless,
    row,
    write_account_rows,
    write_files,
    write_rows,
)

NUMBERS = "select occurrence, platform from raw.listening_events left join raw.contexts using (context_id) order by 1"


def test_rows_that_agree_in_every_kept_field_are_one_play(shared_setup: Setup, archive_path: Path) -> None:
    # What is never stored does not tell them apart.
    write_rows(archive_path, row(), row(ip_addr="192.0.2.1"), row(ip_addr="192.0.2.2"), nameless(), nameless())
    result = shared_setup.bring(archive_path)
    assert (result.accounting.loaded, result.accounting.identical) == (2, 3)
    assert shared_setup.sql("select occurrence from raw.listening_events") == [(0,), (0,)]


@pytest.mark.parametrize(
    "field, values",
    [
        ("platform", ("android", "ios", None)),
        ("reason_end", ("trackdone", "endplay")),
        ("shuffle", (True, False, None)),
        ("offline_timestamp", (None, 1_580_000_000, 1_580_000_001)),
        ("incognito_mode", (True, False)),
    ],
)
def test_rows_that_differ_in_a_kept_field_are_numbered(
    shared_setup: Setup, archive_path: Path, field: str, values: tuple[object, ...]
) -> None:
    rows = [row(**{field: value}) for value in values for _ in range(2)]
    result = shared_setup.bring(write_rows(archive_path, *rows))
    assert (result.accounting.loaded, result.accounting.identical) == (len(values), len(values))
    assert [number for number, _ in shared_setup.sql(NUMBERS)] == list(range(len(values)))


def test_identical_rows_of_account_data_are_numbered_because_its_seconds_are_cut_off(
    shared_setup: Setup, archive_path: Path
) -> None:
    result = shared_setup.bring(write_account_rows(archive_path, *[account_row()] * 3, account_row(1)))
    assert (result.accounting.loaded, result.accounting.identical) == (4, 0)
    assert [number for number, _ in shared_setup.sql(NUMBERS)] == [0, 0, 1, 2]
    assert shared_setup.bring(archive_path).accounting.present == 4


def test_a_missing_duration_and_a_missing_content_are_values_like_others(
    shared_setup: Setup, archive_path: Path
) -> None:
    """NULL differs from NULL in a plain unique key: the second import would bring every such play again."""
    rows = [row(ms_played=None), row(ms_played=None, platform="ios"), nameless(), nameless(ms_played=None)]
    assert shared_setup.bring(write_rows(archive_path, *rows)).accounting.loaded == 4
    other = archive_path.with_name("other.zip")
    again = shared_setup.bring(write_rows(other, *rows, row(1)))
    assert (again.accounting.present, again.accounting.loaded) == (4, 1)


def test_a_play_that_repeats_beyond_belief_is_refused(
    shared_setup: Setup, archive_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_MAX_OCCURRENCE", 5)
    with pytest.raises(BadInput, match="repeats one play 7 times"):
        shared_setup.bring(write_account_rows(archive_path, *[account_row()] * 7))
    assert shared_setup.sql("select count(*) from raw.listening_events") == [(0,)]
    assert shared_setup.sql("select status from app.imports") == [("failed",)]


def repetitive_rows(seed: int) -> list[dict[str, object]]:
    dice = random.Random(seed)
    return [
        row(
            dice.randrange(12),
            platform=dice.choice(["android", "ios", "web"]),
            ms_played=dice.choice([1_000, None]),
            skipped=dice.choice([True, None]),
            spotify_track_uri=f"spotify:track:{dice.randrange(2):022d}",
        )
        for _ in range(150)
    ]


def events_however_spread(setup: Setup, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """The events of one history whose rows lie in other files, in another order and in other chunks each time."""
    found, rows = [], repetitive_rows(5)
    for seed in range(5):
        dice = random.Random(seed)
        dice.shuffle(rows)
        numbers = dice.sample(range(20), 3)
        cuts = sorted(dice.sample(range(1, 149), 2))
        parts = (rows[: cuts[0]], rows[cuts[0] : cuts[1]], rows[cuts[1] :])
        files = {f"MyData/endsong_{number}.json": part for number, part in zip(numbers, parts, strict=True)}
        set_steps(monkeypatch, batch=dice.choice([7, 1_000]), chunk=dice.choice([11, 40, 1_000]))
        setup.empty()
        setup.add_user()
        setup.bring(write_files(folder / f"{seed}.zip", files))
        found.append(setup.events())
    return found


def test_neither_files_nor_their_order_nor_chunks_change_a_number(
    shared_setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = events_however_spread(shared_setup, tmp_path, monkeypatch)
    assert max(event[5] for event in first) >= 3
    assert all(events == first for events in others)


def test_broken_numbering_by_chunk_is_noticed(
    shared_setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = StagingTables.statements

    def by_chunk(self: StagingTables, name: str) -> list[str]:
        texts = statements(self, name)
        if name != "catalogue/load/number_repeats":
            return texts
        return [re.sub(r"partition by(\s+)x\.source_id", r"partition by\1e.row_id / 40, x.source_id", t) for t in texts]

    monkeypatch.setattr(StagingTables, "statements", by_chunk)
    # Two chunks then number two rows alike: the second is neither loaded nor found to be present before.
    with pytest.raises(Permanent, match="does not add up"):
        events_however_spread(shared_setup, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "older, newer",
    [
        ("may/StreamingHistory_music_0.json", "november/StreamingHistory_music_0.json"),
        ("StreamingHistory_music_0.json", "StreamingHistory_music_0 (1).json"),
        ("StreamingHistory0.json", "StreamingHistory_music_0.json"),
    ],
)
def test_two_exports_of_account_data_in_one_archive_count_no_play_twice(
    shared_setup: Setup, archive_path: Path, older: str, newer: str
) -> None:
    """Downloaded months apart and kept in one folder. A true repeat within one export stays two plays."""
    twice = [account_row(5), account_row(5)]
    write_files(archive_path, {older: [account_row(), *twice], newer: [*twice, account_row(9)]})
    result = shared_setup.bring(archive_path)
    assert (result.accounting.loaded, result.accounting.identical) == (4, 2)
    assert shared_setup.bring(archive_path).accounting.present == 4


def test_two_exports_of_the_extended_history_in_one_archive_count_no_play_twice(
    shared_setup: Setup, archive_path: Path
) -> None:
    """They agree on what was heard, and not on fields that Spotify has changed between them."""
    old = [row(platform="Android OS", offline_timestamp=1_580_000_000_000), row(1, shuffle=None), row(1, shuffle=True)]
    new = [row(platform="android", offline_timestamp=1_580_000_000), row(1, shuffle=False), row(2)]
    write_files(archive_path, {"endsong_0.json": old, "Streaming_History_Audio_2020_0.json": new})
    result = shared_setup.bring(archive_path)
    assert (result.accounting.loaded, result.accounting.identical) == (4, 2)
