"""The asset of what people upload: one partition a user.

Belongs here: one run's users, one after the other, and what Dagster is told of each. Not here: importing. Invariant: a
partition is reported as materialized only for a user whose archives all came in; one user's failure stops nobody else.
"""

import logging
from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from myi_pipeline.core.errors import MyiError, Transient
from myi_pipeline.defs.partitions import users_partitions
from myi_pipeline.defs.reporting import metadata_of_imports
from myi_pipeline.defs.resources import Installation, start_run_correlation
from myi_pipeline.services.check_house import Finding, accounting_closes
from myi_pipeline.services.import_uploads import FailedArchive, UserImports, import_uploads
from myi_pipeline.services.open_warehouse import Warehouse

log = logging.getLogger(__name__)

LISTENING_HISTORY = dg.AssetKey("listening_history")
ACCOUNTING_CHECK = "accounting_closes"
LOAD_POOL = "warehouse_load"
_TRANSIENT_RETRIES, _RETRY_AFTER_S = 2, 30


class ImportConfig(dg.Config):
    """What a run of listening_history can be told."""

    archives: list[str] = Field(
        default=[],
        description="Only these, as paths below the uploads folder; none: all archives that lie there, known or not.",
    )
    failing_users_allowed: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The run fails when more than this part of the users with archives failed.",
    )


@dg.asset(
    key=LISTENING_HISTORY,
    partitions_def=users_partitions,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="sources",
    kinds={"python", "postgres"},
    pool=LOAD_POOL,
    output_required=False,
    description="Uploaded history archives of each user, loaded into the raw layer. A backfill imports again what still"
    " lies in the uploads folder, and names what does not.",
)
def listening_history(
    context: dg.AssetExecutionContext, config: ImportConfig, installation: dg.ResourceParam[Installation]
) -> Iterator[dg.Output[None]]:
    users = list(context.partition_keys)
    if not users:
        raise dg.Failure("no user lies in this range: its first key stands after its last", allow_retries=False)
    correlation = start_run_correlation(context.run)
    failed: dict[str, tuple[FailedArchive, ...]] = {}
    busy = 0
    with installation.open() as warehouse:
        for user_key in users:
            names = [name for name in config.archives if name.split("/")[0] == user_key]
            if config.archives and not names:
                continue
            imports = _import_user(installation, warehouse, user_key, names or None, correlation)
            _report(context, imports)
            busy += not imports.is_untouched
            if imports.failures:
                failed[user_key] = imports.failures
        if busy:
            _log_accounting(context, accounting_closes(warehouse))
    _fail_if_too_many(context, failed, busy, config.failing_users_allowed)
    yield from ()


def _import_user(
    installation: Installation, warehouse: Warehouse, user_key: str, names: list[str] | None, correlation: str
) -> UserImports:
    try:
        return import_uploads(
            warehouse,
            settings=installation.settings,
            user_key=user_key,
            names=names,
            correlation_id=correlation,
        )
    except Exception as error:
        # Also a bug that one user's data brings to light must not cost the others their run.
        log.exception("the imports of a user failed", extra={"user_key": user_key})
        text = str(error) if isinstance(error, MyiError) else type(error).__name__
        return UserImports(user_key, failures=(FailedArchive(user_key, text, isinstance(error, Transient)),))


def _report(context: dg.AssetExecutionContext, imports: UserImports) -> None:
    for remark in (
        *imports.remarks,
        *(f"{each} was imported, but is not in the uploads folder: it is not imported again" for each in imports.gone),
    ):
        context.log.info(f"{imports.user_key}: {remark}")
    for failure in imports.failures:
        context.log.error(f"{imports.user_key}: {failure.name}: {failure.error}")
    metadata = metadata_of_imports(imports)
    if imports.results and not imports.failures:
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
