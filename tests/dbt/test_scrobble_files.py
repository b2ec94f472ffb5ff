"""Files of scrobbles all the way to the marts: each play once, counted, beside what Spotify's archive says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.accounting import ImportResult
from myi_pipeline.archives.files import Limits
from myi_pipeline.archives.import_history import import_history
from myi_pipeline.simulator import ArchiveSpec, build_listener, write_extended_archive
from myi_pipeline.simulator.scrobbles import FORMS, Scrobble, scrobbled, write_scrobbles

SPEC = ArchiveSpec(seed=5, first_day=date(2004, 11, 1), last_day=date(2004, 12, 15), plays=250)


@pytest.fixture
def bring(marts: Any) -> Callable[[Path], ImportResult]:
    marts.add_user("ana")

    def bring(path: Path) -> ImportResult:
        return import_history(
            marts.warehouse, paths=path, user_key="ana", limits=Limits(), hash_account=lambda name: name.encode()[:16]
        )

    return bring


def kept() -> list[Scrobble]:
    """One scrobble a minute, of names that a log can hold."""
    by_minute = {each.unix_time // 60: each for each in scrobbled(build_listener(SPEC)) if each.title.isprintable()}
    return sorted(by_minute.values())


def test_each_form_alone_is_what_was_heard(marts: Any, bring: Callable[[Path], ImportResult], tmp_path: Path) -> None:
    """A part of the history in each form; together they are all of it, and each part is counted."""
    told, forms = kept(), sorted(FORMS)
    for number, form in enumerate(forms):
        part = told[number * len(told) // len(forms) : (number + 1) * len(told) // len(forms)]
        result = bring(
            write_scrobbles(tmp_path / f"{form}.{'zip' if form == 'listenbrainz' else 'txt'}", part, form=form).path
        )
        assert (result.accounting.loaded, result.accounting.read) == (len(part), len(part))
    marts.refreshed()
    plays = marts.read(
        "select date_trunc('minute', played_at), is_counted, ms_played, started_at = played_at"
        " from marts.fct_plays order by 1"
    )
    assert plays == [(each.started_at.replace(second=0), True, None, True) for each in told]
    names = marts.read("select name from marts.dim_tracks")
    assert {name for (name,) in names} == {each.title for each in told}
    assert marts.read("select count(*) from marts.fct_covered_spans") == [(0,)]
    assert marts.verify().is_good


def test_what_a_player_says_was_skipped_does_not_count(
    marts: Any, bring: Callable[[Path], ImportResult], tmp_path: Path
) -> None:
    told = [each._replace(skipped=number % 3 == 0) for number, each in enumerate(kept()[:30])]
    bring(write_scrobbles(tmp_path / ".scrobbler.log", told, form="scrobbler_log").path)
    marts.refreshed()
    plays = marts.read("select skipped, is_counted from marts.fct_plays order by played_at, play_id")
    assert sorted(plays) == sorted((each.skipped, not each.skipped) for each in told)


def test_a_history_of_spotify_and_the_scrobbles_of_it_are_one_history(
    marts: Any, bring: Callable[[Path], ImportResult], tmp_path: Path
) -> None:
    """What was scrobbled adds no play to an archive that has it; a second import of either changes nothing."""
    listener = build_listener(
        ArchiveSpec(seed=9, first_day=date(2021, 3, 1), last_day=date(2021, 4, 15), plays=250, time_zone="UTC")
    )
    archive = write_extended_archive(tmp_path / "spotify.zip", listener)
    bring(archive.path)
    marts.refreshed()
    before = marts.read("select count(*), sum(ms_played) from marts.fct_plays")
    listens = write_scrobbles(tmp_path / "listens.zip", list(scrobbled(listener)), form="listenbrainz").path
    assert bring(listens).accounting.loaded > 50
    marts.refreshed()
    plays, ms_played = marts.read("select count(*), sum(ms_played) from marts.fct_plays")[0]
    # How few stay apart is measured on a larger sample, by the tests of the resolution.
    assert before[0][0] <= plays <= before[0][0] * 1.03
    assert ms_played == before[0][1]
    assert bring(listens).accounting.loaded == 0
    assert marts.refreshed().status == "nothing"
