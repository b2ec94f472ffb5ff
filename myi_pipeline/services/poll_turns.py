"""Polling those of some users whose turn it is.

Belongs here: from keys and a reach ahead to a call of poll_users, and who can be polled at all. Not here: the policy,
one poll. Invariant: a user who is paused, signed out or left alone is in no answer, unless they are polled by force.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from myi_pipeline.core.polling_policy import LATEST_TURN
from myi_pipeline.services.plan_polls import DueUser, due_now
from myi_pipeline.services.poll_users import PollResult, poll_users
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Warehouse


def pollable_users(settings: Settings, warehouse: Warehouse, *, now: datetime) -> tuple[DueUser, ...]:
    """Everybody who can be polled, with the moment of their next turn."""
    return due_now(settings, warehouse, now=now + LATEST_TURN)


def poll_turns(
    settings: Settings,
    warehouse: Warehouse,
    *,
    user_keys: Collection[str],
    within: timedelta,
    force: bool,
    clock: Callable[[], datetime],
    correlation_id: str | None,
) -> tuple[PollResult, ...]:
    """Poll those of `user_keys` whose turn comes `within` this time; with `force` all who can be polled."""
    wanted = set(user_keys)
    reach = LATEST_TURN if force else within
    turns = due_now(settings, warehouse, now=clock() + reach)
    user_ids = [user.user_id for user in turns if user.user_key in wanted]
    if not user_ids:
        return ()
    return poll_users(settings, warehouse, user_ids=user_ids, force=force, clock=clock, correlation_id=correlation_id)
