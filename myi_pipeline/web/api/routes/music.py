"""One track, artist or album, and its picture.

Anything this user never played is answered with 404, whether or not it is in the catalogue.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import (
    Album,
    Artist,
    Episode,
    Month,
    Play,
    Show,
    Track,
)
from myi_pipeline.web.api.parameters import COUNTED_BY, Id, ListedOf
from myi_pipeline.web.api.routes.reading import Fields, problems, responses, serve_document
from myi_pipeline.web.pictures import serve_picture
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.cursors import FIRST_PAGE
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.music import NamesRow, entity_names, entity_periods, entity_rank
from myi_pipeline.web.reads.plays import plays, plays_of_tracks
from myi_pipeline.web.reads.recordings import recording_of, tracks_of_recording
from myi_pipeline.web.reads.shows import episodes_of, show_of
from myi_pipeline.web.reads.spans import Period
from myi_pipeline.web.reads.top import Entity, Listed
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import fields_of
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["music"])

_LAST_PLAYS = 10
_SUMS = ("plays", "counted_plays", "ms_played", "unknown_plays")
_NONE = "You have not played it."
_NO_PICTURE = "None is stored, or you have not played it."
EntityId = Annotated[Id, Path(description="Its id, as in lists.")]
_PICTURE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The picture.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/jpeg", "image/png", "image/webp")
        },
        "headers": {"ETag": {"schema": {"type": "string"}}},
    },
    304: {"description": "Unchanged since the response that If-None-Match names."},
    **problems(401, 422, 429, 503, 504, _404=_NO_PICTURE),
}


@router.get(
    "/tracks/{track_id}",
    operation_id="getTrack",
    response_model=Track,
    responses=responses(_404=_NONE),
    summary="One track",
)
async def track(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    track_id: EntityId,
    by: Annotated[ListedOf, Query(description=COUNTED_BY)] = Listed.TRACK,
) -> Response:
    """Your plays of it, in total and by month, and the latest ones."""
    return await _serve(request, visitor, site, by.value, track_id)


@router.get(
    "/artists/{artist_id}",
    operation_id="getArtist",
    response_model=Artist,
    responses=responses(_404=_NONE),
    summary="One artist",
)
async def artist(request: Request, visitor: CurrentUser, site: TheSite, artist_id: EntityId) -> Response:
    """Plays count for a track's primary artist."""
    return await _serve(request, visitor, site, "artist", artist_id)


@router.get(
    "/albums/{album_id}",
    operation_id="getAlbum",
    response_model=Album,
    responses=responses(_404=_NONE),
    summary="One album",
)
async def album(request: Request, visitor: CurrentUser, site: TheSite, album_id: EntityId) -> Response:
    return await _serve(request, visitor, site, "album", album_id)


@router.get(
    "/artists/{artist_id}/cover",
    operation_id="getArtistCover",
    response_class=Response,
    responses=_PICTURE,
    summary="An artist's picture",
)
async def artist_cover(request: Request, visitor: CurrentUser, site: TheSite, artist_id: EntityId) -> Response:
    return await serve_picture(request, site, user_id=visitor.user_id, entity="artist", id=artist_id)


@router.get(
    "/albums/{album_id}/cover",
    operation_id="getAlbumCover",
    response_class=Response,
    responses=_PICTURE,
    summary="An album's cover",
)
async def album_cover(request: Request, visitor: CurrentUser, site: TheSite, album_id: EntityId) -> Response:
    return await serve_picture(request, site, user_id=visitor.user_id, entity="album", id=album_id)


@router.get(
    "/shows/{episode_id}",
    operation_id="getShow",
    response_model=Show,
    responses=responses(_404=_NONE),
    summary="One podcast or audiobook",
)
async def show(request: Request, visitor: CurrentUser, site: TheSite, episode_id: EntityId) -> Response:
    """What you played of it. It goes by the id of any of its episodes or chapters that you played."""

    async def build(marts: Marts) -> Fields:
        found = await show_of(marts, episode_id)
        episodes = await episodes_of(marts, found) if found is not None else []
        if found is None or not episodes:
            raise Problem(404, "not-found", "You have not played this show.")
        return {
            "id": episode_id,
            "kind": "podcast" if found.kind == "episode" else "audiobook",
            "name": found.name,
            "artist_name": found.creator,
            **{name: sum(getattr(each, name) for each in episodes) for name in _SUMS},
            "first_played_at": min(each.first_played_at for each in episodes),
            "last_played_at": max(each.last_played_at for each in episodes),
            "episodes": fields_of(Episode, episodes),
        }

    return await serve_document(request, visitor, site, build)


async def _serve(request: Request, visitor: Visitor, site: Site, entity: Entity, id: int) -> Response:
    shown: Entity = "track" if entity == "recording" else entity

    async def build(marts: Marts) -> Fields:
        number = await recording_of(marts, id) or id if entity == "recording" else id
        rows = await entity_periods(marts, entity, number)
        whole = next((row for row in rows if row.period == Period.ALL), None)
        if whole is None:
            raise Problem(404, "not-found", f"You have not played this {shown}.")
        tracks = [row.track_id for row in await tracks_of_recording(marts, number)] if entity == "recording" else []
        # A recording takes its names from its most played track: the track that gives its id may be another user's.
        names = await entity_names(marts, shown, tracks[0] if tracks else number)
        if entity == "recording":
            newest = await plays_of_tracks(marts, tracks, limit=_LAST_PLAYS)
        else:
            newest = await plays(
                marts,
                content_id=id if entity == "track" else None,
                artist_id=id if entity == "artist" else None,
                album_id=id if entity == "album" else None,
                after=FIRST_PAGE,
                limit=_LAST_PLAYS,
            )
        return {
            "kind": shown,
            "id": number,
            **_names(shown, names),
            "plays": whole.plays,
            "counted_plays": whole.counted_plays,
            "ms_played": whole.ms_played,
            "rank": await entity_rank(marts, entity, number, whole),
            "first_played_at": whole.first_played_at,
            "last_played_at": whole.last_played_at,
            "months": fields_of(Month, [row for row in rows if row.period == Period.MONTH]),
            "last_plays": fields_of(Play, newest),
            "cover": _cover(site, shown, number, names),
        }

    return await serve_document(request, visitor, site, build)


def _names(entity: Entity, names: NamesRow) -> Fields:
    """The name fields of such an entity."""
    of_each = ("uri", "name")
    of_its_own: dict[Entity, tuple[str, ...]] = {
        "track": ("artist_id", "artist_name", "album_id", "album_name", "duration_ms"),
        "artist": (),
        "album": ("artist_id", "artist_name"),
    }
    return {name: getattr(names, name) for name in (*of_each, *of_its_own[entity])}


def _cover(site: Site, entity: Entity, id: int, names: NamesRow) -> str | None:
    if names.picture is None:
        return None
    kind, number = ("album", names.album_id) if entity == "track" else (entity, id)
    return f"{site.settings.site_path}{router.prefix}/{kind}s/{number}/cover"
