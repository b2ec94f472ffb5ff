"""Finds the folders and files that are installed with MYI: the dbt project and Dagster's settings."""

from __future__ import annotations

from pathlib import Path

from myi_pipeline.errors import Permanent

_PACKAGE = Path(__file__).resolve().parent


def package_data(name: str) -> Path:
    """`dbt_project` or `dagster.yaml`: inside the package or, in a clone, beside it. Raises Permanent."""
    for folder in (_PACKAGE, _PACKAGE.parent):
        if (folder / name).exists():
            return folder / name
    raise Permanent(f"{name} is missing from this installation: install MYI again")
