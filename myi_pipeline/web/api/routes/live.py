"""Live requests to Spotify for an open page: what is playing, and an immediate poll."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from myi_pipeline.polling.obstacles import ask_for_poll, obstacle_sentence
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.problems import Problem, sentence
from myi_pipeline.web.security.identity import CurrentPerson, CurrentUser
from myi_pipeline.web.shown.now_playing import NowPlaying, ask_now_playing
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["live"])

_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]


class PollAsked(BaseModel):
    """A poll was requested."""

    asked_at: datetime = Field(examples=_AT)


@router.get(
    "/now-playing",
    operation_id="getNowPlaying",
    response_model=NowPlaying,
    responses=problems(401, 429, 503),
    summary="What you are listening to",
)
async def now_playing(visitor: CurrentUser, site: TheSite, response: Response) -> NowPlaying:
    """Reported by a scrobbler, or asked of Spotify at most twice a minute, however often this is read."""
    response.headers["Cache-Control"] = "no-store"
    return await ask_now_playing(site.pools, visitor.user_id)


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
        _409="A poll is not possible now; see `detail`.",
    ),
    summary="Poll Spotify now",
)
async def poll_now(person: CurrentPerson, site: TheSite) -> PollAsked:
    """Happens within seconds while `myi up` runs; figures follow with the next refresh."""
    now = datetime.now(UTC)
    found = await site.pools.in_thread(ask_for_poll, user_id=person.user_id, now=now)
    if found is None:
        return PollAsked(asked_at=now)
    obstacle, until = found
    wait = {} if until is None else {"Retry-After": str(max(1, int((until - now).total_seconds()) + 1))}
    raise Problem(409, "poll-held-up", sentence(obstacle_sentence(obstacle)), headers=wait)
