"""What Dagster is told of a run's polls: a materialization for each user that was polled, and a line for the run.

Belongs here: results as metadata. Not here: anything that computes them. Invariant: nothing here is secret: outcomes,
counts, times, reasons.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg

from myi_pipeline.defs.report_partitions import report_partitions
from myi_pipeline.services.poll_users import PollResult

# Of a whole outage a person needs no line for each user.
_FAILURES_TOLD = 10


def log_polls(context: dg.AssetExecutionContext, key: dg.AssetKey, results: Sequence[PollResult]) -> None:
    """Report each polled user's partition, the first failures, and all outcomes in one line."""
    polled = [result for result in results if result.polled]
    report_partitions(context, key, [(result.user_key, metadata_of_poll(result)) for result in polled])
    failed = [result for result in results if result.outcome == "failed"]
    for result in failed[:_FAILURES_TOLD]:
        context.log.warning(f"{result.user_key}: {result.reason}")
    outcomes = Counter(result.outcome for result in results)
    counted = ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items())) or "nobody's turn"
    context.log.info(f"{len(polled)} users polled ({counted}); {sum(each.new_plays for each in polled)} new plays")


def metadata_of_poll(result: PollResult) -> dict[str, Any]:
    """What a person sees of one poll."""
    metadata: dict[str, Any] = {
        "outcome": result.outcome,
        "dagster/row_count": result.new_plays,
        "items": result.items,
        "new_plays": result.new_plays,
        "known_plays": result.known_plays,
    }
    if result.refused_items:
        metadata["refused_items"] = result.refused_items
    for name, moment in (
        ("oldest_played_at", result.oldest_played_at),
        ("newest_played_at", result.newest_played_at),
        ("gap_start", result.gap_start),
        ("gap_end", result.gap_end),
    ):
        if moment is not None:
            metadata[name] = dg.MetadataValue.timestamp(moment)
    return metadata
