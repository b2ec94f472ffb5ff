"""Lists in the order of time: plays, sessions, first plays.

Belongs here: which list, in which order, narrowed by what. Invariant: each is read in the order of an index.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from myi_pipeline.api.listing import MOST_BIGINT, MOST_INT, Listing, Order
from myi_pipeline.api.models.lists import First, FirstList, Play, PlayList, Session, SessionList
from myi_pipeline.api.parameters import Id, PageOf, WindowOf
from myi_pipeline.api.routes.reading import reads, serve_list
from myi_pipeline.api.security.identity import CurrentUser
from myi_pipeline.api.site import TheSite
from myi_pipeline.api.spans import END
from myi_pipeline.api.sql_files import load_sql

router = APIRouter(prefix="/v1/me", tags=["lists"])

PLAYS = Order({"played_at": END, "play_id": MOST_BIGINT})
SESSIONS = Order({"ended_at": END, "session_id": MOST_BIGINT})
FIRSTS = Order({"first_played_at": END, "id": MOST_INT})
_NARROWING = {"content_id": "and content_id = %(content_id)s", "artist_id": "and artist_id = %(artist_id)s"}


def plays_sql(*narrowed_by: str) -> str:
    """A page of plays, narrowed by any of content_id and artist_id; each has an index of its own."""
    return load_sql("marts/plays").replace("-- narrowed", " ".join(_NARROWING[name] for name in narrowed_by))


@router.get(
    "/plays",
    operation_id="listPlays",
    response_model=PlayList,
    responses=reads(is_list=True),
    summary="Your plays, newest first",
)
async def plays(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    window: WindowOf,
    content_id: Annotated[Id, Query(description="Of this track, episode or chapter.")] = None,
    artist_id: Annotated[Id, Query(description="By this artist.")] = None,
) -> Response:
    given = {"content_id": content_id, "artist_id": artist_id}
    narrowed = {name: value for name, value in given.items() if value is not None}
    listing = Listing(plays_sql(*narrowed), PLAYS, Play, values={**window.values, **narrowed}, zone=window.zone)
    return await serve_list(request, visitor, site, listing, page=page)


@router.get(
    "/sessions",
    operation_id="listSessions",
    response_model=SessionList,
    responses=reads(is_list=True),
    summary="Your sessions, newest first",
)
async def sessions(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, window: WindowOf) -> Response:
    """Listening without half an hour of silence in between; a session belongs to the span in which it ended."""
    listing = Listing(load_sql("marts/sessions"), SESSIONS, Session, values=window.values, zone=window.zone)
    return await serve_list(request, visitor, site, listing, page=page)


@router.get(
    "/firsts",
    operation_id="listFirsts",
    response_model=FirstList,
    responses=reads(is_list=True),
    summary="What you heard for the first time",
)
async def firsts(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    window: WindowOf,
    kind: Annotated[Literal["track", "artist", "album"], Query(description="First plays of what.")] = "artist",
) -> Response:
    values = {**window.values, "kind": kind}
    listing = Listing(load_sql("marts/firsts"), FIRSTS, First, values=values, zone=window.zone)
    return await serve_list(request, visitor, site, listing, page=page)
