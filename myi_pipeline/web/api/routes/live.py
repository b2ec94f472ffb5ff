"""What is asked of Spotify for a page that is open: what is playing, and a poll at once.

This process may not use a login. It leaves a wish in the database and waits a moment for what comes of it.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from myi_pipeline.polling.now_playing import NOW_PLAYING_OF, WISH, Reading
from myi_pipeline.polling.obstacles import ask_for_poll, obstacle_sentence
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["live"])

_LOOK_EVERY_S, _PATIENCE_S = 0.1, 2.5
# A wish that waits for longer is heard by nobody.
_UNHEARD_AFTER = timedelta(seconds=5)
_TOLD_AGAIN_S = 15
_NOBODY = "nobody asks Spotify for this now: `myi up` does, while it runs"
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]


class NowPlaying(BaseModel):
    """What Spotify or a player says is playing. It is not a play and is kept nowhere."""

    model_config = ConfigDict(extra="ignore")

    state: Literal["playing", "paused", "nothing", "unknown"] = Field(
        description="`nothing`: Spotify names nothing, as in a private session. `unknown`: it could not be asked."
    )
    kind: Literal["track", "episode", "ad", "other"] | None = Field(default=None, examples=["track"])
    name: str | None = Field(default=None, examples=["Blue in Green"])
    artist_name: str | None = Field(default=None, description="The first of `artists`.", examples=["Miles Davis"])
    album_name: str | None = Field(default=None, examples=["Kind of Blue"])
    title: str | None = Field(default=None, description="The same as `name`.", examples=["Blue in Green"])
    artists: list[str] = Field(default=[], description="Of an episode, the show.", examples=[["Miles Davis"]])
    album: str | None = Field(default=None, description="The same as `album_name`.", examples=["Kind of Blue"])
    uri: str | None = Field(default=None, examples=["spotify:track:0aWMVrwxPNYkKmFthzmpRi"])
    duration_ms: int | None = Field(default=None, examples=[337_000])
    progress_ms: int | None = Field(default=None, description="As of `read_at`.", examples=[61_000])
    player: str | None = Field(
        default=None, description="The player that told it; null where Spotify was asked.", examples=["Navidrome"]
    )
    read_at: datetime | None = Field(
        default=None, description="When Spotify was asked, or the player told it.", examples=_AT
    )
    ask_again_s: int = Field(description="Nothing new is known before so many seconds.", ge=1, examples=[15])
    reason: str | None = Field(
        default=None, description="Why it is unknown.", examples=["the sign-in to Spotify has ended"]
    )


class PollAsked(BaseModel):
    """A poll was asked for."""

    asked_at: datetime = Field(examples=_AT)


@router.get(
    "/now-playing",
    operation_id="getNowPlaying",
    response_model=NowPlaying,
    responses=problems(401, 429, 503),
    summary="What you are listening to now",
)
async def now_playing(visitor: CurrentUser, site: TheSite, response: Response) -> NowPlaying:
    """Asked of Spotify at most twice a minute, however often this is read, unless a scrobbler tells it."""
    response.headers["Cache-Control"] = "no-store"
    return as_document(await read_now_playing(site, visitor.user_id), datetime.now(UTC))


@router.post(
    "/polls",
    operation_id="pollNow",
    status_code=202,
    response_model=PollAsked,
    responses=problems(
        401,
        429,
        503,
        _403="Only a signed-in browser can do this.",
        _409="Something stands in the way of a poll; `detail` says what.",
    ),
    summary="Poll Spotify now",
)
async def poll_now(person: CurrentPerson, site: TheSite) -> PollAsked:
    """It is made within seconds while `myi up` runs, and figures follow with the refresh after it."""
    now = datetime.now(UTC)
    found = await site.pools.in_thread(ask_for_poll, user_id=person.user_id, now=now)
    if found is None:
        return PollAsked(asked_at=now)
    obstacle, until = found
    wait = {} if until is None else {"Retry-After": str(max(1, int((until - now).total_seconds()) + 1))}
    sentence = obstacle_sentence(obstacle)
    raise Problem(409, "poll-held-up", f"{sentence[0].upper()}{sentence[1:]}.", headers=wait)


async def read_now_playing(site: Site, user_id: int) -> Reading:
    """What is known, after a moment's wait where it has to be asked for."""
    began = asyncio.get_running_loop().time()
    found = await _ask(site, user_id)
    now = datetime.now(UTC)
    if found.is_fresh(now):
        return found
    is_heard = found.waits_since is None or abs(now - found.waits_since) < _UNHEARD_AFTER
    await site.pools.ask_access(WISH, {"user_id": user_id, "now": now})
    while is_heard and asyncio.get_running_loop().time() - began < _PATIENCE_S:
        await asyncio.sleep(_LOOK_EVERY_S)
        found = await _ask(site, user_id)
        if found.is_fresh(datetime.now(UTC)):
            break
    return found


async def _ask(site: Site, user_id: int) -> Reading:
    row = await site.pools.ask_access(NOW_PLAYING_OF, {"user_id": user_id})
    assert row is not None
    return Reading(*row)


def as_document(found: Reading, now: datetime) -> NowPlaying:
    """What is told of it, and when it is worth asking again."""
    if not found.is_fresh(now) or found.answer is None or found.fresh_until is None:
        return NowPlaying(state="unknown", reason=_NOBODY, ask_again_s=60)
    left_s = (found.fresh_until - now).total_seconds()
    if found.answer.get("player") is not None:
        # It stays true until the track ends, unless the player tells of another one before.
        left_s = min(left_s, _TOLD_AGAIN_S)
    told = NowPlaying(**found.answer, read_at=found.read_at, ask_again_s=min(max(1, round(left_s + 0.5)), 3600))
    artist_name = told.artists[0] if told.artists else None
    return told.model_copy(update={"name": told.title, "artist_name": artist_name, "album_name": told.album})
