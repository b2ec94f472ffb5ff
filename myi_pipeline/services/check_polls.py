"""Whether polling keeps up, looked at now and then.

Belongs here: the question, as a finding. Not here: when it is asked (defs/checks). Invariant: looking polls nobody; who
cannot be polled (paused, signed out, left alone after failures) is no reason to worry here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from myi_pipeline.services.check_house import Finding
from myi_pipeline.services.plan_polls import due_now
from myi_pipeline.settings import Settings
from myi_pipeline.warehouse.connections import Warehouse

# Twice the usual turn: one hour in which the machine was down is no news, a second one is.
LATEST_TURN = timedelta(hours=2)
_NAMES_TOLD = 5


def polls_are_fresh(settings: Settings, warehouse: Warehouse, *, now: datetime) -> Finding:
    """Nobody's turn came longer ago than LATEST_TURN."""
    waiting = due_now(settings, warehouse, now=now)
    late = sorted((user.due_at, user.user_key) for user in waiting if user.due_at < now - LATEST_TURN)
    figures = {"turns_waiting": len(waiting), "turns_late": len(late)}
    if not late:
        return Finding(True, "everybody is polled in time", figures)
    hours = (now - late[0][0]) / timedelta(hours=1)
    names = ", ".join(user_key for _, user_key in late[:_NAMES_TOLD])
    return Finding(False, f"{len(late)} wait for a poll, {hours:.0f} h at most: {names}", figures)
