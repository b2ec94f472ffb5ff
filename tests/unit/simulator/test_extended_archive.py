"""What is written says what the truth says: the files are read again with plain json."""

from __future__ import annotations

import json
import tracemalloc
import zipfile
from collections import Counter
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.simulator import ArchiveSpec, ArchiveTruth, Listener, build_listener, write_extended_archive
from myi_pipeline.simulator.bad_rows import BAD_ROWS
from myi_pipeline.simulator.spec import Vintage

VINTAGES: tuple[Vintage, ...] = ("endsong", "2023", "2024", "2026")


def rows_of(truth: ArchiveTruth) -> dict[str, list[Any]]:
    with zipfile.ZipFile(truth.path) as archive:
        return {file.name: json.loads(archive.read(file.name)) for file in truth.files}


def all_rows(truth: ArchiveTruth) -> list[Any]:
    return [row for rows in rows_of(truth).values() for row in rows]


@pytest.mark.parametrize("vintage", VINTAGES)
def test_the_same_spec_gives_the_same_bytes(tmp_path: Path, spec: ArchiveSpec, vintage: Vintage) -> None:
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    for path in (one, other):
        write_extended_archive(path, build_listener(spec), vintage=vintage, bad={"bad_timestamp": 3})

    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("vintage", VINTAGES)
def test_the_files_hold_what_the_truth_says(tmp_path: Path, listener: Listener, vintage: Vintage) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener, vintage=vintage)
    rows = all_rows(truth)
    told = Counter(
        (
            datetime.fromisoformat(row["ts"]),
            row.get("ms_played"),
            row["spotify_track_uri"] or row["spotify_episode_uri"] or row.get("audiobook_chapter_uri"),
            row["master_metadata_track_name"] or row["episode_name"] or row.get("audiobook_chapter_title"),
            row["master_metadata_album_artist_name"],
            row["master_metadata_album_album_name"] or row["episode_show_name"] or row.get("audiobook_title"),
            row["platform"],
            row["conn_country"],
            row["reason_start"],
            row["reason_end"],
            row["shuffle"],
            row["skipped"],
            row["offline"],
            row["incognito_mode"],
        )
        for row in rows
    )
    true = {(*play[:2], *play[3:14], play.incognito) for play in truth.plays()}

    assert set(told) == true
    assert len(true) == truth.distinct
    assert sum(told.values()) == truth.rows == truth.distinct + truth.identical
    assert truth.identical > 20
    assert truth.first_played_at == min(key[0] for key in told)
    assert truth.last_played_at == max(key[0] for key in told)


@pytest.mark.parametrize("vintage", VINTAGES)
def test_each_file_is_accounted_for(tmp_path: Path, listener: Listener, vintage: Vintage) -> None:
    bad = dict.fromkeys(BAD_ROWS, 4)
    truth = write_extended_archive(tmp_path / "a.zip", listener, vintage=vintage, rows_per_file=1000, bad=bad)
    files = rows_of(truth)

    assert truth.quarantined == bad
    for file in truth.files:
        rows = files[file.name]
        texts = Counter(json.dumps(row) for row in rows if isinstance(row, dict))
        assert file.rows == len(rows)
        assert file.distinct + file.identical + sum(file.quarantined.values()) == file.rows
        copies = sum(count - 1 for count in texts.values() if count > 1)
        # Two bad rows may be equal too; no good row is.
        assert file.identical <= copies <= file.identical + sum(file.quarantined.values())
    with zipfile.ZipFile(truth.path) as archive:
        assert {file.name: file.unpacked_bytes for file in truth.files} == {
            info.filename: info.file_size for info in archive.infolist() if info.filename.endswith(".json")
        }
        assert set(truth.other_files) == {name for name in archive.namelist() if name not in files}


def test_the_quirks_are_counted_exactly(tmp_path: Path, listener: Listener) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener, vintage="2026", identical_rows=0)
    rows = all_rows(truth)
    uri, name = "spotify_track_uri", "master_metadata_track_name"
    contents = (uri, name, "episode_name", "spotify_episode_uri", "audiobook_chapter_uri")
    found = {
        "without_ms_played": sum("ms_played" not in row for row in rows),
        "zero_ms": sum(row.get("ms_played") == 0 for row in rows),
        "under_30_s": sum(row.get("ms_played", 30_000) < 30_000 for row in rows),
        "unknown_content": sum(all(row[key] is None for key in contents) for row in rows),
        "unnamed": sum(row[uri] is not None and row[name] is None for row in rows),
        "uriless": sum(row[uri] is None and row[name] is not None for row in rows),
        "local": sum((row[uri] or "").startswith("spotify:local:") for row in rows),
        "episode": sum(row["spotify_episode_uri"] is not None for row in rows),
        "chapter": sum(row["audiobook_chapter_uri"] is not None for row in rows),
        "video": sum(len(part) for file, part in rows_of(truth).items() if "_Video_" in file),
        "country_zz": sum(row["conn_country"] == "ZZ" for row in rows),
        "null_reason": sum(row["reason_start"] is None for row in rows),
        "empty_reason": sum(row["reason_start"] == "" for row in rows),
        "null_flags": sum(row["shuffle"] is None for row in rows),
        "skipped": sum(row["skipped"] is True for row in rows),
        "offline": sum(row["offline"] is True for row in rows),
        "incognito": sum(row["incognito_mode"] is True for row in rows),
    }

    assert {quirk: truth.quirks[quirk] for quirk in found} == found
    assert all(count > 0 for count in found.values()), found
    assert truth.quirks["twins"] > 0
    assert truth.quirks["same_second"] > 0
    assert truth.quirks["renamed"] > 0


