"""Which time archives cover: what their kinds and numbers promise, whichever way their files are handed in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.integration.archives.setups import Setup, account_row, row, write_files

COVERED = """
select kind, to_char(covered_from, 'YYYY-MM-DD'), to_char(covered_to, 'YYYY-MM-DD')
from raw.covered_spans order by kind, covered_from
"""
Files = Mapping[str, Sequence[str]]


def plays(name: str, *days: str) -> list[dict[str, object]]:
    """Rows of the file's kind at noon of these days."""
    if not name.startswith("StreamingHistory"):
        return [row(ts=f"{day}T12:00:00Z") for day in days]
    if "podcast" in name:
        return [{"endTime": f"{day} 12:00", "podcastName": "P", "episodeName": "E", "msPlayed": 1} for day in days]
    if "audiobook" in name:
        names = {"authorName": "A", "audiobookName": "B", "chapterName": "C"}
        return [{"endTime": f"{day} 12:00", **names, "msPlayed": 1} for day in days]
    return [account_row(endTime=f"{day} 12:00") for day in days]


def zipped(setup: Setup, folder: Path, files: Files) -> None:
    archive = folder / f"{len(list(folder.iterdir()))}.zip"
    setup.bring(write_files(archive, {f"MyData/{name}": plays(name, *days) for name, days in files.items()}))


def one_by_one(setup: Setup, folder: Path, files: Files) -> None:
    for name, days in files.items():
        (folder / name).write_text(json.dumps(plays(name, *days)), encoding="utf-8")
        setup.bring(folder / name)


def covered(setup: Setup, kind: str = "music") -> list[str]:
    return [f"{first}..{last}" for of_kind, first, last in setup.sql(COVERED) if of_kind == kind]


AUDIO = "Streaming_History_Audio_{}.json".format
SERIES = {
    AUDIO("2018-2019_0"): ("2018-01-05", "2019-03-01"),
    AUDIO("2019_1"): ("2019-06-01", "2019-11-01"),
    AUDIO("2020-2021_2"): ("2020-05-01", "2021-02-01"),
    AUDIO("2021_10"): ("2021-08-01", "2021-09-01"),
}


@pytest.mark.parametrize("hand_in", [zipped, one_by_one])
def test_files_of_neighbouring_numbers_leave_no_gap_and_missing_numbers_leave_one(
    hand_in, shared_setup: Setup, tmp_path: Path
) -> None:
    hand_in(shared_setup, tmp_path, SERIES)
    assert covered(shared_setup) == ["2018-01-05..2021-02-01", "2021-08-01..2021-09-01"]
    assert covered(shared_setup, "podcasts") == covered(shared_setup)
    assert covered(shared_setup, "video") == []
    # What was missing comes later; a browser has renamed it, and one of its files holds nothing.
    rest = {AUDIO(f"2021_{number} (1)"): (f"2021-02-{10 + number}",) if number != 5 else () for number in range(3, 10)}
    one_by_one(shared_setup, tmp_path, rest)
    if hand_in is one_by_one:
        assert covered(shared_setup) == ["2018-01-05..2021-09-01"]
    else:
        # An empty file has no time by which it would fit into the ZIP: its number is missing there.
        assert covered(shared_setup) == ["2018-01-05..2021-02-14", "2021-02-16..2021-09-01"]


@pytest.mark.parametrize("names", ["endsong_{}.json", "StreamingHistory{}.json", "StreamingHistory_music_{}.json"])
def test_files_0_and_3_without_1_and_2_leave_a_hole(names: str, shared_setup: Setup, tmp_path: Path) -> None:
    files = {names.format(0): ("2020-01-01", "2020-02-01"), names.format(3): ("2020-07-01", "2020-08-01")}
    zipped(shared_setup, tmp_path, files)
    assert covered(shared_setup) == ["2020-01-01..2020-02-01", "2020-07-01..2020-08-01"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Streaming_History_Video_2015-2020.json", "video"),
        ("StreamingHistory_podcast_0.json", "podcasts"),
        ("StreamingHistory_audiobook_0.json", "audiobooks"),
    ],
)
def test_a_file_of_videos_podcasts_or_audiobooks_alone_covers_its_kind_alone(
    name: str, kind: str, shared_setup: Setup, tmp_path: Path
) -> None:
    zipped(shared_setup, tmp_path, {name: ("2015-06-01", "2020-06-01")})
    assert [found[0] for found in shared_setup.sql(COVERED)] == [kind]


