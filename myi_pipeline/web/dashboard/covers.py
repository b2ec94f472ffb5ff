"""Pictures of albums, artists and playlists, for the pages that show them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import id_in_path
from myi_pipeline.web.dashboard.signed_in import person_within
from myi_pipeline.web.pictures import serve_picture, serve_picture_of_list
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import TheSite

router = APIRouter()

# A page of a top list has fifty pictures: they are rate-limited separately from pages, and leniently.
Looking = Annotated[Visitor, Depends(person_within(Tier.LENIENT, "covers"))]


@router.get("/albums/{album_id}/cover")
async def album_cover(request: Request, person: Looking, site: TheSite, album_id: str) -> Response:
    id = id_in_path(album_id, what="album")
    return await serve_picture(request, site, user_id=person.user_id, entity="album", id=id)


@router.get("/artists/{artist_id}/cover")
async def artist_cover(request: Request, person: Looking, site: TheSite, artist_id: str) -> Response:
    id = id_in_path(artist_id, what="artist")
    return await serve_picture(request, site, user_id=person.user_id, entity="artist", id=id)


@router.get("/playlists/{playlist_id}/cover")
async def playlist_cover(request: Request, person: Looking, site: TheSite, playlist_id: str) -> Response:
    id = id_in_path(playlist_id, what="playlist")
    return await serve_picture_of_list(request, site, user_id=person.user_id, playlist_id=id)
