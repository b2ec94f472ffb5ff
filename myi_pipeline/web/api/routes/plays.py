"""Chronological lists: plays, sessions, first plays."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import (
    First,
    FirstList,
    Play,
    PlayList,
    Session,
    SessionList,
)
from myi_pipeline.web.api.parameters import Id, PageOf, Text, WindowOf, wrong
from myi_pipeline.web.api.routes.reading import Listing, responses, serve_list
from myi_pipeline.web.reads.cursors import After
from myi_pipeline.web.reads.firsts import FIRSTS, FirstRow
from myi_pipeline.web.reads.firsts import firsts as read_firsts
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.plays import PLAYS, PlayRow, plays_named
from myi_pipeline.web.reads.plays import plays as read_plays
from myi_pipeline.web.reads.sessions import SESSIONS, SessionRow
from myi_pipeline.web.reads.sessions import sessions as read_sessions
from myi_pipeline.web.reads.top import Entity
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["lists"])


@router.get(
    "/plays",
    operation_id="listPlays",
    response_model=PlayList,
    responses=responses(is_list=True),
    summary="Your plays, newest first",
)
async def plays(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    window: WindowOf,
    content_id: Annotated[Id, Query(description="Only plays of this track, episode or chapter.")] = None,
    track_id: Annotated[Id, Query(description="Only plays of this track.")] = None,
    artist_id: Annotated[Id, Query(description="Only plays of this artist.")] = None,
    album_id: Annotated[Id, Query(description="Only plays of this album.")] = None,
    q: Annotated[
        Text, Query(description="Only plays with these words in title, artist or album, matched as in `/v1/me/search`.")
    ] = None,
) -> Response:
    if track_id is not None and content_id not in (None, track_id):
        raise wrong("content_id", "differs from 'track_id'")

    async def read(marts: Marts, after: After, limit: int) -> list[PlayRow]:
        ids = {"content_id": track_id or content_id, "artist_id": artist_id, "album_id": album_id}
        if q is not None:
            return await plays_named(
                marts, q, from_at=window.from_at, to_at=window.to_at, after=after, limit=limit, **ids
            )  # fmt: skip
        return await read_plays(
            marts, from_at=window.from_at, to_at=window.to_at, after=after, limit=limit, **ids
        )  # fmt: skip

    return await serve_list(request, visitor, site, Listing(read, PLAYS, Play, zone=window.zone), page=page)


@router.get(
    "/sessions",
    operation_id="listSessions",
    response_model=SessionList,
    responses=responses(is_list=True),
    summary="Your sessions, newest first",
)
async def sessions(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf, window: WindowOf) -> Response:
    """Listening without half an hour of silence in between; a session belongs to the span it ended in."""

    async def read(marts: Marts, after: After, limit: int) -> list[SessionRow]:
        return await read_sessions(marts, **window.values, after=after, limit=limit)

    return await serve_list(request, visitor, site, Listing(read, SESSIONS, Session, zone=window.zone), page=page)


@router.get(
    "/firsts",
    operation_id="listFirsts",
    response_model=FirstList,
    responses=responses(is_list=True),
    summary="What you heard for the first time",
)
async def firsts(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    page: PageOf,
    window: WindowOf,
    kind: Annotated[Entity, Query(description="The kind of first plays.")] = "artist",
) -> Response:
    """A recording is a song, whichever of its tracks was heard first; it has the id of one of them."""

    async def read(marts: Marts, after: After, limit: int) -> list[FirstRow]:
        return await read_firsts(marts, kind=kind, **window.values, after=after, limit=limit)

    return await serve_list(request, visitor, site, Listing(read, FIRSTS, First, zone=window.zone), page=page)
