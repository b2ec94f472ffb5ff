"""A dump of the made-up MusicBrainz, loaded from a folder: what its web service would have told, without asking it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.catalogue.musicbrainz_dump import load, staging, tables
from myi_pipeline.catalogue.musicbrainz_dump.files import find_dump
from myi_pipeline.catalogue.musicbrainz_dump.load import DumpResult, dump_is_due, load_dump
from myi_pipeline.errors import BadInput
from myi_pipeline.simulator.live.musicbrainz_dump import pack_dump, write_dump
from tests.integration.catalogue.test_musicbrainz import Library, coded, codeless, library
from tests.integration.credentials.conftest import Setup
from tests.integration.credentials.test_commands import Ran, myi, now_setup

__all__ = ["library", "myi", "now_setup"]

# Of some_tracks.
TRACKS, FOUND = 22, 18
LEFT_IN_LOAD = "select count(*)::int from pg_tables where schemaname = 'load' and tablename like 'musicbrainz%'"


def loaded(library: Library, folder: Path) -> DumpResult:
    return load_dump(library.settings, library.setup.warehouse, folder, clock=library.setup.clock)


def some_tracks(library: Library) -> None:
    """Of every way in which a track is found, and of some in which it must not be."""
    library.add(*library.things(coded, 12))
    library.add(*library.things(codeless, 4))
    (told,) = library.things(lambda made: made.isrc is not None and made.merged, 1)
    library.add(told, isrc=None, recording_mbid=library.known.by_thing[told].merged[0])
    library.add(*library.unknown(2))
    concerts = [each.thing for each in library.known.recordings if each.is_other and library._is_listed(each.thing)]
    library.add(*concerts[:3])
    one, two, three = library.things(codeless, 7)[4:]
    library.add(one, isrc=None, duration_ms=library.setup.simulator.control.world.thing(one).duration_ms + 20_000)
    library.add(two, isrc=None, title=f"{library.known.by_thing[two].title} (Karaoke)")
    library.add(three, isrc=None, duration_ms=None)


def learnt(library: Library) -> list[list[tuple[Any, ...]]]:
    """What is known of tracks and artists, but for releases: the dump has one more for each date."""
    found, recordings, credits, votes, _ = library.everything()
    return [found, [row[:4] for row in recordings], credits, votes]


def test_a_dump_tells_what_the_web_service_tells_and_asks_nothing(library: Library, tmp_path: Path) -> None:
    write_dump(library.known, tmp_path, bystanders=200)
    some_tracks(library)
    result = loaded(library, tmp_path)
    from_dump = learnt(library)
    assert library.calls().total() == 0
    assert (result.tracks, result.found, result.bad_rows) == (TRACKS, FOUND, 0)
    assert library.states() == {"found": FOUND, "waiting": TRACKS - FOUND}
    assert library.setup.sql(LEFT_IN_LOAD) == [(0,)]

    for table in ("raw.found_recordings", "raw.musicbrainz_credits", "raw.musicbrainz_votes", "ops.musicbrainz_queue"):
        library.setup.sql(f"delete from {table}")
    library.setup.sql("delete from raw.musicbrainz_recordings")
    library.setup.sql("delete from raw.musicbrainz_tags")
    some_tracks(library)
    library.enrich()
    # A search for a title that names a guest misses one that the dump has.
    for told, asked in zip(from_dump, learnt(library), strict=True):
        assert set(asked) <= set(told)
    assert [row[2] for row in set(from_dump[0]) - set(learnt(library)[0])] == ["names"]


def test_packed_as_it_is_published_it_says_the_same(library: Library, tmp_path: Path) -> None:
    write_dump(library.known, tmp_path / "unpacked", bystanders=20)
    pack_dump(tmp_path / "unpacked", tmp_path / "packed")
    some_tracks(library)
    assert loaded(library, tmp_path / "packed").found == FOUND
    (first, _, credits, votes) = learnt(library)
    assert first
    assert credits
    assert votes


def test_a_line_that_cannot_be_read_is_named_and_costs_no_other(library: Library, tmp_path: Path) -> None:
    write_dump(library.known, tmp_path)
    recordings = tmp_path / "mbdump" / "recording"
    whole = recordings.read_bytes()
    bad = (b"x\tno number\n", b"1\n", b"7\tno mbid\tname\t1\t\\N\n", b"a" * 200_000 + b"\n", b"\xff\xfe\n")
    recordings.write_bytes(b"".join(bad) + whole)
    some_tracks(library)
    result = loaded(library, tmp_path)
    (table,) = [each for each in result.tables if each.table == "recording"]
    assert (result.found, table.bad_rows, table.rows) == (FOUND, 5, whole.count(b"\n") + 5)
    assert table.bad_lines[0].startswith("line 1: ")
    assert table.bad_lines[3] == f"line 4: it is longer than {tables.LONGEST_LINE} bytes"


def test_a_load_that_was_killed_goes_on_with_the_next_table(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dump(library.known, tmp_path)
    some_tracks(library)
    read: list[str] = []

    def killed(name: str) -> None:
        read.append(name)
        if name == "track":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dump(library.settings, library.setup.warehouse, tmp_path, clock=library.setup.clock, on_table=killed)
    again: list[str] = []
    result = load_dump(
        library.settings, library.setup.warehouse, tmp_path, clock=library.setup.clock, on_table=again.append
    )
    assert result.found == FOUND
    assert "track" in again
    assert not set(again) & set(read[:-1])


def test_another_dump_in_the_folder_begins_anew(library: Library, tmp_path: Path) -> None:
    write_dump(library.known, tmp_path)
    some_tracks(library)
    with pytest.raises(KeyboardInterrupt):
        load_dump(
            library.settings,
            library.setup.warehouse,
            tmp_path,
            clock=library.setup.clock,
            on_table=lambda name: (_ for _ in ()).throw(KeyboardInterrupt()) if name == "track" else None,
        )
    os.utime(tmp_path / "mbdump" / "artist", (1, 1))
    again: list[str] = []
    load_dump(library.settings, library.setup.warehouse, tmp_path, clock=library.setup.clock, on_table=again.append)
    assert set(again) == set(tables.TABLES)


def test_a_folder_without_a_whole_dump_says_what_is_missing(library: Library, tmp_path: Path) -> None:
    # What else is packed there was once to be unpacked.
    (tmp_path / "my_spotify_data.zip").write_bytes(b"")
    with pytest.raises(BadInput, match=r"there is no MusicBrainz dump$"):
        find_dump(tmp_path)
    (tmp_path / "mbdump.tar.zst").write_bytes(b"")
    with pytest.raises(BadInput, match=r"unpack mbdump\.tar\.zst there first"):
        find_dump(tmp_path)
    write_dump(library.known, tmp_path)
    (tmp_path / "mbdump" / "artist_tag").unlink()
    with pytest.raises(BadInput, match=r"artist_tag is missing from mbdump-derived\.tar\.bz2"):
        loaded(library, tmp_path)


def test_an_archive_that_breaks_off_is_named(library: Library, tmp_path: Path) -> None:
    write_dump(library.known, tmp_path / "unpacked")
    pack_dump(tmp_path / "unpacked", tmp_path / "packed")
    archive = tmp_path / "packed" / "mbdump.tar.bz2"
    archive.write_bytes(archive.read_bytes()[:-30_000])
    some_tracks(library)
    with pytest.raises(BadInput, match="broken"):
        loaded(library, tmp_path / "packed")
    assert library.found() == {}


def test_a_dump_is_due_when_it_is_new_and_again_after_a_week(library: Library, tmp_path: Path) -> None:
    write_dump(library.known, tmp_path)
    settings = library.settings.model_copy(update={"musicbrainz_dump": tmp_path, "musicbrainz_contact": None})
    clock, warehouse = library.setup.clock, library.setup.warehouse

    def is_due() -> bool:
        return dump_is_due(settings, warehouse, now=clock.now())

    assert is_due()
    library.add(*library.unknown(1))
    loaded(library, tmp_path)
    assert not is_due()
    clock.advance(load.AGAIN_AFTER + timedelta(minutes=1))
    assert is_due()
    assert not dump_is_due(library.settings, warehouse, now=clock.now())


def test_a_dump_is_loaded_by_hand(now_setup: Setup, myi: Callable[..., Ran], tmp_path: Path) -> None:
    library = Library(now_setup)
    write_dump(library.known, tmp_path)
    library.add(*library.things(coded, 3))
    tags = tmp_path / "mbdump" / "tag"
    tags.write_text(tags.read_text(encoding="utf-8") + "no tag\n", encoding="utf-8")
    assert "--dump FOLDER" in myi("genres", "load").err
    done = myi("genres", "load", "--dump", str(tmp_path), "--json").document
    assert (done["bad_rows"], done["result"]["tracks"], done["result"]["found"]) == (1, 3, 3)
    library.add(*library.things(coded, 4)[3:])
    shown = myi("genres", "load", "--dump", str(tmp_path))
    assert "tag, line " in shown.out
    assert "Reading artist ..." in shown.err


def test_numbers_are_a_set() -> None:
    numbers = staging.Numbers()
    for number in (0, 7, 8, 1_000_000):
        numbers.add(number)
    assert [number for number in range(20) if number in numbers] == [0, 7, 8]
    assert [number in numbers for number in (1_000_000, 999_999, 2_000_000)] == [True, False, False]
