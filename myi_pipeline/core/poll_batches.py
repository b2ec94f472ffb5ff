"""Which users share a run of polls, and at which minute of the hour it starts.

Belongs here: cutting the users in partition order into contiguous batches, and telling whose turn a batch will bring
anyway. Not here: when a user's turn comes (polling_policy), asking for runs (defs). Invariants: within an hour every
wanted user lies in exactly one batch, no two batches start in one minute, and batches and sooner runs together are at
most RUNS_AN_HOUR.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# A run is a process that takes 8 s of a core before it asks anything: an hour of a small machine holds 60 of them.
RUNS_AN_HOUR = 60
# One every five minutes for those who cannot wait for their batch: half an hour of skipping fills the window of 50.
SOONER_EVERY = timedelta(minutes=5)
# One more looks whether all of this works.
BATCHES_AN_HOUR = RUNS_AN_HOUR - timedelta(hours=1) // SOONER_EVERY - 1
USERS_A_BATCH = 50
# A batch polls whose turn is nearer to it than to the batch an hour later; a sooner run, who else would want the next.
BATCH_REACHES_AHEAD, SOONER_REACHES_AHEAD = timedelta(minutes=30), SOONER_EVERY
# A batch that starts so soon, or started so lately, polls its users: no sooner run takes them from it.
_BATCH_IS_NEAR, _BATCH_IS_UNDER_WAY = timedelta(minutes=10), timedelta(minutes=5)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class PollBatch:
    """Users from `first` to `last` in partition order, `users` of them wanted; it starts once, at `starts_at`."""

    first: str
    last: str
    users: int
    starts_at: datetime
    run_key: str


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def plan_batches(keys: Sequence[str], *, wanted: Collection[str], hour: datetime) -> tuple[PollBatch, ...]:
    """The batches of the hour that begins at `hour`, in order of start.

    `keys` are all partitions in their order; `wanted` those who can be polled. As many batches as 50 users each need,
    at most BATCHES_AN_HOUR, of equal size give or take one user, each in the middle of its equal part of the hour.
    """
    chosen = [key for key in keys if key in wanted]
    count = min(-(-len(chosen) // USERS_A_BATCH), BATCHES_AN_HOUR)
    edges = [len(chosen) * number // count for number in range(count + 1)] if count else []
    return tuple(
        PollBatch(
            first=chosen[edges[number]],
            last=chosen[edges[number + 1] - 1],
            users=edges[number + 1] - edges[number],
            starts_at=hour + timedelta(minutes=(2 * number + 1) * 60 // (2 * count)),
            run_key=f"polls-{hour:%Y%m%dT%H}-{number + 1:02d}",
        )
        for number in range(count)
    )


def batches_at(batches: Iterable[PollBatch], minute: datetime) -> tuple[PollBatch, ...]:
    """Those that start in the minute of this moment."""
    begins = minute.replace(second=0, microsecond=0)
    return tuple(batch for batch in batches if batch.starts_at == begins)


def cannot_wait(
    keys: Sequence[str], *, due: Mapping[str, datetime], batches: Sequence[PollBatch], now: datetime
) -> tuple[str, ...]:
    """Of the users whose turn has come, in partition order, those whom no batch polls about now.

    `batches` are those of any hour: each starts at the same minute of every other.
    """
    waiting = [key for key in keys if due.get(key, now + _HOUR) <= now]
    place = {key: number for number, key in enumerate(keys)} if waiting else {}
    near = [(place[batch.first], place[batch.last]) for batch in batches if waiting and _is_near(batch, now)]
    return tuple(key for key in waiting if not any(first <= place[key] <= last for first, last in near))


def sooner_key(now: datetime) -> str:
    """The run key of the one sooner run that this moment may have."""
    slot = (now - hour_of(now)) // SOONER_EVERY
    return f"sooner-{now:%Y%m%dT%H}-{slot + 1:02d}"


def _is_near(batch: PollBatch, now: datetime) -> bool:
    ahead = (batch.starts_at - now) % _HOUR
    return ahead <= _BATCH_IS_NEAR or _HOUR - ahead <= _BATCH_IS_UNDER_WAY
