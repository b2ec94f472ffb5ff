"""Anybody may have written an export: it changes nothing that is everybody's, and its rows are no bugs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.files.export_package import open_export
from myi_pipeline.archives.owners import sample_export
from myi_pipeline.errors import BadInput
from tests.integration.archives.setups import Setup, row, write_rows
from tests.integration.take_away.conftest import changed, export, take_in

OTHER = "spotify:track:0000000000000000000002"
CATALOGUE = """
select 'contents' as what, count(*), sum(hashtextextended(x::text || x.ctid::text, 0)) from raw.contents as x
union all
select 'aliases', count(*), sum(hashtextextended(x::text || x.ctid::text, 0)) from raw.content_aliases as x
union all
select 'artists', count(*), sum(hashtextextended(x::text || x.ctid::text, 0)) from raw.artists as x
union all
select 'albums', count(*), sum(hashtextextended(x::text || x.ctid::text, 0)) from raw.albums as x
union all
select 'found', count(*), sum(hashtextextended(x::text || x.ctid::text, 0)) from raw.found_recordings as x
union all
select 'votes', count(*), sum(hashtextextended(x::text || x.ctid::text, 0)) from raw.musicbrainz_votes as x
order by 1
"""
MBID = "00000000-0000-0000-0000-0000000000b1"


@pytest.fixture(scope="module")
def exported(setup_of_module: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    setup_of_module.empty()
    setup_of_module.add_user()
    rows = [
        *(row(second) for second in range(0, 900, 200)),
        row(40_000, master_metadata_track_name="Other song", spotify_track_uri=OTHER),
    ]
    setup_of_module.bring(write_rows(folder / "archive.zip", *rows))
    export(setup_of_module, folder / "export.zip")
    return folder / "export.zip"


def edited(path: Path, target: Path, part: str, edit: Callable[[dict[str, Any]], None]) -> Path:
    """The export with every row of a part edited."""

    def parts(files: dict[str, bytes]) -> None:
        rows = [json.loads(line) for line in files[f"{part}.ndjson"].splitlines()]
        for each in rows:
            edit(each)
        files[f"{part}.ndjson"] = lines(rows)

    return changed(path, target, parts=parts)


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in rows)


def hostile(files: dict[str, bytes]) -> None:
    contents = [json.loads(line) for line in files["catalogue/contents.ndjson"].splitlines()]
    for each in contents:
        each.update(
            title="Mine", match_title="mine", names_played_at="infinity", duration_ms=1, isrc="DEAB12000001",
            recording_mbid=MBID, disc_number=9, track_number=9,
        )  # fmt: skip
    for part in ("artists", "albums"):
        told = [json.loads(line) for line in files[f"catalogue/{part}.ndjson"].splitlines()]
        for no, each in enumerate(told):
            each.update(uri=f"spotify:{part.removesuffix('s')}:{no:022}")
            if part == "albums":
                each.update(total_tracks=1, release_year=1901)
        files[f"catalogue/{part}.ndjson"] = lines(told)
    first, second = (each["content"] for each in contents[:2])
    files |= {
        "catalogue/contents.ndjson": lines(contents),
        "catalogue/aliases.ndjson": lines([{"content": first, "goes_by": second, "reason": "relinked"}]),
        "catalogue/found_recordings.ndjson": lines(
            [{"content": first, "recording_mbid": MBID, "found_by": "isrc", "found_at": "2024-01-01Z"}]
        ),
        "catalogue/musicbrainz_votes.ndjson": lines(
            [{"entity_kind": "recording", "entity_mbid": MBID, "tag": "noise", "is_genre": True, "votes": 900}]
        ),
    }


def test_it_changes_no_row_that_others_have(exported: Path, shared_setup: Setup, tmp_path: Path) -> None:
    shared_setup.add_user("ben")
    rows = [
        *(row(second) for second in range(0, 900, 200)),
        row(40_000, master_metadata_track_name="Other song", spotify_track_uri=OTHER),
    ]
    shared_setup.bring(write_rows(tmp_path / "archive.zip", *rows), user="ben")
    shared_setup.sql(
        "insert into raw.musicbrainz_recordings (recording_mbid, title, told_at) values (%s, 'Song', now())"
        " on conflict do nothing",
        MBID,
    )
    before = shared_setup.sql(CATALOGUE)
    path = changed(exported, tmp_path / "hostile.zip", parts=hostile)
    assert take_in(shared_setup, path, is_confirmed=True).accounting.loaded == len(rows)
    assert shared_setup.sql(CATALOGUE) == before


def test_names_that_it_brings_first_give_way_to_later_ones(exported: Path, shared_setup: Setup, tmp_path: Path) -> None:
    take_in(shared_setup, changed(exported, tmp_path / "hostile.zip", parts=hostile))
    assert shared_setup.one("select max(names_played_at) <= now() from raw.contents")


def test_a_row_without_end_is_refused_and_never_held_whole(exported: Path, tmp_path: Path) -> None:
    # Hardly packed: zeros would be refused for their ratio.
    path = changed(
        exported,
        tmp_path / "long.zip",
        parts=lambda files: files.update(
            {"events/2020.ndjson": b"{}\n" + b'"' + random.Random(1).randbytes(5 << 20).hex().encode()}
        ),
    )
    with open_export(path, limits=Limits()) as package:
        with pytest.raises(BadInput, match=r"row 2 of events/2020\.ndjson is longer than"):
            sample_export(package)
        assert list(package.lines("archives/imports.ndjson"))


def test_sampling_ends_in_time(exported: Path) -> None:
    ticks = iter(range(0, 1_000, 2))
    with open_export(exported, limits=Limits()) as package:
        assert len(sample_export(package)) == 6
        assert len(sample_export(package, clock=lambda: float(next(ticks)))) == 1


def test_what_is_taken_in_unpacks_to_no_more_than_another_archive(exported: Path) -> None:
    with pytest.raises(BadInput, match="are allowed"), open_export(exported, limits=Limits(max_total_bytes=2_000)):
        pass


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no date": ("events/2020", {"played_at": "soon"}, "events/2020"),
    "before all": ("events/2020", {"played_at": "0001-01-01T00:00:00Z"}, "events/2020"),
    "too long": ("events/2020", {"ms_played": 10**12}, "events/2020"),
    "no key": ("catalogue/contents", {"content": "me"}, "catalogue"),
    "no kind": ("catalogue/contents", {"kind": "smell"}, "catalogue"),
    "twice": ("archives/imports", {"sha256": "no hex"}, "archives"),
    "no decision": ("decisions/corrections", {"action": "praise"}, "decisions/corrections"),
    "nul": ("settings/user", {"display_name": "a\0b"}, "settings/user"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_malformed_row_is_the_files_fault(exported: Path, shared_setup: Setup, tmp_path: Path, wrong: str) -> None:
    part, row_with, said = WRONG[wrong]

    def parts(files: dict[str, bytes]) -> None:
        rows = [json.loads(line) for line in files.get(f"{part}.ndjson", b"").splitlines()]
        files[f"{part}.ndjson"] = lines([{**(rows[0] if rows else {"created_at": "2024-01-01Z"}), **row_with}])

    path = changed(exported, tmp_path / "wrong.zip", parts=parts)
    with pytest.raises(BadInput, match=f"{said}.*cannot be taken in") as refused:
        take_in(shared_setup, path)
    assert str(next(iter(row_with.values()))) not in str(refused.value)
    # The archives of it do not pass for what is in.
    assert shared_setup.one("select count(*) from app.imports where status <> 'failed'") == 0


def test_events_that_cannot_be_read_are_no_sample(exported: Path, tmp_path: Path) -> None:
    rows: list[Any] = [
        {"source": "extended_history", "played_at": "2020-01-01T00:00:00Z", "ms_played": ms, "content": content}
        for ms, content in ((10**12, "0" * 32), ({}, "0" * 32), ([], "0" * 32), (1_000, "me"), (1_000, 5))
    ]
    text = lines([*rows, [1]]) + b"[" * 100_000 + b"\n\xff\n"
    path = changed(exported, tmp_path / "odd.zip", parts=lambda files: files.update({"events/2020.ndjson": text}))
    with open_export(path, limits=Limits()) as package:
        assert sample_export(package) == ()


def test_an_archive_whose_plays_did_not_come_is_imported_when_it_is_handed_in(
    exported: Path, shared_setup: Setup, tmp_path: Path
) -> None:
    broken = edited(exported, tmp_path / "broken.zip", "events/2020", lambda each: each.update(ms_played=-1))
    with pytest.raises(BadInput):
        take_in(shared_setup, broken)
    assert shared_setup.sql("select distinct status from app.imports") == [("failed",)]
    assert shared_setup.one("select count(*) from raw.listening_events") == 0
    take_in(shared_setup, exported)
    assert shared_setup.sql(
        "select distinct status, error, is_refused from app.imports where kind <> 'myi_export'"
    ) == [("completed", None, False)]
    assert shared_setup.one("select count(*) from app.imports where finished_at is null and kind <> 'myi_export'") == 0


DELETED = """
insert into app.corrections (user_id, action, from_at, until_at, for_good_at)
select user_id, 'delete', '2020-01-01Z', '2021-01-01Z', now() from app.users
"""


def test_what_was_deleted_for_good_stays_so_wherever_the_export_goes(
    exported: Path, shared_setup: Setup, tmp_path: Path
) -> None:
    take_in(shared_setup, exported)
    shared_setup.sql(DELETED)
    later = tmp_path / "later.zip"
    export(shared_setup, later)
    shared_setup.empty()
    shared_setup.add_user()
    take_in(shared_setup, later)
    assert shared_setup.one("select count(*) from app.corrections where for_good_at is not null") == 1
    # An export of before brings nothing back either, and its accounting closes.
    assert take_in(shared_setup, exported).accounting.read == 6
    assert shared_setup.one("select count(*) from raw.listening_events") == 0
