"""A person looks at their polling, and asks for a poll at once.

Belongs here: what stands before the next poll, and bringing the turn forward. Not here: polling (Dagster's sensor
sees the turn). Invariant: a wish moves the turn and nothing else: no poll runs past a pause, an ended login, an open
circuit, a silence that Spotify asked for, or within the cool-down.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.rows import class_row

from myi_pipeline.core.circuit import LONGEST_PROBE
from myi_pipeline.core.login_terms import Feature, features
from myi_pipeline.core.polling_policy import COOL_DOWN, is_cooling_down
from myi_pipeline.warehouse.sql_files import load_sql

Connection = psycopg.Connection[Any]


class Obstacle(StrEnum):
    """Why asking now would bring nothing."""

    NO_LOGIN = "no_login"
    LOGIN_ENDED = "login_ended"
    PAUSED = "paused"
    NOT_ALLOWED = "not_allowed"
    LEFT_ALONE = "left_alone"
    QUOTA = "quota"
    COOLING_DOWN = "cooling_down"


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """One user's polling. `status` is None without a login; `left_alone_until` is an open circuit's end."""

    status: str | None
    paused_at: datetime | None
    scopes: list[str] | None
    polled_at: datetime | None
    due_at: datetime | None
    failures: int
    left_alone_until: datetime | None
    blocked_until: datetime | None

    def obstacle(self, now: datetime) -> tuple[Obstacle, datetime | None] | None:
        """What stands in the way now, and until when if that is known."""
        if self.status is None:
            return Obstacle.NO_LOGIN, None
        if self.status != "active":
            return Obstacle.LOGIN_ENDED, None
        if self.paused_at is not None:
            return Obstacle.PAUSED, None
        if Feature.POLLS not in features(self.scopes or ()):
            return Obstacle.NOT_ALLOWED, None
        if self.left_alone_until is not None and self.left_alone_until > now:
            return Obstacle.LEFT_ALONE, self.left_alone_until
        if self.blocked_until is not None and self.blocked_until > now:
            return Obstacle.QUOTA, self.blocked_until
        if self.polled_at is not None and is_cooling_down(self.polled_at, now):
            return Obstacle.COOLING_DOWN, self.polled_at + COOL_DOWN
        return None


def polling_outlook(connection: Connection, *, user_id: int) -> Outlook:
    """How polling stands for this user."""
    values = {"user_id": user_id, "longest_probe": LONGEST_PROBE}
    with connection.cursor(row_factory=class_row(Outlook)) as cursor:
        found = cursor.execute(load_sql("polls/outlook"), values).fetchone()
    return found or Outlook(
        status=None, paused_at=None, scopes=None, polled_at=None, due_at=None, failures=0, left_alone_until=None,
        blocked_until=None,
    )  # fmt: skip


def ask_for_poll(connection: Connection, *, user_id: int, now: datetime) -> tuple[Obstacle, datetime | None] | None:
    """Bring the user's turn forward to now. Returns what stands in the way instead, if anything does."""
    found = polling_outlook(connection, user_id=user_id).obstacle(now)
    if found is None:
        connection.execute("select ops.poll_sooner(%s, %s)", (user_id, now))
    return found
