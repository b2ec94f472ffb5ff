"""Uploaded archives in Dagster: the asset, the sensor that asks for its runs, and what a person sees of an import.

A partition (a user) is reported as materialized only when all of that user's archives came in, and one user's failure
stops nobody else. Whether a run is asked for follows from the database and from the runs that exist now, never from
Dagster's memory of run keys. Metadata holds names of archives and files, counts, times and reasons; nothing personal.
"""

import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import uuid4

import dagster as dg
import psycopg
from pydantic import Field

from myi_pipeline.archives.uploads.import_uploads import FailedArchive, UserImports, import_uploads
from myi_pipeline.archives.uploads.plan import RunState, WantedImport, find_wanted_imports, request_imports
from myi_pipeline.archives.uploads.scan import UploadsSeen
from myi_pipeline.defs.archive_metadata import metadata_of_imports
from myi_pipeline.defs.partitions import (
    RANGE_END,
    RANGE_START,
    USERS,
    user_asset,
    users_of_run,
)
from myi_pipeline.defs.queues import in_queue
from myi_pipeline.defs.resources import (
    CORRELATION_TAG,
    Installation,
    ask_warehouse,
    build_check,
    start_run_correlation,
)
from myi_pipeline.errors import MyiError, Transient
from myi_pipeline.operations import checks
from myi_pipeline.operations.archive_playlists import import_archive_playlists
from myi_pipeline.operations.checks import Finding, accounting_closes
from myi_pipeline.operations.remove_users import finish_removals
from myi_pipeline.operations.take_away.bring_back import bring_back
from myi_pipeline.postgres.connections import Warehouse

log = logging.getLogger(__name__)

LISTENING_HISTORY = dg.AssetKey("listening_history")
ACCOUNTING_CHECK = "accounting_closes"
LOAD_POOL = "warehouse_load"
_MISSING = "requested archives are missing from the uploads folder or belong to a user outside this run: {}"
_NAMED = 20
# Tags of Dagster: of runs that a sensor asked for, and of those that repeat a crashed one by themselves.
_RUN_KEY, _RETRY_TAG = "dagster/run_key", "dagster/retry_number"
_TRANSIENT_RETRIES, _RETRY_AFTER_S = 2, 30
# A run is a process of 200 MB and 8 s: users beside each other share one, and the rest waits for the next tick.
RUNS_A_TICK = 10
# New files wake it (wake_ups).
_TICK_EVERY_S = 300
_REMARKS_SHOWN = 10
# Logs and Dagster's records are read whole, which takes as long as they are.
_LOOKS_FOR_TRACES_EVERY = timedelta(hours=1)


class ImportConfig(dg.Config):
    """Options of a run of listening_history."""

    archives: list[str] = Field(
        default=[],
        description="Only these archives, as paths below the uploads folder; default: all archives in that folder,"
        " known or not. The run fails if one does not exist or belongs to a user outside the run.",
    )
    failing_users_allowed: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The run fails if more than this fraction of the users with archives failed.",
    )


