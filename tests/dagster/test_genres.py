"""Genres through Dagster: a run is asked for only when MusicBrainz may be asked and something waits."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg
import pytest

from myi_pipeline.catalogue.musicbrainz_queue import fill
from myi_pipeline.defs.resources import Installation
from myi_pipeline.postgres.connections import Role
from tests.dagster.conftest import LiveSetup


def tick(setup: LiveSetup, **changes: object) -> dg.RunRequest | None:
    settings = setup.settings.model_copy(update=changes)
    context = dg.build_schedule_context(
        instance=setup.instance,
        resources={"installation": Installation(settings, clock=setup.clock)},
        scheduled_execution_time=setup.clock.now(),
    )
    requests = setup.definitions.resolve_schedule_def("hourly_genres").evaluate_tick(context).run_requests or []
    return next(iter(requests), None)


@pytest.mark.slow
def test_a_run_is_asked_for_while_something_waits_and_there_is_a_contact(live_setup: LiveSetup) -> None:
    setup = live_setup
    assert tick(setup) is None
    assert setup.poll("ana", "ben", force=True).success
    tracks = setup.sql("select content_id, 1 from raw.contents where isrc is not null order by 1 limit 1")
    with setup.warehouse.connect(Role.INGEST, autocommit=True) as connection:
        fill(connection, tracks, now=setup.clock.now())
    assert tick(setup, musicbrainz_contact=None) is None
    request = tick(setup)
    assert request is not None
    run_config = {"ops": {"genres": {"config": {"most": 1}}}}
    done = setup.run("enrich_genres", tags=dict(request.tags), run_config=run_config)
    assert done.success
    (event,) = done.asset_materializations_for_node("genres")
    figures = {name: value.value for name, value in event.metadata.items()}
    assert figures["found"] + figures["not_found"] == 1
    assert figures["failed"] == 0

    # MusicBrainz asks to wait: nothing is started before.
    setup.clock.advance(timedelta(minutes=1))
    setup.sql("update ops.musicbrainz_queue set state = 'waiting', due_at = '2000-01-01'")
    setup.simulator.control.fail("status", status=503, retry_after=7_200, path="/ws/2/*")
    assert setup.run("enrich_genres", run_config=run_config).success
    assert tick(setup) is None
    setup.clock.advance(timedelta(hours=2))
    assert tick(setup) is not None
