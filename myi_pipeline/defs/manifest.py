"""dbt's manifest as Dagster sees it: each data test as the check of one model, and the tables that models read."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
_OPS_TABLE = re.compile(r"\bops\.([a-z_]+)|\bsource\('ops', '([a-z_]+)'\)")


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
