"""A podcast or an audiobook: how much of it was heard, and which episodes or chapters."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import id_in_path, missing
from myi_pipeline.web.dashboard.pages import show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.shows import episodes_of, show_of
from myi_pipeline.web.reads.summary import EVERYTHING, sums_of
from myi_pipeline.web.site import TheSite

router = APIRouter()


@router.get("/shows/{episode_id}")
async def show(request: Request, person: Person, site: TheSite, episode_id: str) -> HTMLResponse:
    id = id_in_path(episode_id, what="show")

    async def build(marts: Marts) -> Mapping[str, object]:
        found = await show_of(marts, id)
        episodes = await episodes_of(marts, found) if found is not None else []
        if found is None or not episodes:
            raise missing("You have not heard this show.")
        (in_all,) = await sums_of(marts, EVERYTHING)
        return {
            "show": found,
            "episodes": episodes,
            "in_all": in_all,
            "plays": sum(each.counted_plays for each in episodes),
            "short_plays": sum(each.plays - each.counted_plays for each in episodes),
            "ms_played": sum(each.ms_played for each in episodes),
            "first_at": min(each.first_played_at for each in episodes),
            "last_at": max(each.last_played_at for each in episodes),
        }

    return await show_marts(request, person, site, "show.html", build, id=id)
