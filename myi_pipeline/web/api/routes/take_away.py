"""Exports of everything: ordered here, made by a job, downloaded by a signed link, and deleted.

As for playlist exports, the links are valid for an hour, for anybody who has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from myi_pipeline.web.answers import CSV, JSON, accept_json, accept_list, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.cursors import MOST_INT
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import TheSite
from myi_pipeline.web.take_away import delete_export, order_export, shown_exports

router = APIRouter(route_class=ContractRoute, prefix="/v1/me", tags=["exports"])

_NONE = "You have no export with this id."
_BUSY = "It is still being made; delete it when it is done."
_AT = [datetime.fromisoformat("2024-03-09T21:14:07Z")]
_FILE = "myi-export-20240309-5f0c1e2d3a4b.zip"
Number = Annotated[int, Path(ge=1, le=MOST_INT, description="Its id in the list.")]


class TakeAway(Answer):
    """An export of everything: its progress and, when done, its download link."""

    renamed: ClassVar[Mapping[str, str]] = {"id": "export_id"}

    id: int = Field(examples=[7])
    state: Literal["ordered", "running", "done", "failed", "deleted"] = Field(
        description="`ordered`: waiting to be made; `deleted`: its file has expired.", examples=["done"]
    )
    with_marts: bool = Field(description="Whether it contains tables for spreadsheets.", examples=[True])
    ordered_at: datetime = Field(examples=_AT)
    finished_at: datetime | None = Field(description="Null until it is done or has failed.", examples=_AT)
    rows_done: int = Field(ge=0, description="Reported plays written so far.", examples=[180_000])
    rows_total: int = Field(ge=0, description="Estimated total; 0 until it is begun.", examples=[240_000])
    events: int | None = Field(description="Reported plays in it; null until it is done.", examples=[None])
    marts_are_current: bool | None = Field(
        description="Whether its tables were up to date with everything reported by then; null without tables and"
        " until it is done.",
        examples=[True],
    )
    file_name: str | None = Field(examples=[_FILE])
    bytes: int | None = Field(examples=[31_400_000])
    kept_until: datetime | None = Field(description="The file is deleted within a day after this.", examples=_AT)
    link: str | None = Field(
        description="Downloads the file without a sign-in, until `link_expires_at`; null if there is no file.",
        examples=[f"https://music.example.org/downloads/1/{_FILE}?expires=1710022447&signature=kX3v-0hJ2c1mB9aQ"],
    )
    link_expires_at: datetime | None = Field(examples=_AT)


class TakeAwayList(Answer):
    """Newest first."""

    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])
    data: list[TakeAway]


class TakeAwayWish(BaseModel):
    """Whether the export contains tables for spreadsheets besides what another installation needs to import it."""

    model_config = ConfigDict(extra="forbid")

    with_marts: StrictBool = True


@router.post(
    "/exports",
    operation_id="takeAway",
    status_code=202,
    response_model=TakeAway,
    responses={
        202: {
            "description": "Ordered, or one is being made already; follow its progress at Location.",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **problems(
            401,
            422,
            429,
            503,
            _400="The body cannot be read.",
            _403="Tokens are read-only.",
            _413="The body is too large.",
        ),
    },
    dependencies=[Depends(limited(Tier.SENSITIVE, "exports"))],
    summary="Everything of yours as one ZIP",
)
async def take_away(wish: TakeAwayWish, request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """Every play as reported, your corrections and decisions, playlists with all versions, and tables."""
    address = client_address(request, site.settings.trusted_networks)
    made = await order_export(site, visitor, with_marts=wish.with_marts, address=address)
    (fields,) = fields_of(TakeAway, [made])
    return Response(
        orjson.dumps(fields, option=orjson.OPT_UTC_Z),
        status_code=202,
        media_type=JSON,
        headers={"location": f"/v1/me/exports/{made.export_id}"},
    )


@router.get(
    "/exports",
    operation_id="listTakeAways",
    response_model=TakeAwayList,
    responses={
        200: {"description": "All of them.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problems(401, 406, 422, 429, 503),
    },
    summary="Your exports of everything, newest first",
)
async def list_take_aways(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    """Exports of the last weeks; those whose file still exists have a fresh link."""
    media_type = accept_list(request)
    rows = fields_of(TakeAway, await shown_exports(site, visitor))
    return untagged_list(media_type, rows, list(TakeAway.model_fields), beside={"next": None})


@router.get(
    "/exports/{export_id}",
    operation_id="getTakeAway",
    response_model=TakeAway,
    responses=problems(401, 406, 422, 429, 503, _404=_NONE),
    summary="One export: its progress or a fresh link",
)
async def get_take_away(request: Request, visitor: CurrentUser, site: TheSite, export_id: Number) -> Response:
    accept_json(request)
    found = next((each for each in await shown_exports(site, visitor) if each.export_id == export_id), None)
    if found is None:
        raise Problem(404, "not-found", _NONE)
    (fields,) = fields_of(TakeAway, [found])
    return Response(orjson.dumps(fields, option=orjson.OPT_UTC_Z), media_type=JSON)


@router.delete(
    "/exports/{export_id}",
    operation_id="deleteTakeAway",
    status_code=204,
    responses=problems(401, 422, 429, 503, _403="Tokens are read-only.", _404=_NONE, _409=_BUSY),
    summary="Delete an export and its file",
)
async def delete_take_away(request: Request, visitor: CurrentUser, site: TheSite, export_id: Number) -> Response:
    address = client_address(request, site.settings.trusted_networks)
    if not await delete_export(site, visitor, export_id=export_id, address=address):
        is_there = any(each.export_id == export_id for each in await shown_exports(site, visitor))
        raise Problem(409, "under-way", _BUSY) if is_there else Problem(404, "not-found", _NONE)
    return Response(status_code=204)
