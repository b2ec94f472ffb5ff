"""The dbt project as parsed by dbt, stored so that nobody parses it twice.

A parse takes 12 s of CPU. Its result depends on the project's files, on dbt and on the name of the database: it is
stored in a folder named by a fingerprint of the first two, and load_parsed() fills in the third. A wheel contains the
folder for its own project (`make wheel`); if that is missing, or is for another dbt, the first dbt that runs creates
one in MYI_HOME. Importing this module does not import dbt.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from myi_pipeline.package_data import package_data

MANIFEST, PACKED = "manifest.json", "project.msgpack"
# Below the dbt project: what a wheel contains.
SHIPPED = "parsed"
_KEPT_MANIFESTS = 3
_PARSED = (".sql", ".yml", ".yaml", ".md", ".csv")
_MADE_BY_DBT = ("target", "logs", "dbt_packages", SHIPPED)
# Their macros and the structure of their manifest are part of what was parsed.
_PARSERS = ("dbt-core", "dbt-postgres", "dbt-adapters", "dbt-common")


@dataclass(frozen=True)
class Model:
    """What a mart run must know about a model: the macro for its slices, and whether it is a view."""

    name: str
    slices: str | None
    is_view: bool


@dataclass(frozen=True)
class DataTest:
    """A data test, the models it reads, and whether a unique index has already proved the same."""

    name: str
    models: frozenset[str]
    is_proved_by_index: bool


@dataclass(frozen=True)
class Contents:
    """Models and data tests of a parsed project."""

    models: Mapping[str, Model] = field(default_factory=dict)
    tests: tuple[DataTest, ...] = ()


def project_folder() -> Path:
    """The dbt project of this installation. Raises Permanent if there is none."""
    return package_data("dbt_project")


def fingerprint_of(folder: Path, files: Sequence[Path], *, start: str = "") -> str:
    digest = hashlib.sha256(start.encode())
    for file in sorted(files):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def manifest_fingerprint(project: Path) -> str:
    """Changes with every file that dbt parses, including tests and descriptions, and with dbt itself."""
    found = [
        path
        for path in project.rglob("*")
        if path.suffix in _PARSED and path.relative_to(project).parts[0] not in _MADE_BY_DBT
    ]
    return fingerprint_of(project, found, start=" ".join(map(version, _PARSERS)))[:20]


def find_parsed(kept: Path) -> Path | None:
    """The folder for the project as its files are now: the one that was shipped, or one in `kept`."""
    project = project_folder()
    name = manifest_fingerprint(project)
    for folder in (project / SHIPPED / name, kept / name):
        if (folder / PACKED).is_file() and (folder / MANIFEST).is_file():
            return folder
    return None


def keep_parsed(manifest: Any, *, kept: Path, name: str) -> Path:
    """Write what dbt has parsed (its Manifest) into the folder `name` of `kept`, atomically."""
    from dbt.parser.manifest import extended_mashumaro_encoder

    wanted, made = kept / name, kept / f"{name}.{os.getpid()}"
    made.mkdir(parents=True)
    try:
        manifest.write(str(made / MANIFEST))
        # The files' paths and the environment's values are specific to this machine; only a later parse would use them.
        # The flat graph repeats all of it for macros that read `graph`, of which there are none.
        left_out: dict[str, Any] = {"files": {}, "env_vars": {}, "flat_graph": {}}
        kept_back = {name: getattr(manifest, name) for name in left_out}
        try:
            vars(manifest).update(left_out)
            (made / PACKED).write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))
        finally:
            vars(manifest).update(kept_back)
        if wanted.exists():
            shutil.rmtree(wanted, ignore_errors=True)
        made.replace(wanted)
    except OSError:
        # Another process was faster.
        if not (wanted / PACKED).is_file():
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    _remove_old(kept, keep=wanted)
    return wanted


def load_parsed(folder: Path, *, database: str) -> Any:
    """dbt's Manifest, for a database of this name: nothing else in it depends on the environment."""
    from dbt.contracts.graph.manifest import Manifest
    from dbt.parser.manifest import extended_mashumuro_decoder

    return for_database(Manifest.from_msgpack((folder / PACKED).read_bytes(), extended_mashumuro_decoder), database)


def for_database(manifest: Any, database: str) -> Any:
    """The same manifest, changed where it names the database."""
    disabled = (node for nodes in manifest.disabled.values() for node in nodes)
    for node in (*manifest.nodes.values(), *manifest.sources.values(), *manifest.unit_tests.values(), *disabled):
        parsed_for = getattr(node, "database", None)
        if parsed_for in (None, database):
            continue
        node.database = database
        if relation := getattr(node, "relation_name", None):
            node.relation_name = relation.replace(f'"{parsed_for}".', f'"{database}".', 1)
    return manifest


def contents_of(folder: Path) -> Contents:
    """The models and data tests in a folder that find_parsed() found."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    nodes: Mapping[str, Mapping[str, Any]] = manifest["nodes"]
    models = [node for node in nodes.values() if node["resource_type"] == "model"]
    views = {node["unique_id"] for node in models if node["config"]["materialized"] == "view"}
    return Contents(
        {node["name"]: _model(node, is_view=node["unique_id"] in views) for node in models},
        tuple(_test(node, views) for node in nodes.values() if node["resource_type"] == "test"),
    )


def _model(node: Mapping[str, Any], *, is_view: bool) -> Model:
    return Model(node["name"], (node["config"].get("meta") or {}).get("slices"), is_view)


def _test(node: Mapping[str, Any], views: set[str]) -> DataTest:
    models = [each for each in node["depends_on"]["nodes"] if each.startswith("model.")]
    kind = (node.get("test_metadata") or {}).get("name")
    is_proved = kind == "unique_combination" and not views.intersection(models)
    return DataTest(node["name"], frozenset(each.rpartition(".")[2] for each in models), is_proved)


def _remove_old(kept: Path, *, keep: Path) -> None:
    """Others may still be reading a previous one: the newest few are kept."""
    found = [path for path in kept.iterdir() if path.is_dir() and path != keep]
    for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT_MANIFESTS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
