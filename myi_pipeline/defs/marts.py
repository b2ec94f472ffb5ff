"""dbt's models as assets, its data tests as their checks.

Belongs here: names and lineage of models in Dagster, and one refresh as one step. Not here: what a refresh is
(services/open_refresh), any SQL. Invariant: the mart run is closed before a test runs, and only when dbt reported every
model as built; with nothing in the ledger dbt is not started.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliInvocation, DbtCliResource, dbt_assets

from myi_pipeline.defs.listening_history import LISTENING_HISTORY
from myi_pipeline.defs.manifest import load_manifest
from myi_pipeline.defs.recently_played import RECENTLY_PLAYED
from myi_pipeline.defs.resources import Installation, start_run_correlation
from myi_pipeline.services.dbt_manifest import dbt_executable
from myi_pipeline.services.dbt_runner import dbt_environment, project_folder
from myi_pipeline.services.open_refresh import open_refresh

DBT_POOL = "dbt"
USERS_TABLE = dg.AssetKey(["app", "users"])
# Marts move when somebody hands in an archive. After a month the picture ages; after half a year a newer archive is
# overdue, since account data reaches back twelve months only.
_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=190), warn_window=timedelta(days=35))
WATCHED = ("fct_plays", "agg_day_user", "agg_period_tracks", "agg_period_artists")

Events = Iterator[Any]


class MartTranslator(DagsterDbtTranslator):
    """Keys are [schema, model]; whatever imports and polls write stands in the graph as what writes it."""

    def __init__(self, docs_url: str = "") -> None:
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))
        self._docs_url = docs_url

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            is_users = dbt_resource_props["source_name"] == "app"
            return USERS_TABLE if is_users else LISTENING_HISTORY
        return dg.AssetKey([_layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return _layer(dbt_resource_props)

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        # dbt knows a source as one thing; plays come from two.
        if any(dependency.asset_key == LISTENING_HISTORY for dependency in spec.deps):
            spec = spec.replace_attributes(deps=[*spec.deps, dg.AssetDep(RECENTLY_PLAYED)])
        if self._docs_url:
            link = dg.MetadataValue.url(f"{self._docs_url}#!/model/{unique_id}")
            spec = spec.merge_attributes(metadata={"columns and lineage (`myi docs build`)": link})
        return spec.replace_attributes(freshness_policy=_FRESH) if spec.key.path[-1] in WATCHED else spec


def _layer(properties: Mapping[str, Any]) -> str:
    """staging, intermediate or marts: the folder below models/."""
    return str(properties["fqn"][1])


def build_dbt_resource() -> DbtCliResource:
    folder = str(project_folder())
    return DbtCliResource(project_dir=folder, profiles_dir=folder, dbt_executable=dbt_executable())


def build_mart_assets(manifest: Path, *, docs_url: str = "") -> dg.AssetsDefinition:
    """All models of the manifest, as one step that can be started for some of them; each links into `docs_url`."""

    @dbt_assets(
        manifest=load_manifest(manifest),
        dagster_dbt_translator=MartTranslator(docs_url),
        name="marts",
        pool=DBT_POOL,
    )
    def marts(
        context: dg.AssetExecutionContext, dbt: DbtCliResource, installation: dg.ResourceParam[Installation]
    ) -> Events:
        correlation = start_run_correlation(context.run)
        with installation.open() as warehouse, _artifacts(installation, context.run.run_id) as folder:
            environment = dbt_environment(warehouse, target=folder, logs=folder)
            with open_refresh(warehouse, correlation_id=correlation) as run:
                if run is None:
                    context.log.info("nothing has changed: no model is built")
                    return
                context.log.info(
                    f"mart run {run.run_id}: {run.changed_days} days, {run.changed_contents} contents,"
                    f" {run.changed_users} users changed{', everything is rebuilt' if run.is_rebuild else ''}"
                )
                with _in_environment({**environment, **run.environment}):
                    building = dbt.cli(["run"], context=context, target_path=folder / "run")
                    yield from building.stream()
                status = run.finish(_built_models(building))
                context.log.info(f"mart run {run.run_id} {status}")
            with _in_environment(environment):
                # A failing test is a failed check; it does not fail the run, whose work is done.
                select = ["test", "--exclude", "test_type:unit"]
                yield from dbt.cli(select, context=context, target_path=folder / "test", raise_on_error=False).stream()

    return marts


def _built_models(invocation: DbtCliInvocation) -> set[str]:
    """Names of the models that dbt says it built."""
    results = invocation.get_artifact("run_results.json")["results"]
    good = (each["unique_id"] for each in results if each["status"] == "success")
    return {unique_id.rpartition(".")[2] for unique_id in good if unique_id.startswith("model.")}


@contextmanager
def _artifacts(installation: Installation, run_id: str) -> Iterator[Path]:
    """A folder for one run's files. It goes with the run: compiled SQL and logs would grow without end."""
    folder = installation.settings.dbt_target.parent / "runs" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _in_environment(values: Mapping[str, str]) -> Iterator[None]:
    """dagster_dbt takes dbt's variables from this process's environment, and from nowhere else."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