@pytest.mark.parametrize(("vintage", "keys"), [("endsong", 21), ("2023", 21), ("2024", 19), ("2026", 23)])
def test_each_vintage_has_its_own_keys(tmp_path: Path, listener: Listener, vintage: Vintage, keys: int) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener, vintage=vintage)
    rows = all_rows(truth)
    personal = vintage in ("endsong", "2023")

    assert Counter(len(row) for row in rows).most_common(1)[0][0] == keys
    assert {len(row) for row in rows} == {keys, keys - 1}  # one less without ms_played
    assert all(("username" in row) == personal for row in rows)
    addresses = {row.get("ip_addr") or row["ip_addr_decrypted"] for row in rows}
    assert all(address.startswith(("192.0.2.", "2001:db8::")) for address in addresses)


def test_unknown_keys_are_in_every_row(tmp_path: Path, listener: Listener) -> None:
    truth = write_extended_archive(
        tmp_path / "a.zip", listener, until=date(2021, 3, 1), unknown_keys=("mood", "weather")
    )

    assert all("mood" in row and "weather" in row for row in all_rows(truth))


def test_endsong_numbers_and_rows_are_in_no_time_order(tmp_path: Path, listener: Listener) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener, vintage="endsong", rows_per_file=1000, folder="MyData")
    files = rows_of(truth)
    numbers = sorted(int(name.split("_")[-1].removesuffix(".json")) for name in files)
    first = {name: min(row["ts"] for row in rows) for name, rows in files.items()}

    assert numbers == list(range(len(files)))
    assert [name for name, _ in sorted(first.items(), key=lambda pair: pair[1])][:2] == [
        "MyData/endsong_1.json",
        "MyData/endsong_0.json",
    ]
    assert all([row["ts"] for row in rows] != sorted(row["ts"] for row in rows) for rows in files.values())


def test_newer_files_are_named_by_their_years_and_videos_lie_apart(tmp_path: Path, listener: Listener) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener, rows_per_file=500, folder="deep/er/MyData")
    names = [file.name for file in truth.files]

    assert names[0] == "deep/er/MyData/Streaming_History_Audio_2021_0.json"
    assert sum("_Video_" in name for name in names) == 1
    assert len(set(names)) == len(names)
    for name, rows in rows_of(truth).items():
        years = {row["ts"][:4] for row in rows}
        assert all(year in name for year in (min(years), max(years)))


def test_a_span_is_cut_at_utc_days_and_both_ends_are_included(tmp_path: Path, listener: Listener) -> None:
    since, until = date(2021, 5, 1), date(2022, 4, 30)
    part = write_extended_archive(tmp_path / "a.zip", listener, since=since, until=until)
    days = {row["ts"][:10] for row in all_rows(part)}
    inside = [play for play in listener.plays() if since <= play.played_at.date() <= until]

    assert min(days) >= "2021-05-01"
    assert max(days) <= "2022-04-30"
    assert part.distinct == len(inside)


def test_a_newer_archive_tells_the_same_plays_in_another_way(tmp_path: Path, listener: Listener) -> None:
    old = write_extended_archive(tmp_path / "a.zip", listener, vintage="endsong", until=date(2021, 12, 31))
    new = write_extended_archive(tmp_path / "b.zip", listener, vintage="2026", until=date(2021, 12, 31))
    pairs = list(zip(old.plays(), new.plays(), strict=True))

    assert all(a.played_at == b.played_at and a.ms_played == b.ms_played for a, b in pairs)
    assert all(a.platform != b.platform for a, b in pairs)
    assert sum(a.uri is not None and b.kind == "unknown" for a, b in pairs) > 0
    assert sum(a.uri is not None and a.uri == b.uri and a.title != b.title for a, b in pairs) > 0


def test_offline_times_are_in_milliseconds_first_and_in_seconds_later(tmp_path: Path, listener: Listener) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener, vintage="2026")
    stamps = [(row["ts"], row["offline_timestamp"]) for row in all_rows(truth) if row["offline"]]

    assert all(stamp > 10**12 for ts, stamp in stamps if ts < "2021-12-01")
    assert all(stamp < 10**11 for ts, stamp in stamps if ts > "2022-02-01")
    assert {stamp > 10**11 for _, stamp in stamps} == {True, False}
    late = [play.played_at - play.offline_at for play in truth.plays() if play.offline and play.offline_at is not None]
    assert max(late).total_seconds() > 3600


def test_skipped_is_always_false_in_the_first_months(tmp_path: Path, listener: Listener) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener)
    rows = all_rows(truth)

    assert not any(row["skipped"] for row in rows if row["ts"] < "2021-08-31")
    assert any(row["skipped"] for row in rows if row["ts"] > "2021-09-02")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    def peak(plays: int) -> int:
        spec = ArchiveSpec(plays=plays, first_day=date(2014, 1, 1), artists=20)
        listener = build_listener(spec)
        tracemalloc.start()
        try:
            write_extended_archive(tmp_path / f"{plays}.zip", listener, rows_per_file=1000)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2_000)  # what is imported and cached for good
    small, large = peak(3_000), peak(20_000)
    # Day prefixes and fragments are kept: a few hundred kB. All rows at once would be 12 MB more.
    assert large - small < 2_000_000


def test_an_empty_span_gives_an_archive_without_plays(tmp_path: Path, listener: Listener) -> None:
    truth = write_extended_archive(tmp_path / "a.zip", listener, until=date(2019, 1, 1))

    assert (truth.rows, truth.files, truth.first_played_at) == (0, (), None)
    assert list(truth.plays()) == []


def test_true_plays_are_in_utc_whole_seconds(listener: Listener) -> None:
    assert all(
        play.played_at.tzinfo is UTC and play.played_at.microsecond == 0 for play in islice(listener.plays(), 99)
    )
