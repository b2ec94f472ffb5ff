"""Backups that Dagster makes: when they are due, what fails them, and what a restored Dagster forgets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.test_utils import create_run_for_test

from myi_pipeline.definitions import build_definitions
from myi_pipeline.defs.commands import settle_restored
from myi_pipeline.storage.backups import FolderBackups
from tests.dagster.conftest import Setup


def test_a_backup_is_made_when_it_is_due_and_a_restored_dagster_ends_its_runs(setup: Setup, tmp_path: Path) -> None:
    setup.add_users("ana")
    now = datetime.now(UTC)
    place = tmp_path / "backups"

    def with_settings(**changes: Any) -> Setup:
        settings = setup.settings.model_copy(update=changes)
        return Setup(settings, setup.warehouse, setup.instance, build_definitions(settings))

    def tick(at: datetime, chosen: Setup) -> Any:
        schedule = chosen.definitions.resolve_schedule_def("backups")
        context = dg.build_schedule_context(
            instance=chosen.instance, resources=chosen.resources, scheduled_execution_time=at
        )
        return schedule(context)

    assert isinstance(tick(now, setup), dg.SkipReason)
    scheduled = with_settings(backup=str(place))
    request = tick(now, scheduled)
    assert isinstance(request, dg.RunRequest)
    # Nothing seals the secrets, and nobody said that they may be left out.
    assert not scheduled.run("back_up").success
    assert FolderBackups(place).names() == ()

    scheduled = with_settings(backup=str(place), backup_without_secrets=True)
    done = scheduled.run("back_up", tags=request.tags)
    assert done.success
    (name,) = FolderBackups(place).names()
    assert setup.sql("select name, state, is_scheduled from ops.backups") == [(name, "completed", True)]
    assert isinstance(tick(now, scheduled), dg.SkipReason)
    assert isinstance(tick(now + timedelta(days=1), scheduled), dg.RunRequest)

    run = create_run_for_test(setup.instance, job_name="back_up", status=dg.DagsterRunStatus.STARTED)
    assert settle_restored(setup.instance, setup.settings) == 1
    ended = setup.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.CANCELED
    assert setup.instance.get_dynamic_partitions("users") == ["ana"]
    assert settle_restored(setup.instance, setup.settings) == 0
