"""Playlists that are no service's: importing them from files, and removing these and those that MYI made.

What is removed is marked as gone, and its history stays. Playlists of linked accounts are removed at their service.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field
from starlette.convertors import StringConvertor, register_url_convertor

from myi_pipeline.errors import BadInput
from myi_pipeline.people.kept_answers import KeptAnswer
from myi_pipeline.playlists.file_inbox import LONGEST_NAME, InboxFull, accept_file
from myi_pipeline.playlists.files import Reading
from myi_pipeline.playlists.removing import ListOfService, remove_list
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.migration_asking import MARKED, address_of
from myi_pipeline.web.api.routes.playlist_files import refusal
from myi_pipeline.web.api.routes.playlists import PlaylistId
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.idempotency import REPLAYED_HEADER, IdempotencyKey, repeatable
from myi_pipeline.web.playlist_uploads import inbox_full, read_in_time, wrong_file
from myi_pipeline.web.problems import Problem, sentence
from myi_pipeline.web.security.identity import PlaylistMover
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.shown.contract import Answer
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["playlists"])

_NONE = "You have no playlist with this id."
_LIMITED = [Depends(limited(Tier.SENSITIVE, "playlists"))]
_SCOPE = "Neither a signed-in browser nor a token with the scope `playlists:write`."
_BINARY = {"schema": {"type": "string", "format": "binary"}}
FileName = Annotated[
    str,
    Query(
        description="Name of the file with its suffix. On the next import its playlists are recognised by it.",
        min_length=1,
        max_length=LONGEST_NAME,
        examples=["road-trip.m3u8"],
    ),
]


class PlaylistRead(Answer):
    file: str = Field(description="The file, with the ZIP that it is in.", examples=["road-trip.m3u8"])
    format: str = Field(
        description="m3u8, m3u, pls, xspf, jspf, spotify, tunemymusic, exportify or soundiiz; more may be added.",
        examples=["m3u8"],
    )
    name: str = Field(description="Empty if the file does not say.", examples=["Road trip"])
    entries: int = Field(ge=0, examples=[42])


class PlaylistFileTaken(Answer):
    playlists: list[PlaylistRead]
    warnings: list[str] = Field(
        description="What was not understood, or is not stored.",
        examples=[["road-trip.m3u8, line 7: a line that is no address and no path."]],
    )


@router.post(
    "/playlist-files",
    operation_id="importPlaylistFile",
    status_code=202,
    response_model=PlaylistFileTaken,
    responses={
        202: {"description": "Read, and stored within seconds.", "headers": REPLAYED_HEADER},
        **problems(
            401, 422, 429, 503, 504, _403=_SCOPE, _413="Larger than 16 MiB.",
            _409="`too-much-waiting`: earlier files of yours are not stored yet.",
        ),
    },
    openapi_extra={
        **MARKED,
        "requestBody": {
            "required": True,
            "content": {"application/zip": _BINARY, "application/json": {"schema": {}}, "text/plain": _BINARY},
        },
    },
    dependencies=_LIMITED,
    summary="Import playlists from a file",
)  # fmt: skip
async def import_file(
    request: Request, mover: PlaylistMover, site: TheSite, name: FileName, idempotency_key: IdempotencyKey = None
) -> Response:
    """The request body is the file: M3U8, M3U, PLS, XSPF, JSPF, a CSV of Exportify, TuneMyMusic or Soundiiz, playlists
    of Spotify's account data, or a ZIP of these. A known list gets another version if anything differs. They are among
    your playlists after the next refresh.
    """
    try:
        with site.uploads.held(mover.user_id):
            content = await request.body()
            file_name, readings = await read_in_time(site, mover, name=name, content=content)

            def work(connection: Connection) -> KeptAnswer:
                accept_file(connection, user_id=mover.user_id, name=file_name, content=content)
                return KeptAnswer(status=202, body=_taken(readings))

            return await repeatable(request, site, mover, idempotency_key, work)
    except InboxFull as error:
        raise inbox_full(error) from None
    except BadInput as error:
        raise wrong_file(error) from None


def _taken(readings: Sequence[Reading]) -> str:
    lists = [
        PlaylistRead(
            file=reading.place, format=reading.format.key, name=playlist.name, entries=len(playlist.entries)
        )
        for reading in readings
        for playlist in reading.playlists
    ]  # fmt: skip
    warnings = [warning for reading in readings for warning in reading.warnings]
    return orjson.dumps(PlaylistFileTaken(playlists=lists, warnings=warnings).model_dump()).decode()


class _OneList(StringConvertor):
    """What may name a playlist. Otherwise the exports of playlists would be an address with this method."""

    regex = r"(?!exports$)[^/]+"


register_url_convertor("one_list", _OneList())


@router.delete(
    "/playlists/{playlist_id:one_list}",
    operation_id="removePlaylist",
    status_code=204,
    responses={
        204: {"description": "It is removed, or was removed before."},
        **problems(
            401, 422, 429, 503,
            _403=_SCOPE,
            _404=_NONE,
            _409="`list-of-a-service`: it belongs to a linked account; delete it at its service.",
        ),
    },
    response_class=Response,
    openapi_extra=MARKED,
    dependencies=_LIMITED,
    summary="Remove a playlist from a file, or one made here",
)  # fmt: skip
async def remove_playlist(request: Request, mover: PlaylistMover, site: TheSite, playlist_id: PlaylistId) -> Response:
    """Its history stays, and its `state` is `gone` after the next refresh. Importing its file or making it again brings
    it back.
    """
    try:
        await site.pools.in_thread(
            remove_list, user_id=mover.user_id, playlist_id=playlist_id, now=datetime.now(UTC),
            address=address_of(request, site),
        )  # fmt: skip
    except ListOfService as error:
        raise Problem(409, "list-of-a-service", sentence(str(error))) from None
    except BadInput as error:
        raise refusal(error) from None
    return Response(status_code=204)
