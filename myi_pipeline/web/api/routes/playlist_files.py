"""Playlist files: your playlists as files to download.

A request to export is answered when the file is ready, with its address, where it is kept for some days, and a download
link that is valid for an hour. The link needs no sign-in: anybody who has it can download the file.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from myi_pipeline.errors import BadInput
from myi_pipeline.people.kept_answers import KeptAnswer
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.web.answers import CSV, JSON, accept_json, accept_list, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.parameters import whole_number
from myi_pipeline.web.api.routes.playlists import PlaylistId
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.idempotency import REPLAYED_HEADER, IdempotencyKey, repeatable
from myi_pipeline.web.playlist_files import ExportWork, export_playlist, export_playlists, in_export_place, kept_exports
from myi_pipeline.web.problems import Problem, refused
from myi_pipeline.web.reads.cursors import MOST_INT
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentUser, PlaylistMover
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["playlists"])

FormatKey = Literal["m3u8", "m3u", "pls", "xspf", "jspf", "tunemymusic", "exportify", "soundiiz"]
_NONE = "You have no playlist with this id."
_GONE = "There is no export with this name."
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_FILE = "playlists-xspf-20240309-5f0c1e2d3a4b.zip"
FileName = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,80}\.[a-z0-9]{1,10}$", description="The `file_name` of the export.")
]
_LIMITED = [Depends(limited(Tier.SENSITIVE, "exports"))]
_MADE = {
    201: {
        "description": "Created; Location is its address.",
        "headers": {"Location": {"schema": {"type": "string"}}, **REPLAYED_HEADER},
    },
    **problems(
        401,
        422,
        429,
        503,
        _400="The body cannot be read.",
        _403="This token is read-only; exports need the scope `playlists:write`.",
        _413="The body is too large.",
        _507="There is not enough disk space.",
    ),
}


class ExportKept(Answer):
    """A file that can be downloaded."""

    file_name: str = Field(examples=[_FILE])
    bytes: int = Field(ge=0, examples=[52_011])
    made_at: datetime = Field(examples=_AT)
    kept_until: datetime = Field(description="It is deleted within a day after this.", examples=_AT)
    link: str = Field(
        description="Downloads the file without a sign-in, until `link_expires_at`.",
        examples=[f"https://music.example.org/downloads/1/{_FILE}?expires=1710022447&signature=kX3v-0hJ2c1mB9aQ"],
    )
    link_expires_at: datetime = Field(examples=_AT)


class ExportMade(ExportKept):
    playlists: int = Field(ge=0, description="Number of playlists in the file.", examples=[12])
    entries: int = Field(ge=0, examples=[840])
    left_out: int = Field(ge=0, description="Playlists whose entries were never read.", examples=[1])


class ExportList(Answer):
    """Newest first."""

    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])
    data: list[ExportKept]


class ExportWish(BaseModel):
    """The format, and whether CSV cells that a spreadsheet would run as formulas get an apostrophe."""

    model_config = ConfigDict(extra="forbid")

    format: FormatKey = Field(examples=["xspf"])
    formula_guard: StrictBool = True


class PlaylistExportWish(ExportWish):
    version_no: Annotated[int | None, BeforeValidator(whole_number)] = Field(
        default=None, ge=1, le=MOST_INT, description="An earlier version; the latest by default.", examples=[3]
    )


@router.post(
    "/playlists/exports",
    operation_id="exportPlaylists",
    status_code=201,
    response_model=ExportMade,
    responses=_MADE,
    dependencies=_LIMITED,
    summary="All your playlists as one ZIP",
)
async def export_all(
    wish: ExportWish, request: Request, mover: PlaylistMover, site: TheSite, idempotency_key: IdempotencyKey = None
) -> Response:
    """One file per playlist, and `manifest.json` with each one's version, size and what the format cannot hold."""
    work = export_playlists(
        site, mover, format_key=wish.format, formula_guard=wish.formula_guard, address=_address(request, site)
    )
    return await _made(request, site, mover, idempotency_key, work)


@router.post(
    "/playlists/{playlist_id}/exports",
    operation_id="exportPlaylist",
    status_code=201,
    response_model=ExportMade,
    responses={**_MADE, **problems(_404=_NONE)},
    dependencies=_LIMITED,
    summary="One playlist as a file",
)
async def export_one(
    wish: PlaylistExportWish,
    request: Request,
    mover: PlaylistMover,
    site: TheSite,
    playlist_id: PlaylistId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The current version or an earlier one."""
    work = export_playlist(
        site, mover, playlist_id=playlist_id, version_no=wish.version_no, format_key=wish.format,
        formula_guard=wish.formula_guard, address=_address(request, site),
    )  # fmt: skip
    try:
        return await _made(request, site, mover, idempotency_key, work)
    except BadInput as error:
        raise refusal(error) from None


@router.get(
    "/playlists/exports",
    operation_id="listExports",
    response_model=ExportList,
    responses={
        200: {"description": "All of them.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problems(401, 406, 422, 429, 503),
    },
    summary="Your exports, newest first",
)
async def list_exports(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """Exports that still exist, each with a fresh link."""
    media_type = accept_list(request)
    rows = fields_of(ExportKept, await kept_exports(site, visitor))
    return untagged_list(media_type, rows, list(ExportKept.model_fields), beside={"next": None})


@router.get(
    "/playlists/exports/{file_name}",
    operation_id="getExport",
    response_model=ExportKept,
    responses=problems(401, 406, 422, 429, 503, _404=_GONE),
    summary="One export, with a fresh link",
)
async def get_export(request: Request, visitor: CurrentUser, site: TheSite, file_name: FileName) -> Response:
    accept_json(request)
    found = next((each for each in await kept_exports(site, visitor) if each.file_name == file_name), None)
    if found is None:
        raise Problem(404, "not-found", _GONE)
    (fields,) = fields_of(ExportKept, [found])
    return Response(orjson.dumps(fields, option=orjson.OPT_UTC_Z), media_type=JSON)


def refusal(error: BadInput) -> Problem:
    """The problem with a request about a playlist: the playlist itself, or what was asked of it."""
    if error.place == "playlist":
        return Problem(404, "not-found", _NONE)
    return refused(error)


async def _made(request: Request, site: Site, mover: Visitor, key: str | None, work: ExportWork) -> Response:
    def answer(connection: Connection) -> KeptAnswer:
        made = work(connection)
        (fields,) = fields_of(ExportKept, [made.kept])
        more = {"playlists": made.playlists, "entries": made.entries, "left_out": made.left_out}
        body = orjson.dumps({**fields, **more}, option=orjson.OPT_UTC_Z).decode()
        return KeptAnswer(status=201, body=body, location=f"/v1/me/playlists/exports/{made.kept.file_name}")

    return await repeatable(request, site, mover, key, answer, run=partial(in_export_place, site, mover))


def _address(request: Request, site: Site) -> str:
    return client_address(request, site.settings.trusted_networks)
