"""An export taken in is what the archives and polls were, and changes nothing of what is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from myi_pipeline.archives.accounting import ImportProgress
from tests.integration.archives.conftest import Archives
from tests.integration.archives.setups import Setup
from tests.integration.take_away.conftest import export, rows_of, take_in

# What follows from no row of raw: accounting, quarantine, who holds which rows, by what they are about.
IMPORTS = """
select
    i.sha256, i.archive_name, i.kind, i.status, i.attempt, i.rows_read, i.rows_loaded, i.rows_present, i.rows_identical,
    i.rows_quarantined, i.unknown_keys::text, i.created_at,
    (select count(*) from app.import_members as m where m.import_id = i.import_id)
from app.imports as i
where i.kind <> 'myi_export'
order by i.import_id
"""
FILES = """
select i.sha256, f.file_no, f.file_name, f.kind, f.status, f.rows_read, f.rows_loaded, f.covered_from, f.covered_to
from app.import_files as f
inner join app.imports as i on i.import_id = f.import_id
where i.kind <> 'myi_export'
order by 1, 2
"""
QUARANTINE = """
select i.sha256, q.file_no, q.file_name, q.row_index, q.reason, q.detail, q.row_content::text
from ops.quarantine as q
inner join app.imports as i on i.import_id = q.import_id
order by 1, 2, 4
"""
HOLDERS = """
select i.sha256, h.export_no, h.played_at, h.source_id, c.content_key, h.ms_played, h.occurrence
from raw.event_holders as h
inner join app.imports as i on i.import_id = h.import_id
left join raw.contents as c on c.content_id = h.content_id
order by 1, 2, 3, 4, 5, 6, 7
"""
BATCHES = """
select i.sha256, e.played_at, e.source_id, e.ms_played, e.occurrence, c.content_key
from raw.listening_events as e
left join app.imports as i on i.import_id = e.batch_id
left join raw.contents as c on c.content_id = e.content_id
order by 2, 3, 4, 5, 6
"""


def everything(setup: Setup) -> dict[str, Any]:
    queries = {"imports": IMPORTS, "files": FILES, "quarantine": QUARANTINE, "holders": HOLDERS, "batches": BATCHES}
    return setup.picture() | {name: setup.sql(query) for name, query in queries.items()}


def contents(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(*row[:12], row[12] if row[2] and row[3] else None, *row[13:]) for row in found["contents"]]


def fill(setup: Setup, archives: Archives) -> None:
    """Archives that overlap, and plays that were polled and pushed."""
    for truth in (archives.older, archives.newer, archives.account, archives.whole):
        setup.bring(truth.path)
    user_id = setup.one("select user_id from app.users where user_key = 'ana'")
    setup.sql(
        "with poll as (insert into ops.polls (user_id, polled_at, outcome, items, new_plays, known_plays)"
        " values (%s, '2022-02-20 12:00Z', 'new', 1, 1, 0) returning poll_id)"
        " insert into raw.listening_events (user_id, source_id, batch_id, played_at, content_id)"
        " select %s, source_id, poll_id, '2022-02-20 11:58:01.234Z',"
        " (select min(content_id) from raw.contents where uri is not null)"
        " from poll cross join (values (3), (11)) as sources (source_id)",
        user_id, user_id,
    )  # fmt: skip


@pytest.fixture(scope="module")
def exported(
    setup_of_module: Setup, archives: Archives, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """An export, and what there was when it was made."""
    path = tmp_path_factory.mktemp("exported") / "export.zip"
    setup_of_module.empty()
    setup_of_module.add_user()
    fill(setup_of_module, archives)
    summary = export(setup_of_module, path)
    assert summary.events == setup_of_module.one("select count(*) from raw.listening_events")
    return path, everything(setup_of_module)


def test_an_empty_warehouse_gets_everything_as_it_was(exported: tuple[Path, Any], shared_setup: Setup) -> None:
    path, before = exported
    result = take_in(shared_setup, path)
    assert result.accounting.loaded == result.accounting.read == len(before["events"])
    after = everything(shared_setup)
    for name, rows in before.items():
        assert after[name] == rows, name
    assert before["holders"]
    assert before["quarantine"]


def test_taking_it_in_twice_changes_nothing(exported: tuple[Path, Any], shared_setup: Setup) -> None:
    path, _ = exported
    take_in(shared_setup, path)
    shared_setup.close_ledger()
    untouched, before = shared_setup.untouched(), everything(shared_setup)
    again = take_in(shared_setup, path)
    assert (again.accounting.loaded, again.accounting.present) == (0, again.accounting.read)
    assert shared_setup.untouched() == untouched
    assert everything(shared_setup) == before


def test_beside_its_archives_it_changes_nothing_of_them(
    exported: tuple[Path, Any], shared_setup: Setup, archives: Archives
) -> None:
    path, _ = exported
    fill(shared_setup, archives)
    shared_setup.close_ledger()
    untouched, before = shared_setup.untouched(), everything(shared_setup)
    take_in(shared_setup, path)
    assert shared_setup.untouched() == untouched
    assert everything(shared_setup) == before


@pytest.mark.parametrize("first", ["newer", "account"])
def test_it_joins_one_of_its_archives_as_if_the_others_had_followed(
    exported: tuple[Path, Any], shared_setup: Setup, archives: Archives, first: str
) -> None:
    """Another archive may have brought a row first; who holds it is known all the same."""
    path, before = exported
    shared_setup.bring(getattr(archives, first).path)
    take_in(shared_setup, path)
    after = everything(shared_setup)
    for name in ("spans", "quarantine"):
        assert after[name] == before[name], name
    # When a content that has no names, or nothing else, was first met depends on which archive came first.
    assert contents(after) == contents(before)
    # Of a row that two archives tell, the circumstances are those of the archive that brought it first.
    assert [event[:6] for event in after["events"]] == [event[:6] for event in before["events"]]
    held = "select count(*) from raw.event_holders"
    kept = shared_setup.one(held)
    # The archives themselves find nothing to add.
    events = shared_setup.one("select count(*) from raw.listening_events")
    for truth in (archives.older, archives.newer, archives.account, archives.whole):
        assert shared_setup.bring(truth.path).accounting.loaded == 0
    assert shared_setup.one("select count(*) from raw.listening_events") == events
    assert shared_setup.one(held) >= kept


def test_killed_between_two_years_it_is_run_again(exported: tuple[Path, Any], shared_setup: Setup) -> None:
    path, before = exported

    def stop(at: ImportProgress) -> None:
        if at.stage == "loading":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take_in(shared_setup, path, on_progress=stop)
    loaded = shared_setup.one("select count(*) from raw.listening_events")
    assert 0 < loaded < len(before["events"])
    assert shared_setup.sql("select status from app.imports where kind = 'myi_export'") == [("failed",)]
    take_in(shared_setup, path)
    after = everything(shared_setup)
    assert {name: after[name] for name in before} == before


def test_what_a_person_has_chosen_here_stays(exported: tuple[Path, Any], shared_setup: Setup) -> None:
    path, _ = exported
    shared_setup.sql(
        "update app.users set display_name = 'Ana here', time_zone = 'Asia/Tokyo', time_zone_chosen_at = now()"
    )
    take_in(shared_setup, path)
    assert shared_setup.sql("select display_name, time_zone from app.users") == [("Ana here", "Asia/Tokyo")]


def test_times_and_sources_stand_in_the_file_as_reported(exported: tuple[Path, Any]) -> None:
    path, _ = exported
    events = [event for year in ("2021", "2022") for event in rows_of(path, f"events/{year}")]
    polled = [event for event in events if event["source"] == "spotify_api"]
    assert [event["played_at"] for event in polled] == ["2022-02-20T11:58:01.234+00:00"]
    assert {event["source"] for event in events} == {
        "extended_history", "account_history", "spotify_api", "submitted_listens"
    }  # fmt: skip
    assert [event["played_at"] for event in events] == sorted(event["played_at"] for event in events)
