"""Playlists through Dagster: who is due, who is reported, and that idle hours start nothing."""

from __future__ import annotations

from datetime import timedelta

import dagster as dg

from myi_pipeline.defs.partitions import RANGE_END, RANGE_START
from myi_pipeline.defs.playlists import PLAYLISTS
from myi_pipeline.simulator.live import SCOPES, ScriptedEntry, ScriptedPlaylist
from tests.dagster.conftest import LiveSetup
from tests.dagster.test_top_items import tick


def run(setup: LiveSetup, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    return setup.run("gather_playlists", tags=dict(request.tags))


def test_due_playlists_are_gathered_in_one_run_of_those_who_allowed_it(live_setup: LiveSetup) -> None:
    setup = live_setup
    assert tick(setup, "hourly_playlists") is None
    setup.clock.advance(60)
    setup.sign_in("ana", scopes=(*SCOPES, "playlist-read-private", "user-library-read"))
    setup.simulator.control.put_playlist(ScriptedPlaylist(id="mine", owner="ana", entries=(ScriptedEntry(track=1),)))
    request = tick(setup, "hourly_playlists")
    assert request is not None
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("ana", "ana")
    assert run(setup, request).success
    (record,) = setup.instance.fetch_materializations(PLAYLISTS, limit=10).records
    assert record.partition_key == "ana"
    materialization = record.asset_materialization
    assert materialization is not None
    assert (materialization.metadata["read"].value, materialization.metadata["new_versions"].value) == (2, 2)
    assert tick(setup, "hourly_playlists") is None
    setup.clock.advance(timedelta(hours=3))
    again = tick(setup, "hourly_playlists")
    assert again is not None

    # Whoever failed alone is all of those that were asked.
    setup.simulator.control.fail("status", status=403, path="/v1/me/playlists", times=None)
    assert not run(setup, again).success
