"""The state of Spotify in this installation and of polling a user, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from myi_pipeline.polling.obstacles import Obstacle, Outlook, obstacle_sentence
from myi_pipeline.settings import Settings
from myi_pipeline.web.shown.formats import moment


@dataclass(frozen=True)
class PollNews:
    """What prevents a poll, or None. `is_trouble`: somebody should look at it."""

    obstacle: str | None
    is_trouble: bool


def poll_news(outlook: Outlook, now: datetime, zone: str) -> PollNews:
    found = outlook.obstacle(now)
    if found is None:
        return PollNews(None, outlook.failures > 0)
    return PollNews(obstacle_text(found, zone), found[0] not in (Obstacle.NOT_SIGNED_IN, Obstacle.COOLING_DOWN))


def obstacle_text(found: tuple[Obstacle, datetime | None], zone: str) -> str:
    """A sentence, with the time until when it applies."""
    obstacle, until = found
    sentence = obstacle_sentence(obstacle)
    return f"{sentence[0].upper()}{sentence[1:]}" + (f", until {moment(until, zone)}." if until is not None else ".")


_NOT_SET_UP = "Signing in with Spotify is not set up here yet. The operator of this MYI can do that."


def spotify_trouble(settings: Settings) -> str | None:
    """A sentence if sign-in with Spotify is off here, otherwise None.

    `myi doctor` shows the reason to those who can fix it.
    """
    is_set_up = settings.spotify_client_id is not None and settings.is_on_site(settings.spotify_redirect_uri)
    return None if is_set_up else _NOT_SET_UP
