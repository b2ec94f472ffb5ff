"""What happens because something happened.

Belongs here: looking every half minute at the users, the uploads folder and the change ledger, and asking for runs. Not
here: what is looked for (services). Invariant: the same content, or the same state of the ledger, is asked for once; a
look never fails because of what one user put into the folder.
"""

import time
from collections.abc import Sequence
from hashlib import sha256
from itertools import groupby
from typing import TYPE_CHECKING

import dagster as dg

from myi_pipeline.defs.jobs import REFRESH_MARTS, import_uploads_job
from myi_pipeline.defs.partitions import (
    KEYS_A_CALL,
    RANGE_END,
    RANGE_START,
    UNFINISHED,
    USERS,
    missing_keys,
    surplus_keys,
    users_partitions,
)
from myi_pipeline.defs.resources import CORRELATION_TAG, Installation
from myi_pipeline.services.open_refresh import open_work
from myi_pipeline.services.plan_uploads import WantedImport, find_wanted_imports
from myi_pipeline.services.scan_uploads import UploadsSeen

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition as Job

# A run is a process of 200 MB and 8 s: neighbours share one, and the rest waits for the next look.
RUNS_A_LOOK = 10
_LOOK_EVERY_S = 30
_REMARKS_SHOWN = 10


@dg.sensor(
    name="users",
    target=None,
    minimum_interval_seconds=_LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Gives every new user a partition, in sign-up order, and takes away those of users who are gone.",
)
def users_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult | dg.SkipReason:
    with installation.open() as warehouse:
        missing = missing_keys(context.instance, warehouse)[:KEYS_A_CALL]
        surplus = surplus_keys(context.instance, warehouse)[:KEYS_A_CALL]
    if not missing and not surplus:
        return dg.SkipReason("all users have their partition")
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if missing:
        requests.append(users_partitions.build_add_request(missing))
    if surplus:
        requests.append(users_partitions.build_delete_request(surplus))
    return dg.SensorResult(dynamic_partitions_requests=requests)


@dg.sensor(
    name="uploads",
    job=import_uploads_job,
    minimum_interval_seconds=_LOOK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Imports each archive in the uploads folder once, when it is complete.",
)
def uploads_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult:
    seen = UploadsSeen.from_text(context.cursor)
    with installation.open() as warehouse:
        plan = find_wanted_imports(warehouse, settings=installation.settings, seen=seen, now_s=time.time())
    for remark in plan.remarks:
        context.log.info(remark)
    keys = context.instance.get_dynamic_partitions(USERS)
    # A user who signed up this moment gets a partition from the sensor above first.
    ready = [wanted for wanted in plan.wanted if wanted.user_key in set(keys)]
    runs = _neighbours(ready, keys)[:RUNS_A_LOOK]
    asked = [wanted for run in runs for wanted in run]
    return dg.SensorResult(
        run_requests=[_run_request(run) for run in runs] or None,
        skip_reason=None if runs else "; ".join(plan.remarks[:_REMARKS_SHOWN]) or "nothing new in the uploads folder",
        cursor=plan.with_asked(asked).as_text(),
    )


def _neighbours(wanted: Sequence[WantedImport], keys: Sequence[str]) -> list[list[WantedImport]]:
    """Imports of users who stand next to each other share a run, because a run holds one contiguous range."""
    place = {key: number for number, key in enumerate(keys)}
    in_order = sorted(wanted, key=lambda each: place[each.user_key])
    users = sorted({place[each.user_key] for each in in_order})
    # Numbers that follow one another keep the same distance to their rank.
    group = {number: number - rank for rank, number in enumerate(users)}
    return [list(run) for _, run in groupby(in_order, key=lambda each: group[place[each.user_key]])]


def _run_request(run: Sequence[WantedImport]) -> dg.RunRequest:
    key = sha256("\n".join(sorted(each.key for each in run)).encode()).hexdigest()[:32]
    config = {"ops": {"listening_history": {"config": {"archives": [each.name for each in run]}}}}
    first, last = run[0].user_key, run[-1].user_key
    tags = {CORRELATION_TAG: f"upload-{key[:12]}"}
    if first == last:
        return dg.RunRequest(run_key=key, partition_key=first, run_config=config, tags=tags)
    return dg.RunRequest(run_key=key, run_config=config, tags=tags | {RANGE_START: first, RANGE_END: last})


def build_changes_sensor(refresh_job: "Job") -> dg.SensorDefinition:
    @dg.sensor(
        name="changes",
        job=refresh_job,
        minimum_interval_seconds=_LOOK_EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Refreshes the marts soon after an import, whoever made it. A state of the ledger at which one"
        " failed is left to the hourly schedule.",
    )
    def changes_sensor(
        context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
    ) -> dg.RunRequest | dg.SkipReason:
        with installation.open() as warehouse:
            work = open_work(warehouse)
        if not work.is_any:
            return dg.SkipReason("nothing has changed since the last refresh")
        if work.is_import_running:
            return dg.SkipReason("an import is still adding to the change ledger")
        busy = dg.RunsFilter(job_name=REFRESH_MARTS, statuses=UNFINISHED)
        if context.instance.get_runs(busy, limit=1):
            return dg.SkipReason("a refresh is already under way")
        return dg.RunRequest(run_key=work.newest, tags={CORRELATION_TAG: f"changes-{work.newest}"[:64]})

    return changes_sensor
