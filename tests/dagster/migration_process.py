"""Runs one migration's job in a process of its own, which a test kills: `python -m tests.dagster.migration_process N`.

Standard input is the settings as JSON, and the moment that its clock shows.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime

import dagster as dg

from myi_pipeline.definitions import build_definitions
from myi_pipeline.settings import load_settings

if __name__ == "__main__":
    told = json.load(sys.stdin)
    now = datetime.fromisoformat(told.pop("now"))
    settings = load_settings().model_copy(update=told)
    with dg.DagsterInstance.get() as instance:
        build_definitions(settings, clock=lambda: now).resolve_job_def("playlist_migration").execute_in_process(
            instance=instance, run_config={"migration_id": int(sys.argv[1])}
        )
