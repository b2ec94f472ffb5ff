"""When Spotify's top lists of a user are read again.

Belongs here: the tiers. Not here: reading the lists. Spotify works its lists out about once a day, so that asking more
often answers nothing; and each reading costs six requests, so that whoever is away costs fewer. Invariant: nobody who
was not seen for a week is asked for on a schedule.
"""

from __future__ import annotations

from datetime import datetime, timedelta

# Seen within the first: refreshed after the second.
TIERS = (
    (timedelta(hours=48), timedelta(hours=24)),
    (timedelta(days=7), timedelta(hours=72)),
)
LONGEST_ABSENCE = TIERS[-1][0]


def refresh_due_at(*, seen_at: datetime, refreshed_at: datetime | None, now: datetime) -> datetime | None:
    """When the lists of a user who was last seen at `seen_at` are due; None: only on demand.

    `refreshed_at` None: never read, so due at once. Whoever was away and is seen again is due by the tier of today.
    """
    for absence, interval in TIERS:
        if now - seen_at <= absence:
            return refreshed_at + interval if refreshed_at is not None else seen_at
    return None


def is_due(*, seen_at: datetime, refreshed_at: datetime | None, retry_at: datetime | None, now: datetime) -> bool:
    """Whether the lists are to be read now; a failure's `retry_at` puts them off."""
    due_at = refresh_due_at(seen_at=seen_at, refreshed_at=refreshed_at, now=now)
    # Hourly runs drift by minutes: without the allowance a daily refresh would move an hour a day.
    allowance = timedelta(minutes=30) if refreshed_at is not None else timedelta(0)
    return due_at is not None and due_at - allowance <= now and (retry_at is None or retry_at <= now)
