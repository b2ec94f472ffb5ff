"""Account data tell the last year to the minute, and leave out what they could not know."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from myi_pipeline.simulator import ArchiveSpec, ArchiveTruth, Listener, build_listener, write_account_archive

UNTIL = date(2023, 11, 30)


def files_of(truth: ArchiveTruth) -> dict[str, list[Any]]:
    with zipfile.ZipFile(truth.path) as archive:
        return {file.name: json.loads(archive.read(file.name)) for file in truth.files}


def test_the_same_spec_gives_the_same_bytes(tmp_path: Path, spec: ArchiveSpec) -> None:
    for name in ("one.zip", "other.zip"):
        write_account_archive(tmp_path / name, build_listener(spec), until=UNTIL)

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()


def test_the_files_hold_what_the_truth_says(tmp_path: Path, listener: Listener) -> None:
    truth = write_account_archive(tmp_path / "a.zip", listener, until=UNTIL, rows_per_file=500)
    files = files_of(truth)
    told: Counter[tuple[object, ...]] = Counter()
    for rows in files.values():
        for row in rows:
            end = datetime.strptime(row["endTime"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
            title = row.get("trackName") or row.get("episodeName") or row.get("chapterName")
            creator = row.get("artistName") or row.get("authorName")
            collection = row.get("podcastName") or row.get("audiobookName")
            names = (None, None) if creator == "Unknown Artist" else (title, creator)
            told[end, row["msPlayed"], *names, collection] += 1

    true = Counter(
        (play.played_at, play.ms_played, play.title, play.creator, play.collection) for play in truth.plays()
    )
    assert told == true
    assert truth.rows == truth.distinct == sum(true.values())
    assert {name.rsplit("/", 1)[1].rsplit("_", 1)[0] for name in files} == {
        "StreamingHistory_music",
        "StreamingHistory_podcast",
        "StreamingHistory_audiobook",
    }


def test_it_covers_365_days_and_only_plays_with_a_length_that_can_be_known_again(
    tmp_path: Path, listener: Listener
) -> None:
    truth = write_account_archive(tmp_path / "a.zip", listener, until=UNTIL)
    told = list(truth.plays())
    inside = [
        play
        for play in listener.plays(catalogue="new")
        if UNTIL - timedelta(days=364) <= play.played_at.date() <= UNTIL
    ]
    things = {uri: thing for thing in listener.shelf.things for uri in (thing.uri, thing.new_uri) if uri}
    heard = [play for play in inside if play.ms_played is not None]
    # Nothing but the minute tells that such a play is the one which another archive calls by another name or by none.
    skipped = {
        "nameless": [play for play in heard if play.kind == "unknown" and not play.ms_played],
        "unnamed": [play for play in heard if play.kind == "track" and play.title is None],
        "renamed": [
            play
            for play in heard
            if play.uri in things
            and things[play.uri].defect == "renamed"
            and (things[play.uri].artist != play.creator or (play.ms_played or 0) < 30_000)
        ],
    }

    assert {name for name, plays in skipped.items() if plays} >= {"unnamed", "renamed"}
    assert len(told) == len(heard) - sum(map(len, skipped.values()))
    assert {play.kind for play in told} == {"track", "episode", "chapter", "unknown"}


def test_compilations_are_told_by_the_artist_of_the_track(tmp_path: Path, listener: Listener) -> None:
    truth = write_account_archive(tmp_path / "a.zip", listener, until=UNTIL)
    extended = {play.creator for play in listener.plays()}
    told = {play.creator for play in truth.plays()}

    assert "Various Wanderers" in extended
    assert "Various Wanderers" not in told


def test_old_archives_have_one_sort_of_file_and_new_ones_neighbours(tmp_path: Path, listener: Listener) -> None:
    truth = write_account_archive(tmp_path / "a.zip", listener, until=UNTIL, names="old", rows_per_file=500)
    with zipfile.ZipFile(truth.path) as archive:
        names = archive.namelist()

    assert [file.name for file in truth.files][:2] == ["MyData/StreamingHistory0.json", "MyData/StreamingHistory1.json"]
    assert {play.kind for play in truth.plays()} == {"track", "unknown"}
    shows = {thing.collection for thing in listener.shelf.things if thing.kind == "episode"}
    assert shows & {play.creator for play in truth.plays()}
    assert set(truth.other_files) == {"MyData/Playlist1.json", "MyData/YourLibrary.json", "MyData/Userdata.json"}
    assert set(names) == {file.name for file in truth.files} | set(truth.other_files)