@user_asset(
    key=LISTENING_HISTORY,
    pool=LOAD_POOL,
    description="Uploaded history archives of each user, loaded into the raw layer. A backfill imports archives again"
    " that are still in the uploads folder, and names those that are not.",
)
def listening_history(
    context: dg.AssetExecutionContext, config: ImportConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = users_of_run(context)
    correlation = start_run_correlation(context.run)
    failed: dict[str, tuple[FailedArchive, ...]] = {}
    busy = 0
    missing = [name for name in config.archives if name.split("/")[0] not in users]
    with installation.open() as warehouse:
        for user_key in users:
            names = [name for name in config.archives if name.split("/")[0] == user_key]
            if config.archives and not names:
                continue
            imports = _import_user(
                installation, warehouse, user_key, names or None, correlation=correlation, run=context.run
            )
            _report(context, imports)
            busy += not imports.is_untouched
            missing += imports.missing
            if imports.failures:
                failed[user_key] = imports.failures
        if busy:
            _log_accounting(context, accounting_closes(warehouse))
    _fail_if_too_many(context, failed, busy, config.failing_users_allowed)
    if missing:
        raise dg.Failure(_MISSING.format(", ".join(sorted(missing)[:_NAMED])), allow_retries=False)
    yield from ()


def _import_user(
    installation: Installation,
    warehouse: Warehouse,
    user_key: str,
    names: list[str] | None,
    *,
    correlation: str,
    run: dg.DagsterRun,
) -> UserImports:
    try:
        return import_uploads(
            warehouse,
            settings=installation.settings,
            user_key=user_key,
            names=names,
            # The sensor asks only for what has not been imported; what has been since was imported by a run that died.
            skip_imported=_is_asked_by_sensor(run),
            correlation_id=correlation,
            run_id=run.run_id,
            take_in_export=bring_back,
            import_extras=import_archive_playlists,
        )
    except Exception as error:
        # Also a bug that one user's data brings to light must not cost the others their run.
        log.exception("the imports of a user failed", extra={"user_key": user_key})
        text = str(error) if isinstance(error, MyiError) else type(error).__name__
        return UserImports(user_key, failures=(FailedArchive(user_key, text, isinstance(error, Transient)),))


def _is_asked_by_sensor(run: dg.DagsterRun) -> bool:
    """Also of a retry, which has the tags of what it repeats; not of what a person executes again."""
    return _RUN_KEY in run.tags and (run.parent_run_id is None or _RETRY_TAG in run.tags)


def _report(context: dg.AssetExecutionContext, imports: UserImports) -> None:
    for remark in (
        *imports.remarks,
        *(
            f"{each} was imported before but is no longer in the uploads folder, so it is not imported again"
            for each in imports.gone
        ),
    ):
        context.log.info(f"{imports.user_key}: {remark}")
    for failure in imports.failures:
        context.log.error(f"{imports.user_key}: {failure.name}: {failure.error}")
    metadata = metadata_of_imports(imports)
    if (imports.results or imports.done) and not imports.failures:
        context.log_event(dg.AssetMaterialization(LISTENING_HISTORY, partition=imports.user_key, metadata=metadata))
    elif not imports.is_untouched or imports.gone:
        context.log_event(dg.AssetObservation(LISTENING_HISTORY, partition=imports.user_key, metadata=metadata))


def _log_accounting(context: dg.AssetExecutionContext, finding: Finding) -> None:
    """The check of that name, asked at once: as a step of its own it is skipped when the asset yields no output."""
    evaluation = dg.AssetCheckEvaluation(
        asset_key=LISTENING_HISTORY,
        check_name=ACCOUNTING_CHECK,
        passed=finding.passed,
        metadata={name: dg.MetadataValue.int(int(value)) for name, value in finding.figures.items()},
        description=finding.text,
    )
    context.log_event(evaluation)


def _fail_if_too_many(
    context: dg.AssetExecutionContext, failed: dict[str, tuple[FailedArchive, ...]], busy: int, allowed: float
) -> None:
    if not failed or len(failed) <= allowed * busy:
        return
    failures = [failure for of_user in failed.values() for failure in of_user]
    if all(failure.is_transient for failure in failures) and context.retry_number < _TRANSIENT_RETRIES:
        raise dg.RetryRequested(max_retries=_TRANSIENT_RETRIES, seconds_to_wait=_RETRY_AFTER_S)
    first = failures[0]
    raise dg.Failure(
        f"{len(failed)} of {busy} users with archives failed; the first: {first.name}: {first.error}",
        metadata={"failed_users": sorted(failed)[:100]},
        allow_retries=False,
    )


ARCHIVE_CHECKS = [
    build_check(
        LISTENING_HISTORY,
        ACCOUNTING_CHECK,
        "In every file of every import, each row read is new, already present, identical or quarantined.",
        ask_warehouse(checks.accounting_closes),
    ),
    build_check(
        LISTENING_HISTORY,
        "events_lie_in_their_month",
        "Every partition has its month's bounds, and sampled events are within them.",
        ask_warehouse(checks.events_lie_in_their_month),
    ),
]

import_uploads_job = dg.define_asset_job(
    "import_uploads",
    # The asset runs its cheap check itself; the others wait for the daily round.
    selection=dg.AssetSelection.assets(LISTENING_HISTORY).without_checks(),
    tags=in_queue("import_uploads"),
    description="Import the archives in the uploads folder of one user or a range of users.",
)


@dg.sensor(
    name="uploads",
    job=import_uploads_job,
    minimum_interval_seconds=_TICK_EVERY_S,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Imports each archive in the uploads folder once, when it is complete. The state is in the imports'"
    " rows; the cursor only avoids hashing files again.",
)
def uploads_sensor(
    context: dg.SensorEvaluationContext, installation: dg.ResourceParam[Installation]
) -> dg.SensorResult:
    seen = UploadsSeen.from_text(context.cursor)
    keys = context.instance.get_dynamic_partitions(USERS)
    with installation.open() as warehouse:
        try:
            finish_removals(
                warehouse, installation.settings, partition_keys=keys, looks_every=_LOOKS_FOR_TRACES_EVERY, wait_s=0
            )
        except (MyiError, psycopg.Error, OSError) as error:
            # Daily maintenance tries again, and archives do not wait for it.
            context.log.warning(f"traces of erased users could not be removed: {type(error).__name__}")
        plan = find_wanted_imports(
            warehouse,
            settings=installation.settings,
            seen=seen,
            now_s=time.time(),
            find_runs=lambda request_ids: _find_runs(context.instance, request_ids),
        )
        # A user who signed up this moment first gets a partition from the sensor `users`.
        ready = [wanted for wanted in plan.wanted if wanted.user_key in set(keys)]
        runs = [run for run in _asked_for(warehouse, _neighbours(ready, keys)[:RUNS_A_TICK]) if run.imports]
    for remark in plan.remarks:
        context.log.info(remark)
    return dg.SensorResult(
        run_requests=[_run_request(run) for run in runs] or None,
        skip_reason=None if runs else "; ".join(plan.remarks[:_REMARKS_SHOWN]) or "nothing new in the uploads folder",
        cursor=plan.seen.as_text(),
    )


@dataclass(frozen=True)
class _Run:
    key: str
    imports: tuple[WantedImport, ...]


def _asked_for(warehouse: Warehouse, groups: Sequence[Sequence[WantedImport]]) -> Iterator[_Run]:
    """Each group with its run key, which is new unless the daemon never heard of it: Dagster remembers run keys for
    good, and would otherwise suppress what a re-created user or a restored database wants."""
    for group in groups:
        again = {wanted.request_id for wanted in group}
        repeated = again.pop() if len(again) == 1 else None
        key = repeated or uuid4().hex
        yield _Run(key, request_imports(warehouse, group, request_id=key))


def _find_runs(instance: dg.DagsterInstance, request_ids: Collection[str]) -> dict[str, RunState]:
    """What became of the runs that were asked for."""
    if not request_ids:
        return {}
    filters = dg.RunsFilter(job_name=import_uploads_job.name, tags={_RUN_KEY: sorted(request_ids)})
    found: dict[str, RunState] = {}
    for run in instance.get_runs(filters):
        key = run.tags[_RUN_KEY]
        # A retry of it is under its key as well.
        if not run.is_finished:
            found[key] = RunState.UNFINISHED
        else:
            found.setdefault(key, RunState.ENDED)
    return found


def _neighbours(wanted: Sequence[WantedImport], keys: Sequence[str]) -> list[list[WantedImport]]:
    """Imports of users who are next to each other share a run, because a run holds one contiguous range."""
    place = {key: number for number, key in enumerate(keys)}
    in_order = sorted(wanted, key=lambda each: place[each.user_key])
    users = sorted({place[each.user_key] for each in in_order})
    # Numbers that follow one another keep the same distance to their rank.
    group = {number: number - rank for rank, number in enumerate(users)}
    return [list(run) for _, run in groupby(in_order, key=lambda each: group[place[each.user_key]])]


def _run_request(run: _Run) -> dg.RunRequest:
    names = [each.name for each in run.imports]
    config = {"ops": {"listening_history": {"config": {"archives": names}}}}
    first, last = run.imports[0].user_key, run.imports[-1].user_key
    tags = {CORRELATION_TAG: f"upload-{run.key[:12]}"}
    if first == last:
        return dg.RunRequest(run_key=run.key, partition_key=first, run_config=config, tags=tags)
    return dg.RunRequest(run_key=run.key, run_config=config, tags=tags | {RANGE_START: first, RANGE_END: last})
