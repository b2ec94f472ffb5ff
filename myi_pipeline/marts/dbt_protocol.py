"""What the two sides of dbt's process agree on; imports no dbt."""

from __future__ import annotations

from pathlib import Path

from myi_pipeline.marts.parsed_project import fingerprint_of, manifest_fingerprint, project_folder

# Targets of profiles.yml: only the first one builds the live marts.
LIVE_TARGET, VERIFY_TARGET = "warehouse", "verify"
# The variable with the folder for the parsed project.
KEPT = "MYI_DBT_KEPT"


def code_fingerprint() -> str:
    """A fingerprint of all code that a dbt process keeps in memory: the project, dbt, and this package."""
    folder = Path(__file__).parent
    return fingerprint_of(folder, list(folder.glob("*.py")), start=manifest_fingerprint(project_folder()))
