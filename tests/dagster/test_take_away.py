"""Exports in Dagster: the sensor asks for one run after the other, and the run leaves a file."""

from __future__ import annotations

import dagster as dg
import pytest

from myi_pipeline.defs.partitions import sync_partitions
from myi_pipeline.defs.take_away import EXPORT_TAG, MAKE_EXPORT
from myi_pipeline.people import take_away_orders
from myi_pipeline.postgres.connections import Role
from myi_pipeline.storage.open_store import open_store
from tests.dagster.conftest import Setup


@pytest.mark.slow
def test_exports_are_made_one_after_the_other_and_taken_in_from_the_uploads_folder(setup: Setup) -> None:
    setup.add_users("ana", "ben")
    sync_partitions(setup.instance, setup.warehouse)
    setup.put("ana/archive.zip", rows=20)
    imported = setup.run("import_uploads", partition_key="ana")
    assert imported.success
    ids = dict(setup.sql("select user_key, user_id from app.users"))
    with setup.warehouse.connect(Role.APP, autocommit=True) as page:
        orders = [take_away_orders.order_export(page, user_id=ids[key]).export_id for key in ("ana", "ben")]
    for number in orders:
        found = setup.sensor("exports")
        assert isinstance(found, dg.SensorResult)
        (request,) = found.run_requests or ()
        assert request.tags[EXPORT_TAG] == str(number)
        assert setup.run(MAKE_EXPORT, run_config=request.run_config, tags=dict(request.tags)).success
    assert isinstance(setup.sensor("exports"), dg.SkipReason)
    (file,) = open_store(setup.settings).files(ids["ana"])
    assert setup.sql("select state, file_name, events from app.exports where user_id = %s", ids["ana"]) == [
        ("done", file.name, 20)
    ]
    # Whoever has it hands it in as any archive.
    assert setup.settings.artifacts_folder is not None
    content = (setup.settings.artifacts_folder / str(ids["ana"]) / file.name).read_bytes()
    setup.put("ben/export.zip", content=content)
    refused = setup.run("import_uploads", partition_key="ben")
    assert refused.success
    waits = "select kind, status, confirmation from app.imports where user_id = %s"
    assert setup.sql(waits, ids["ben"]) == [("myi_export", "pending", "needed")]
    setup.sql("update app.imports set confirmation = 'given' where user_id = %s", ids["ben"])
    assert setup.run("import_uploads", partition_key="ben").success
    assert setup.sql("select count(*) from raw.listening_events where user_id = %s", ids["ben"]) == [(20,)]
    assert setup.sql(waits + " and kind = 'myi_export'", ids["ben"]) == [("myi_export", "completed", "given")]
