"""Top lists and the catalogue through Dagster: who is due, who is reported, and that idle hours start nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from myi_pipeline.defs.partitions import RANGE_END, RANGE_START
from myi_pipeline.defs.top_items import TOP_ITEMS
from myi_pipeline.postgres.connections import Role
from tests.dagster.conftest import LiveSetup


def tick(setup: LiveSetup, schedule: str) -> dg.RunRequest | None:
    context = dg.build_schedule_context(
        instance=setup.instance, resources=setup.resources, scheduled_execution_time=setup.clock.now()
    )
    requests = setup.definitions.resolve_schedule_def(schedule).evaluate_tick(context).run_requests or []
    assert len(requests) <= 1
    return requests[0] if requests else None


def run(setup: LiveSetup, job: str, request: dg.RunRequest, **config: Any) -> dg.ExecuteInProcessResult:
    op = {"refresh_top_items": "top_items", "enrich_catalogue": "catalogue"}[job]
    return setup.run(job, tags=dict(request.tags), run_config={"ops": {op: {"config": config}}})


@pytest.mark.slow
def test_due_lists_are_read_in_one_run_and_archives_names_are_asked_for(live_setup: LiveSetup) -> None:
    setup = live_setup
    setup.simulator.control.fail("status", status=403, listener="dee", path="/v1/me/top/*", times=50)
    request = tick(setup, "hourly_top_items")
    assert request is not None
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("ana", "eva")
    assert run(setup, "refresh_top_items", request).success

    # Cem has no login, Dee's requests fail.
    records = setup.instance.fetch_materializations(TOP_ITEMS, limit=10).records
    assert {record.partition_key for record in records} == {"ana", "ben", "eva"}
    stored = "select distinct user_key from raw.top_items inner join app.users using (user_id) order by 1"
    assert setup.sql(stored) == [("ana",), ("ben",)]
    assert tick(setup, "hourly_top_items") is None

    # Whoever failed alone is all of those that were asked.
    setup.clock.advance(timedelta(hours=7))
    again = tick(setup, "hourly_top_items")
    assert again is not None
    assert again.tags[RANGE_START] == "dee"
    assert not run(setup, "refresh_top_items", again).success
    assert run(setup, "refresh_top_items", request, force=True).success

    # Nothing waits in the catalogue; then one track does, that an archive named.
    assert tick(setup, "hourly_catalogue") is None
    ((content, uri),) = setup.sql("select content_id, uri from raw.contents where isrc is not null limit 1")
    setup.sql("update raw.contents set isrc = null where content_id = %s", content)
    setup.sql(
        "insert into ops.catalogue_queue (entity_kind, entity_id, uri, due_at) values ('track', %s, %s, %s)",
        content, uri, setup.clock.now(),
    )  # fmt: skip
    wanted = tick(setup, "hourly_catalogue")
    assert wanted is not None
    done = run(setup, "enrich_catalogue", wanted)
    assert done.success
    (event,) = done.asset_materializations_for_node("catalogue")
    assert (event.metadata["answered"].value, event.metadata["waiting"].value) == (1, 0)
    assert event.metadata["pictures_kept"].value == 0
    assert setup.sql("select isrc is not null from raw.contents where content_id = %s", content) == [(True,)]
    assert tick(setup, "hourly_catalogue") is None

    # Then an artist of theirs is played, as the marts would say.
    ((artist,),) = setup.sql("select entity_id from raw.pictures where entity_kind = 'artist' limit 1")
    for kind in ("track", "album", "artist"):
        columns = f"1 as user_id, 'all' as period, date '1970-01-01' as period_start, {artist} as {kind}_id, 7 as plays"
        setup.sql(f"create table marts.agg_period_{kind}s as select {columns} where '{kind}' = 'artist'")
    setup.sql("create table marts.dim_tracks (track_id int, uri text, duration_ms int, isrc text)")
    setup.sql(f'grant select on all tables in schema marts to "{setup.warehouse.role_name(Role.ANALYST)}"')
    wanted = tick(setup, "hourly_catalogue")
    assert wanted is not None
    (event,) = run(setup, "enrich_catalogue", wanted).asset_materializations_for_node("catalogue")
    assert (event.metadata["pictures_kept"].value, event.metadata["answered"].value) == (1, 0)
    assert tick(setup, "hourly_catalogue") is None
