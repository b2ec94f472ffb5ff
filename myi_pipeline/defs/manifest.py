"""dbt's manifest as Dagster is to see it.

Belongs here: giving each data test one model of which it is a check. Not here: parsing (services/dbt_manifest).
Invariant: no data test is left without an asset, however many models it reads.
"""

import json
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]


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


def _ancestors(manifest: Manifest, unique_id: str) -> set[str]:
    found: set[str] = set()
    waiting = [unique_id]
    while waiting:
        for parent in manifest["parent_map"].get(waiting.pop(), []):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found
