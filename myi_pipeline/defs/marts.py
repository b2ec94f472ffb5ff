"""dbt's models as assets, its data tests as their checks, and one refresh as one step.

What a refresh does is decided in marts/refresh, as for `myi refresh`; here its result becomes materializations and
check results.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from myi_pipeline.defs.dbt_definitions import DagsterDbtTranslator, dbt_assets
from myi_pipeline.defs.resources import DBT_POOL, OWNERS, Installation, start_run_correlation
from myi_pipeline.marts.dbt_runner import DbtNode, DbtProcess, dbt_environment, project
from myi_pipeline.marts.needed_models import FOLLOWS_FROM
from myi_pipeline.marts.refresh import RefreshResult, rebuild_part, refresh_marts, run_data_tests
from myi_pipeline.marts.runs import mart_lock
from myi_pipeline.postgres.connections import Warehouse
from myi_pipeline.postgres.disk_space import disk_guard

# Marts move when somebody hands in an archive. After a month the picture ages; after half a year a newer archive is
# overdue, since account data reaches back twelve months only.
_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=190), warn_window=timedelta(days=35))
# With polls every play moves them within an hour or two, but nobody listens every day of the year.
_FRESH_WITH_POLLS = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=72), warn_window=timedelta(hours=36))
WATCHED = ("fct_plays_stored", "agg_day_user", "agg_period_tracks_stored", "agg_period_artists_stored")

_NOTHING = "nothing has changed since the last refresh; set `force` in the run's config to rebuild anyway"

Events = Iterator[Any]
Manifest = dict[str, Any]
_OPS_TABLE = re.compile(r"\bops\.([a-z_]+)|\bsource\('ops', '([a-z_]+)'\)")


class MartsConfig(dg.Config):
    """Options of a run of the marts."""

    force: bool = Field(
        default=False,
        description="Rebuild the selected models completely even if nothing has changed; all marts are refreshed"
        " first.",
    )


class MartTranslator(DagsterDbtTranslator):
    """Keys are [schema, table]: of models, and of the tables that imports, polls and others write."""

    def __init__(self, docs_url: str = "", *, has_logins: bool = False) -> None:
        super().__init__()
        self._docs_url, self._has_logins = docs_url, has_logins
        # Of one manifest, by the unique id of the node.
        self._specs_of: Mapping[str, Any] | None = None
        self._specs: dict[str, dg.AssetSpec] = {}

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        if dbt_resource_props["resource_type"] == "source":
            return dg.AssetKey(source_key(dbt_resource_props))
        return dg.AssetKey([_layer(dbt_resource_props), dbt_resource_props["name"]])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return _layer(dbt_resource_props)

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
        # Dagster asks for each model some six times, by way of what depends on it: without this, two thirds of the
        # time that definitions take to load.
        if self._specs_of is not manifest:
            self._specs_of, self._specs = manifest, {}
        if unique_id not in self._specs:
            self._specs[unique_id] = self._make_asset_spec(manifest, unique_id, project)
        return self._specs[unique_id]

    def _make_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        if unique_id.startswith("model."):
            known = {dependency.asset_key for dependency in spec.deps}
            ledger = sorted({dg.AssetKey(key) for key in ops_tables_of(manifest, unique_id)} - known)
            deps = [*spec.deps, *(dg.AssetDep(key) for key in ledger)]
            slices = (manifest["nodes"][unique_id]["config"].get("meta") or {}).get("slices")
            spec = spec.replace_attributes(deps=deps, owners=OWNERS, freshness_policy=self._freshness(spec.key, slices))
        if self._docs_url:
            link = dg.MetadataValue.url(f"{self._docs_url}#!/model/{unique_id}")
            spec = spec.merge_attributes(metadata={"columns and lineage (`myi docs build`)": link})
        return spec

    def _freshness(self, key: dg.AssetKey, slices: str | None) -> dg.FreshnessPolicy | None:
        # Every play moves them. Others are built when something else changes, which may take years; a view never is.
        if self._has_logins and key.path[0] == "marts" and "days" in FOLLOWS_FROM.get(slices or "", ()):
            return _FRESH_WITH_POLLS
        return _FRESH if key.path[-1] in WATCHED else None


def _layer(properties: Mapping[str, Any]) -> str:
    """staging, intermediate or marts: the folder below models/."""
    return str(properties["fqn"][1])


def build_source_specs(manifest: Path) -> list[dg.AssetSpec]:
    """The tables that models read and do not make, each below the assets that write it."""
    return [
        dg.AssetSpec(
            dg.AssetKey(table.key),
            deps=[dg.AssetKey(writer) for writer in table.written_by],
            group_name=table.key[0],
            kinds={"postgres", "table"},
            owners=OWNERS,
            description=table.description,
        )
        for table in source_tables(load_manifest(manifest))
    ]


def build_mart_assets(manifest: Path, *, docs_url: str = "", has_logins: bool = False) -> dg.AssetsDefinition:
    """All models of the manifest, as one step that can be started for some of them; each links into `docs_url`.

    `has_logins`: whether Spotify is polled for anybody, on which it depends when a mart counts as stale.
    """

    translator = MartTranslator(docs_url, has_logins=has_logins)
    parsed = load_manifest(manifest)

    @dbt_assets(manifest=parsed, dagster_dbt_translator=translator, name="marts", pool=DBT_POOL)
    def marts(
        context: dg.AssetExecutionContext, config: MartsConfig, installation: dg.ResourceParam[Installation]
    ) -> Events:
        correlation = start_run_correlation(context.run)
        with installation.open() as warehouse, DbtProcess(warm=installation.settings.dbt_socket) as dbt:
            settings = installation.settings
            environment = dbt_environment(warehouse, target=settings.dbt_target, logs=settings.dbt_logs)
            if context.selected_asset_keys:
                result = _refresh(context, installation, warehouse, dbt, environment, config, correlation)
                for sentence in result.held_back:
                    context.log.warning(sentence)
                yield from _materializations(context, parsed, translator, result)
                if result.status == "completed" and not context.selected_asset_check_keys:
                    every = _keys_of_checks(parsed, translator)
                    called = {
                        unique_id: key
                        for unique_id, key in every.items()
                        if result.calls_for is None or key.name in result.calls_for
                    }
                    for check in _check_results(called, len(every), warehouse, dbt, environment):
                        context.log_event(_evaluation(check))
            if context.selected_asset_check_keys:
                every = _keys_of_checks(parsed, translator)
                chosen = {name: key for name, key in every.items() if key in context.selected_asset_check_keys}
                yield from _check_results(chosen, len(every), warehouse, dbt, environment)

    return marts


def _refresh(
    context: dg.AssetExecutionContext,
    installation: Installation,
    warehouse: Warehouse,
    dbt: DbtProcess,
    environment: Mapping[str, str],
    config: MartsConfig,
    correlation: str,
) -> RefreshResult:
    selected = {".".join(key.path) for key in context.selected_asset_keys}
    models = [name.partition(".")[2] for name in sorted(selected)]
    is_whole = selected >= set(project().relations)

    def log_node(name: str, status: str) -> None:
        context.log.info(f"{name}: {status}")

    if config.force and not is_whole:
        return rebuild_part(
            warehouse,
            dbt=dbt,
            environment=environment,
            models=models,
            correlation_id=correlation,
            on_node=log_node,
        )
    return refresh_marts(
        warehouse,
        dbt=dbt,
        environment=environment,
        select=None if is_whole else " ".join(models),
        rebuild=config.force,
        run_tests=False,
        correlation_id=correlation,
        on_node=log_node,
        disk=disk_guard(installation.settings),
    )


def _materializations(
    context: dg.AssetExecutionContext, manifest: Manifest, translator: MartTranslator, result: RefreshResult
) -> Events:
    """The models that were built, also those of a run that failed later. Raises Failure."""
    if result.status == "nothing":
        context.log.info(f"skipped: {_NOTHING}")
        for key in sorted(context.selected_asset_keys):
            context.log_event(
                dg.AssetObservation(key, description=f"skipped: {_NOTHING}", metadata={"skipped": _NOTHING})
            )
        return
    context.log.info(
        f"mart run {result.run_id} {result.status}: {result.changed_days} days, {result.changed_contents} contents,"
        f" {result.changed_users} users changed{', everything is rebuilt' if result.is_rebuild else ''};"
        f" {len(result.models)} models built, {result.models_skipped} skipped as unaffected"
    )
    for node in result.models:
        if node.status == "success":
            key = translator.get_asset_key(manifest["nodes"][node.unique_id])
            yield dg.MaterializeResult(key, metadata=_metadata(node))
    if result.status == "failed":
        raise dg.Failure(description=result.error, allow_retries=False)


def _keys_of_checks(manifest: Manifest, translator: MartTranslator) -> dict[str, dg.AssetCheckKey]:
    """Of each data test, by its unique id."""
    return {
        unique_id: dg.AssetCheckKey(translator.get_asset_key(manifest["nodes"][model]), test)
        for unique_id, (test, model) in tests_of(manifest).items()
    }


def _evaluation(check: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """The same as an event of its own: Dagster remarks on each selected check that a step leaves out, so a refresh
    selects none and tells of those that what it built calls for."""
    assert check.asset_key is not None
    assert check.check_name is not None
    return dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.check_name,
        passed=check.passed,
        metadata=check.metadata,
        severity=check.severity,
        description=check.description,
    )


def _check_results(
    chosen: Mapping[str, dg.AssetCheckKey],
    of_all: int,
    warehouse: Warehouse,
    dbt: DbtProcess,
    environment: Mapping[str, str],
) -> Iterator[dg.AssetCheckResult]:
    """The chosen data tests. One that fails is a failed check; it does not fail the run, whose work is done."""
    if not chosen:
        return
    select = ["test_type:data"] if len(chosen) == of_all else sorted(key.name for key in chosen.values())
    # The target folder is shared with refreshes.
    with mart_lock(warehouse):
        result = run_data_tests(dbt, environment=environment, select=select)
    for node in result.nodes:
        if node.unique_id in chosen and node.status != "skipped":
            key = chosen[node.unique_id]
            rows = {} if node.failures is None else {"dagster_dbt/failed_row_count": node.failures}
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=node.status == "pass",
                severity=dg.AssetCheckSeverity.WARN if node.status == "warn" else dg.AssetCheckSeverity.ERROR,
                description=node.message,
                metadata={**_metadata(node), **rows},
            )
    if not result.nodes:
        raise dg.Failure(description=f"dbt ran no tests: {result.error}", allow_retries=False)


def _metadata(node: DbtNode) -> dict[str, Any]:
    rows = {} if node.rows is None else {"rows written": node.rows}
    return {"Execution Duration": node.seconds, "unique_id": node.unique_id, "status": node.status, **rows}


@dataclass(frozen=True)
class SourceTable:
    """A table that dbt reads and does not make. `written_by` names assets; without one, nothing here writes it."""

    key: tuple[str, ...]
    description: str
    written_by: tuple[str, ...] = ()


def source_tables(manifest: Mapping[str, Any]) -> list[SourceTable]:
    """Every table of sources.yml, by its asset key."""
    return [
        SourceTable(source_key(source), source["description"], tuple(_meta(source).get("written_by", ())))
        for source in manifest["sources"].values()
    ]


def source_key(source: Mapping[str, Any]) -> tuple[str, ...]:
    """What its meta says, else schema and name."""
    given = _meta(source).get("dagster", {}).get("asset_key")
    return tuple(given or (source["source_name"], source["name"]))


def _meta(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    meta: Mapping[str, Any] = properties["config"].get("meta") or {}
    return meta


def ops_tables_of(manifest: Mapping[str, Any], unique_id: str) -> set[tuple[str, ...]]:
    """Tables of the change ledger and of the open run that a model reads: by its own code, or by the macros it calls.

    dbt itself does not see them: what stands inside is_incremental() is not part of a parsed model.
    """
    node = manifest["nodes"][unique_id]
    texts = [node["raw_code"], json.dumps(_meta(node))]
    package = f"macro.{node['package_name']}."
    # The slices in a model's meta may be a macro's name.
    waiting, seen = [*node["depends_on"]["macros"], f"{package}{_meta(node).get('slices', '')}"], set[str]()
    while waiting:
        name = waiting.pop()
        macro = manifest["macros"].get(name) if name.startswith(package) else None
        if macro is None or name in seen:
            continue
        seen.add(name)
        texts.append(macro["macro_sql"])
        waiting += macro["depends_on"]["macros"]
    found: set[tuple[str, ...]] = {
        ("ops", table) for text in texts for found in _OPS_TABLE.findall(text) for table in found if table
    }
    return found & {source_key(source) for source in manifest["sources"].values()}


def load_manifest(path: Path) -> Manifest:
    """The manifest, in which a test of several models belongs to the one that builds on most of the others.

    Dagster would show such a test as an observation only, unless each named its model in its meta.
    """
    manifest: Manifest = json.loads(path.read_text(encoding="utf-8"))
    for unique_id, node in manifest["nodes"].items():
        if unique_id.startswith("test.") and not node.get("attached_node"):
            models = [each for each in node["depends_on"]["nodes"] if each.startswith("model.")]
            if models:
                node["attached_node"] = max(models, key=lambda model: (len(_ancestors(manifest, model)), model))
    return manifest


def tests_of(manifest: Manifest) -> dict[str, tuple[str, str]]:
    """Name and model of each data test in load_manifest()'s manifest, by the test's unique id."""
    return {
        unique_id: (node["name"], node["attached_node"])
        for unique_id, node in manifest["nodes"].items()
        if unique_id.startswith("test.") and node.get("attached_node")
    }


def _ancestors(manifest: Manifest, unique_id: str) -> set[str]:
    found: set[str] = set()
    waiting = [unique_id]
    while waiting:
        for parent in manifest["parent_map"].get(waiting.pop(), []):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found
