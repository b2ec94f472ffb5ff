"""Pure rules: when an account's playlists are gathered again, which users one run takes, and what each list needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

# If nothing changed, a gathering costs one request per 50 lists, and one for liked songs.
GATHER_EVERY = timedelta(hours=3)
# A refused list is tried again after this long: a service may grant access without saying so.
REFUSED_AGAIN_AFTER = timedelta(days=7)
# How often a list that changes while it is read is tried before it is left for the next gathering.
READS_OF_A_LIST = 3
# After this many failed lists in a row, the service itself is taken to be down.
FAILURES_IN_A_ROW = 3

Need = Literal["read", "unchanged", "unreadable"]


@dataclass(frozen=True, kw_only=True)
class KnownList:
    """A list as last stored. `read_version` is the service's version of it when it was last read or refused, at
    `read_at`; `read_permission` is what the service then said about who may read it.
    """

    playlist_id: int
    provider_playlist: str
    state: str
    is_collaborative: bool | None
    read_version: str | None
    read_permission: str | None = None
    read_at: datetime | None = None


def need_of(
    version: str | None, *, is_readable: bool, permission: str | None, known: KnownList | None, now: datetime
) -> Need:
    """What has to be done about a list in the service's listing, where it has this `version`.

    `permission` is what the service says about who may read it: that can change while the version stays the same.
    """
    if not is_readable:
        return "unreadable"
    if known is None or version is None or (known.read_version, known.read_permission) != (version, permission):
        return "read"
    if known.state != "unreadable":
        return "unchanged"
    is_old = known.read_at is None or not timedelta() <= now - known.read_at < REFUSED_AGAIN_AFTER
    return "read" if is_old else "unreadable"


def users_of_a_run(partitions: Sequence[str], due: Iterable[str], *, most: int) -> list[str]:
    """At most `most` consecutive due users, the most overdue among them.

    `partitions` are all users in order, `due` those who are due, the most overdue first. A run takes a range of
    partitions; if it always started at the first, it would never reach the last.
    """
    overdue = list(dict.fromkeys(due))
    wanted = set(overdue)
    in_order = [key for key in partitions if key in wanted]
    places = {key: place for place, key in enumerate(in_order)}
    first = next((places[key] for key in overdue if key in places), 0)
    # Near the end the range extends backwards, so that a run is as large as it can be.
    start = min(first, max(0, len(in_order) - most))
    return in_order[start : start + most]
