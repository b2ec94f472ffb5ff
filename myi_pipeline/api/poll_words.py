"""How polling stands, in plain words.

Belongs here: a sentence for each obstacle. Not here: what stands in the way (services/ask_for_poll).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.api.page_formats import moment
from myi_pipeline.services.ask_for_poll import Obstacle, Outlook

_WORDS = {
    Obstacle.NO_LOGIN: "Spotify is not connected, so nothing is polled.",
    Obstacle.LOGIN_ENDED: "The login at Spotify has ended: connect Spotify again.",
    Obstacle.PAUSED: "Polling is paused.",
    Obstacle.NOT_ALLOWED: "The login does not allow reading recent plays: connect Spotify again and allow it.",
    Obstacle.LEFT_ALONE: "Requests failed too often, so Spotify is left alone for now",
    Obstacle.QUOTA: "Spotify asked for silence; no poll runs meanwhile",
    Obstacle.COOLING_DOWN: "Polled within the last five minutes; another poll would bring nothing yet",
}


@dataclass(frozen=True)
class PollNews:
    """What stands in the way of a poll; None when nothing does. `is_trouble`: somebody should look at it."""

    obstacle: str | None
    is_trouble: bool


def poll_news(outlook: Outlook, now: datetime, zone: str) -> PollNews:
    found = outlook.obstacle(now)
    if found is None:
        return PollNews(None, outlook.failures > 0)
    return PollNews(obstacle_text(found, zone), found[0] not in (Obstacle.NO_LOGIN, Obstacle.COOLING_DOWN))


def obstacle_text(found: tuple[Obstacle, datetime | None], zone: str) -> str:
    """A sentence, with the time until which it holds."""
    obstacle, until = found
    return _WORDS[obstacle] + (f", until {moment(until, zone)}." if until is not None else "")
