"""Whether a user may be polled, and how to say so, for Spotify and for scrobbling services.

The rule itself is in the views `ops.poll_obstacles` and, for services, `ops.service_obstacles`; this module has the
words. A person's wish only makes a poll due earlier: no poll runs despite a pause, an ended sign-in, an open circuit, a
block by Spotify or the cool-down.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from psycopg.rows import class_row

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.sql_files import load_sql
from myi_pipeline.providers.scrobbles import Service


class Obstacle(StrEnum):
    """Why a user is not polled now; the values are those of `ops.poll_obstacles`."""

    NOT_SIGNED_IN = "not_signed_in"
    SIGN_IN_ENDED = "sign_in_ended"
    PAUSED = "paused"
    NOT_ALLOWED = "not_allowed"
    CIRCUIT_OPEN = "circuit_open"
    QUOTA_BLOCKED = "quota_blocked"
    JUST_POLLED = "just_polled"
    COOLING_DOWN = "cooling_down"
    NOT_DUE = "not_due"


# Without a usable login, nothing can be requested from Spotify at all.
LOGIN_OBSTACLES = (Obstacle.NOT_SIGNED_IN, Obstacle.SIGN_IN_ENDED, Obstacle.PAUSED)
# Obstacles that not even --force overrides.
ALWAYS_BLOCKING = (*LOGIN_OBSTACLES, Obstacle.NOT_ALLOWED, Obstacle.CIRCUIT_OPEN, Obstacle.QUOTA_BLOCKED)
# The obstacles to a poll that a person asks for, and to one that is due.
BLOCKING_A_REQUESTED_POLL = (*ALWAYS_BLOCKING, Obstacle.COOLING_DOWN)
BLOCKING_A_DUE_POLL = (*ALWAYS_BLOCKING, Obstacle.JUST_POLLED, Obstacle.NOT_DUE)


class _Words(NamedTuple):
    """`on_page` and `command` say what a person can do about it."""

    sentence: str
    on_page: str = ""
    command: str = ""


_SIGN_IN = "sign in with: myi user login {key}"
# {service} is a name such as Last.fm, {key} the user's, {word} what commands call the service.
_LINK = "link it with: myi service link {key} {word} NAME"
_WORDS = {
    Obstacle.NOT_SIGNED_IN: _Words("{service} is not connected", command=_SIGN_IN),
    Obstacle.SIGN_IN_ENDED: _Words("the sign-in to {service} has ended", "connect {service} again", _SIGN_IN),
    Obstacle.PAUSED: _Words("polling is paused", command="resume with: myi user resume {key}"),
    Obstacle.NOT_ALLOWED: _Words(
        "the sign-in does not allow MYI to read recent plays", "connect {service} again and allow it", _SIGN_IN
    ),
    Obstacle.CIRCUIT_OPEN: _Words(
        "requests failed too often, so they are suspended for now", command="try at once with: myi circuit reset {key}"
    ),
    Obstacle.QUOTA_BLOCKED: _Words("{service} has asked MYI to wait"),
    # As in the view: three and five minutes.
    Obstacle.JUST_POLLED: _Words("polled within the last three minutes"),
    Obstacle.COOLING_DOWN: _Words("polled within the last five minutes"),
    Obstacle.NOT_DUE: _Words("the next poll is not due yet"),
}


# Sentences that differ for services linked by a name.
_WORDS_OF_SERVICES = {
    Obstacle.NOT_SIGNED_IN: _Words("{service} is not linked", command=_LINK),
    Obstacle.PAUSED: _Words("polling is paused", command="resume with: myi service resume {key} {word}"),
    Obstacle.COOLING_DOWN: _Words("polled within the last minute"),
}


def obstacle_sentence(obstacle: Obstacle, *, user_key: str | None = None, service: Service | None = None) -> str:
    """Why a user is not polled and what can be done about it: with which command, if `user_key` is given.

    About Spotify, or `service`. It begins in lower case and has no full stop, so that it fits a table, a log line and a
    page.
    """
    words = _WORDS[obstacle] if service is None else _WORDS_OF_SERVICES.get(obstacle, _WORDS[obstacle])
    remedy = words.on_page if user_key is None else words.command
    said = f"{words.sentence}; {remedy}" if remedy else words.sentence
    label, word = (service.label, service.value) if service is not None else ("Spotify", "spotify")
    return said.format(service=label, key=user_key, word=word)


@dataclass(frozen=True)
class StandingObstacle:
    """One obstacle of one user; `stands_until` is None if somebody has to do something about it."""

    obstacle: Obstacle
    stands_from: datetime | None
    stands_until: datetime | None

    def stands_at(self, moment: datetime) -> bool:
        has_begun = self.stands_from is None or self.stands_from <= moment
        return has_begun and (self.stands_until is None or moment < self.stands_until)


def read_obstacles(
    connection: Connection, *, user_id: int, service: Service | None = None
) -> tuple[StandingObstacle, ...]:
    """All present and past obstacles of a user at Spotify, or at `service`, the strongest first."""
    query = load_sql("polling/polls/obstacles_of_spotify" if service is None else "polling/scrobbles/obstacles")
    rows = connection.execute(query, {"user_id": user_id, "service": service})
    return tuple(StandingObstacle(Obstacle(name), stands_from, until) for name, stands_from, until in rows)


def first_obstacle(
    obstacles: Sequence[StandingObstacle],
    kinds: Collection[Obstacle],
    *,
    now: datetime,
    turn_at: datetime | None = None,
) -> StandingObstacle | None:
    """The strongest obstacle of these kinds that applies now; NOT_DUE is judged at `turn_at` if that is given."""
    for each in obstacles:
        moment = turn_at if each.obstacle is Obstacle.NOT_DUE and turn_at is not None else now
        if each.obstacle in kinds and each.stands_at(moment):
            return each
    return None


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """One user's polling, as shown to people."""

    polled_at: datetime | None
    due_at: datetime | None
    failures: int
    last_error: str | None
    obstacles: tuple[StandingObstacle, ...] = ()

    def obstacle(self, now: datetime) -> tuple[Obstacle, datetime | None] | None:
        """What would prevent a poll that the person asked for now, and until when, if that is known."""
        found = first_obstacle(self.obstacles, BLOCKING_A_REQUESTED_POLL, now=now)
        return None if found is None else (found.obstacle, found.stands_until)


def polling_outlook(connection: Connection, *, user_id: int) -> Outlook:
    """The state of polling for this user."""
    with connection.cursor(row_factory=class_row(Outlook)) as cursor:
        found = cursor.execute(load_sql("polling/polls/obstacles"), {"user_id": user_id}).fetchone()
    state = found or Outlook(polled_at=None, due_at=None, failures=0, last_error=None)
    return replace(state, obstacles=read_obstacles(connection, user_id=user_id))


def ask_for_poll(connection: Connection, *, user_id: int, now: datetime) -> tuple[Obstacle, datetime | None] | None:
    """Requests a poll, which `myi up` makes within seconds. Returns the obstacle instead, if there is one."""
    found = polling_outlook(connection, user_id=user_id).obstacle(now)
    if found is None:
        connection.execute("select ops.poll_now(%s, %s)", (user_id, now))
    return found
