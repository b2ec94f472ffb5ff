"""Which job's runs go to which workers: the one place that says so.

On one machine nobody looks at it. Celery reads a tag of Dagster's own for the name of the queue; Kubernetes reads what
a run's pod asks for, and its label, from another.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from myi_pipeline.operations.celery_workers import Queue

QUEUE_TAG, _KUBERNETES_TAG = "dagster-celery/queue", "dagster-k8s/config"
LABEL = "myi-queue"
# Processor and memory that a run asks for. Dagster and what it imports take 200 MB; dbt takes 150 MB beside them, and
# an import holds an archive's rows a batch at a time.
_REQUESTS: Mapping[Queue, tuple[str, str]] = {
    Queue.POLLS: ("100m", "350Mi"),
    Queue.LOADS: ("500m", "512Mi"),
    Queue.DBT: ("500m", "768Mi"),
    Queue.HOUSE: ("100m", "512Mi"),
}
QUEUES: Mapping[str, Queue] = {
    # Light, and many: they wait for other people's services.
    "poll_users": Queue.POLLS,
    "poll_services": Queue.POLLS,
    "refresh_top_items": Queue.POLLS,
    "gather_playlists": Queue.POLLS,
    "send_onward": Queue.POLLS,
    "playlist_migration": Queue.POLLS,
    # Read archives and write rows.
    "import_uploads": Queue.LOADS,
    "make_export": Queue.LOADS,
    # Near the database.
    "refresh_marts": Queue.DBT,
    "test_marts": Queue.DBT,
    # Seldom, or short.
    "check_polls": Queue.HOUSE,
    "check_services": Queue.HOUSE,
    "enrich_catalogue": Queue.HOUSE,
    "enrich_genres": Queue.HOUSE,
    "daily_maintenance": Queue.HOUSE,
    "back_up": Queue.HOUSE,
}
# Of runs that somebody asked for on Dagster's pages, which belong to no job of ours.
_QUEUES_OF_ASSETS: Mapping[str, Queue] = {
    "listening_history": Queue.LOADS,
    "recently_played": Queue.POLLS,
    "scrobbles": Queue.POLLS,
    "top_items": Queue.POLLS,
    "playlists": Queue.POLLS,
    "onward_plays": Queue.POLLS,
    "staging": Queue.DBT,
    "intermediate": Queue.DBT,
    "marts": Queue.DBT,
}
# The one that needs most decides.
_HEAVIEST_FIRST = (Queue.DBT, Queue.LOADS, Queue.POLLS, Queue.HOUSE)


def in_queue(job: str) -> dict[str, Any]:
    """Tags of a job. Raises KeyError for one that is not in QUEUES."""
    return tags_of(QUEUES[job])


def tags_of(queue: Queue) -> dict[str, Any]:
    processor, memory = _REQUESTS[queue]
    pod = {
        "container_config": {"resources": {"requests": {"cpu": processor, "memory": memory}}},
        "pod_template_spec_metadata": {"labels": {LABEL: queue.value}},
    }
    return {QUEUE_TAG: queue.value, _KUBERNETES_TAG: pod}


def queue_of(run: dg.DagsterRun) -> str:
    """The queue of a run, also of one that belongs to no job of ours; whatever its tag says goes before."""
    if named := run.tags.get(QUEUE_TAG):
        return named
    if run.job_name in QUEUES:
        return QUEUES[run.job_name].value
    keys = [*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())]
    found = {_QUEUES_OF_ASSETS.get(key.path[0], Queue.HOUSE) for key in keys}
    return next((queue for queue in _HEAVIEST_FIRST if queue in found), Queue.HOUSE).value
