"""Exports of small warehouses, and taking them in."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from myi_pipeline.archives.accounting import ImportResult
from myi_pipeline.archives.files import Limits
from myi_pipeline.operations.take_away.bring_back import bring_back
from myi_pipeline.operations.take_away.export import ExportSummary, write_export
from tests.integration.archives.conftest import archives, setup_of_module, shared_setup
from tests.integration.archives.setups import Setup

__all__ = ["archives", "setup_of_module", "shared_setup"]


def export(setup: Setup, path: Path, *, user_key: str = "ana", **options: Any) -> ExportSummary:
    with path.open("wb") as out:
        return write_export(setup.warehouse, out, user_key=user_key, **options)


def take_in(setup: Setup, path: Path, *, user_key: str = "ana", **options: Any) -> ImportResult:
    return bring_back(setup.warehouse, path=path, user_key=user_key, limits=Limits(), **options)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rows_of(path: Path, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in members(path)[f"{part}.ndjson"].splitlines()]


def changed(
    path: Path,
    target: Path,
    *,
    manifest: Callable[[dict[str, Any]], None] = lambda _: None,
    parts: Callable[[dict[str, bytes]], None] = lambda _: None,
    is_honest: bool = True,
) -> Path:
    """The export with other parts or another manifest; `is_honest`: the manifest's sums are those of the parts."""
    files = members(path)
    told = json.loads(files.pop("manifest.json"))
    parts(files)
    if is_honest:
        for name in list(told["parts"]):
            data = files.get(name)
            if data is not None:
                rows = data.count(b"\n") - name.endswith(".csv")
                told["parts"][name] = {"rows": rows, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest(told)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
        out.writestr("manifest.json", json.dumps(told))
    return target
