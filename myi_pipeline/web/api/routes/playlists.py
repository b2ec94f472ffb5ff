"""Your playlists, their entries and their changes. Another user's playlist is answered with 404."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import ListDocument
from myi_pipeline.web.api.parameters import PageOf
from myi_pipeline.web.api.routes.reading import Fields, Listing, responses, serve_document, serve_list
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads import playlists as reads
from myi_pipeline.web.reads.cursors import MOST_INT, After
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.playlists import PlaylistChangeRow, PlaylistItemRow, PlaylistRow
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["playlists"])

_NONE = "You have no playlist with this id."
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
PlaylistId = Annotated[int, Path(ge=1, le=MOST_INT, description="Its id in the list of playlists.")]
Count = Annotated[int, Field(ge=0, examples=[42])]
Position = Annotated[int | None, Field(ge=0, description="From 0.", examples=[7])]
EntryKindName = Literal["track", "episode", "video", "local", "removed"]


class PlaylistFacts(Answer):
    renamed: ClassVar[Mapping[str, str]] = {"id": "playlist_id"}

    id: int = Field(examples=[12])
    playlist_id: int = Field(description="The same as `id`.", examples=[12])
    name: str = Field(examples=["Sunday morning"])
    description: str | None = Field(examples=["slow ones"])
    provider: str = Field(
        description="spotify, tidal, deezer, youtube_music or file; more may be added.", examples=["spotify"]
    )
    owner_name: str | None = Field(examples=["ana"])
    is_public: bool | None = Field(description="Null if unknown.", examples=[False])
    is_collaborative: bool | None = Field(description="Null if unknown.", examples=[False])
    is_liked_songs: bool = Field(examples=[False])
    state: Literal["readable", "unreadable", "gone"] = Field(
        description="unreadable: the service refuses to show its entries; gone: it is no longer in the library, or was"
        " removed.",
        examples=["readable"],
    )
    items: int | None = Field(ge=0, description="Null if its entries were never read.", examples=[120])
    versions: int = Field(ge=1, description="Number of known versions.", examples=[3])
    first_seen_at: datetime = Field(examples=_AT)
    last_changed_at: datetime = Field(description="When its latest change was noticed.", examples=_AT)
    deleted_at: datetime | None = Field(description="When it was first found missing, or was removed.", examples=_AT)
    url: str | None = Field(
        description="Address of its page at the service.", examples=["https://open.spotify.com/playlist/1"]
    )


class PlaylistList(ListDocument):
    data: list[PlaylistFacts] = Field(description="Most recently discovered first.")


class PlaylistMonth(Answer):
    month_start: date = Field(examples=[date(2024, 3, 1)])
    contents: Count = Field(description="Number of different tracks and episodes of the playlist that were heard.")
    plays: Count
    counted_plays: Count
    ms_played: int = Field(ge=0, description="Milliseconds.", examples=[3_600_000])


class PlaylistDocument(PlaylistFacts):
    version: int | None = Field(
        description="The version of the marts that was read; null before the first refresh.", examples=[17]
    )
    plays: list[PlaylistMonth] = Field(
        description="Plays by month of what is on the playlist now, wherever it was played from."
    )


class PlaylistItem(Answer):
    position: int = Field(ge=0, examples=[0])
    kind: EntryKindName = Field(
        description="local: a file on the owner's device; removed: the service no longer knows what it was.",
        examples=["track"],
    )
    content_id: int | None = Field(description="Null for local files and removed entries.", examples=[42])
    uri: str | None = Field(examples=["spotify:track:4uLU6hMCjMI75M1A2tKUQC"])
    title: str | None = Field(examples=["Never Gonna Give You Up"])
    creator: str | None = Field(examples=["Rick Astley"])
    collection: str | None = Field(examples=["Whenever You Need Somebody"])
    added_at: datetime | None = Field(description="Null if unknown.", examples=_AT)
    added_by: str | None = Field(
        description="The service's id of the person who added it; null if unknown.", examples=["ana"]
    )
    plays: Count
    counted_plays: Count
    last_played_at: datetime | None = Field(examples=_AT)


class PlaylistItems(ListDocument):
    data: list[PlaylistItem] = Field(description="In order; a track that is listed twice appears twice.")


class PlaylistChange(Answer):
    version_no: int = Field(ge=1, examples=[3])
    place: int = Field(ge=1, description="Position among the changes of this version.", examples=[1])
    change: str = Field(
        description="For a playlist: created, renamed, described, owner, visibility, readable, unreadable, gone; for"
        " an entry: added, removed, moved.",
        examples=["added"],
    )
    previous_seen_at: datetime | None = Field(description="The change happened after this.", examples=_AT)
    seen_at: datetime = Field(examples=_AT)
    kind: EntryKindName | None = Field(description="Entries only.", examples=["track"])
    content_id: int | None = Field(description="Entries only.", examples=[42])
    title: str | None = Field(description="Entries only.", examples=["Never Gonna Give You Up"])
    creator: str | None = Field(description="Entries only.", examples=["Rick Astley"])
    position_before: Position
    position_after: Position
    value_before: str | None = Field(
        description="Playlists only: the former name, description, owner or state.", examples=["Old"]
    )
    value_after: str | None = Field(description="The new one.", examples=["New"])


class PlaylistChanges(ListDocument):
    data: list[PlaylistChange] = Field(description="Newest version first.")


@router.get(
    "/playlists",
    operation_id="listPlaylists",
    response_model=PlaylistList,
    responses=responses(is_list=True),
    summary="Your playlists",
)
async def playlists(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf) -> Response:
    async def read(marts: Marts, after: After, limit: int) -> list[PlaylistRow]:
        return await reads.playlists(marts, after=after, limit=limit)

    return await serve_list(request, visitor, site, Listing(read, reads.PLAYLISTS, PlaylistFacts), page=page)


@router.get(
    "/playlists/{playlist_id}",
    operation_id="getPlaylist",
    response_model=PlaylistDocument,
    responses=responses(_404=_NONE),
    summary="One playlist",
)
async def playlist(request: Request, visitor: CurrentUser, site: TheSite, playlist_id: PlaylistId) -> Response:
    async def build(marts: Marts) -> Fields:
        row = await _require(marts, playlist_id)
        plays = await reads.playlist_plays(marts, playlist_id)
        return {**fields_of(PlaylistFacts, [row])[0], "plays": fields_of(PlaylistMonth, plays)}

    return await serve_document(request, visitor, site, build)


@router.get(
    "/playlists/{playlist_id}/items",
    operation_id="listPlaylistItems",
    response_model=PlaylistItems,
    responses=responses(is_list=True, _404=_NONE),
    summary="The entries of a playlist, in order",
)
async def playlist_items(
    request: Request, visitor: CurrentUser, site: TheSite, playlist_id: PlaylistId, page: PageOf
) -> Response:
    async def read(marts: Marts, after: After, limit: int) -> list[PlaylistItemRow]:
        await _require(marts, playlist_id)
        return await reads.playlist_items(marts, playlist_id, after=after, limit=limit)

    return await serve_list(request, visitor, site, Listing(read, reads.ITEMS, PlaylistItem), page=page)


@router.get(
    "/playlists/{playlist_id}/changes",
    operation_id="listPlaylistChanges",
    response_model=PlaylistChanges,
    responses=responses(is_list=True, _404=_NONE),
    summary="The changes of a playlist, newest first",
)
async def playlist_changes(
    request: Request, visitor: CurrentUser, site: TheSite, playlist_id: PlaylistId, page: PageOf
) -> Response:
    async def read(marts: Marts, after: After, limit: int) -> list[PlaylistChangeRow]:
        await _require(marts, playlist_id)
        return await reads.playlist_changes(marts, playlist_id, after=after, limit=limit)

    return await serve_list(request, visitor, site, Listing(read, reads.CHANGES, PlaylistChange), page=page)


async def _require(marts: Marts, playlist_id: int) -> PlaylistRow:
    found = await reads.playlist(marts, playlist_id)
    if found is None:
        raise Problem(404, "not-found", _NONE)
    return found