def test_account_data_cover_all_their_kinds_for_the_same_months_and_no_more_than_a_year(
    shared_setup: Setup, tmp_path: Path
) -> None:
    podcasts, music = "StreamingHistory_podcast_0.json", "StreamingHistory_music_0.json"
    zipped(shared_setup, tmp_path, {music: ("2020-03-01", "2020-04-01"), podcasts: ("2020-01-01", "2020-12-01")})
    assert covered(shared_setup) == covered(shared_setup, "podcasts") == ["2020-01-01..2020-12-01"]
    # Two exports of different years, unpacked: both have a file 0, and the second also a file 1.
    later = tmp_path / "later"
    later.mkdir()
    one_by_one(shared_setup, tmp_path, {music: ("2017-02-01", "2017-05-01")})
    one_by_one(
        shared_setup, later, {music: ("2015-01-01", "2015-05-01"), "StreamingHistory_music_1.json": ("2015-07-01",)}
    )
    assert covered(shared_setup) == ["2015-01-01..2015-07-01", "2017-02-01..2017-05-01", "2020-01-01..2020-12-01"]


@pytest.mark.parametrize("hand_in", [zipped, one_by_one])
def test_a_last_play_of_another_kind_leaves_no_gap_of_music_before_the_export(
    hand_in, shared_setup: Setup, tmp_path: Path
) -> None:
    video = "Streaming_History_Video_2015-2020.json"
    audio = {AUDIO("2020_0"): ("2020-01-01", "2020-03-01")}
    hand_in(shared_setup, tmp_path, {video: ("2015-06-01", "2020-03-10"), **audio})
    # A video of years before covers nothing else.
    assert covered(shared_setup) == ["2019-12-02..2020-03-10"]
    assert covered(shared_setup, "video") == ["2015-06-01..2020-03-10"]


def test_plays_outside_the_years_of_their_file_or_after_its_arrival_stretch_nothing(
    shared_setup: Setup, tmp_path: Path
) -> None:
    zipped(shared_setup, tmp_path, {AUDIO("2020_0"): ("2008-01-01", "2020-02-01", "2020-09-01", "2024-01-01")})
    assert covered(shared_setup) == ["2019-12-31..2021-01-02"]
    shared_setup.sql("update app.imports set created_at = '2020-06-01Z'")
    shared_setup.sql("select ops.cover_user(user_id) from app.users")
    assert covered(shared_setup) == ["2019-12-31..2020-06-01"]


def test_files_that_lie_over_each_other_say_nothing_of_the_time_in_which_a_missing_one_may_lie_too(
    shared_setup: Setup, tmp_path: Path
) -> None:
    shuffled = ("2014-01-01", "2020-01-01")
    zipped(shared_setup, tmp_path, {"endsong_0.json": shuffled, "endsong_2.json": ("2014-01-02", "2020-02-01")})
    assert covered(shared_setup) == ["2014-01-01..2014-01-02", "2020-01-01..2020-02-01"]
    zipped(shared_setup, tmp_path, {f"endsong_{number}.json": shuffled for number in range(3)})
    assert "2014-01-01..2020-01-01" in covered(shared_setup)


def test_an_import_that_is_taken_away_takes_its_promise_along_and_one_repeated_changes_nothing(
    shared_setup: Setup, tmp_path: Path
) -> None:
    one_by_one(shared_setup, tmp_path, dict(list(SERIES.items())[:3]))
    before = shared_setup.sql("select span_id from raw.covered_spans order by 1")
    shared_setup.bring(tmp_path / AUDIO("2019_1"))
    assert shared_setup.sql("select span_id from raw.covered_spans order by 1") == before
    shared_setup.close_ledger()
    shared_setup.sql("delete from app.imports where archive_name like '%2019\\_1%'")
    assert covered(shared_setup) == ["2018-01-05..2019-03-01", "2020-05-01..2021-02-01"]
    assert shared_setup.sql("select distinct scope from ops.changed_users") == [("coverage",)]


def test_archives_that_an_older_version_imported_are_judged_by_the_names_of_their_files(
    shared_setup: Setup, tmp_path: Path
) -> None:
    """As revision 0007 finds them: one span from the first play to the last of each archive."""
    zipped(shared_setup, tmp_path, {name: days for name, days in SERIES.items() if "_1" not in name})
    shared_setup.sql("delete from raw.covered_spans")
    shared_setup.sql(
        "insert into raw.covered_spans (user_id, import_id, source_id, covered_from, covered_to)"
        " select user_id, import_id, 1, '2018-01-05Z', '2021-09-01Z' from app.imports"
    )
    shared_setup.sql("select ops.cover_user(user_id) from app.users")
    assert covered(shared_setup) == ["2018-01-05..2019-03-01", "2020-05-01..2021-02-01"]
