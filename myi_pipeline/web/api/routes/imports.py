"""Imports: handing an archive in, and watching what becomes of it.

Invariant: no answer reveals another user's import, not even that it exists.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response

from myi_pipeline.archives.list_imports import ImportSummary, find_import, get_import, list_imports
from myi_pipeline.errors import BadInput
from myi_pipeline.web.answers import JSON, accept_json, accept_list, link, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.models import Answer, Import, ImportDetail, ImportFile, ImportList, QuarantineReason
from myi_pipeline.web.api.parameters import Id, PageOf
from myi_pipeline.web.api.routes.reading import fields_of, open_cursor, problems, responses
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.database import DatabaseGone
from myi_pipeline.web.security.identity import CurrentUser, is_still_known
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.streams import MEDIA_TYPE, STREAM_HEADERS, EventStream, event
from myi_pipeline.web.uploads import receive_upload, whole_body

router = APIRouter(route_class=ContractRoute, prefix="/v1/me/imports", tags=["imports"])

ImportId = Annotated[Id, Path(description="The import's number.")]
_OPEN = ("pending", "running")
_NONE = "You have no such import."
_LOOK_EVERY_S = 0.5
# Proxies close what is silent for a minute; a browser opens a stream that ended again by itself.
_SIGN_OF_LIFE_S, _LONGEST_S = 15.0, 600.0

NameOf = Annotated[
    str,
    Query(description="What the file is called; only for people.", max_length=200),
]
ZoneOf = Annotated[
    str | None,
    Query(
        description="Where the player was of a log that does not say it; your own zone unless it is told.",
        max_length=64,
        examples=["Europe/Berlin"],
    ),
]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
UPLOAD_BODY = {
    "required": True,
    "content": {"application/zip": _BINARY, "application/json": {"schema": {}}, "text/plain": _BINARY},
}
UPLOAD_ANSWERS = {
    202: {
        "description": "Taken; Location is the place to watch.",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    **problems(
        401,
        422,
        429,
        503,
        _403="A token only reads, and another site's page may not hand in.",
        _408="Nothing came for a minute.",
        _413="Larger than MYI_API_MAX_UPLOAD_BYTES, or more than MYI_UPLOADS_QUOTA_BYTES with what is there.",
        _507="There is too little room on this machine.",
    ),
}
EVENT_SCHEMA = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["progress", "done"]},
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "data": {
            "type": "string",
            "contentMediaType": JSON,
            "contentSchema": {"$ref": f"#/components/schemas/{Import.__name__}"},
        },
    },
    "required": ["event", "id", "data"],
}
EVENT_ANSWERS = {
    200: {"description": "A stream of events.", "content": {MEDIA_TYPE: {"schema": EVENT_SCHEMA}}},
    **problems(401, 422, 429, 503, _404=_NONE),
}


@router.get(
    "",
    operation_id="listImports",
    response_model=ImportList,
    responses=responses(is_list=True, tagged=False),
    summary="What you handed in, newest first",
)
async def my_imports(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf) -> Response:
    purpose = f"{visitor.user_id} {request.url.path}"
    before = int(open_cursor(site.cursors, purpose, page.cursor)[0]) if page.cursor is not None else None
    media_type = accept_list(request)
    asked = partial(list_imports, user_key=visitor.user_key, limit=page.limit + 1, before=before)
    found = await site.pools.in_thread(asked)
    rows = [_fields(Import, each) for each in found[: page.limit]]
    cursor = site.cursors.seal(purpose, [found[page.limit - 1].import_id]) if len(found) > page.limit else None
    links = {"link": link(request, "next", cursor=cursor)} if cursor is not None else {}
    return untagged_list(media_type, rows, list(Import.model_fields), headers=links, beside={"next": cursor})


@router.get(
    "/{import_id}",
    operation_id="getImport",
    response_model=ImportDetail,
    responses=responses(tagged=False, _404=_NONE),
    summary="One import",
)
async def my_import(request: Request, visitor: CurrentUser, site: TheSite, import_id: ImportId) -> Response:
    """With the accounting of every file, and the reasons for which rows were refused."""
    accept_json(request)
    try:
        detail = await site.pools.in_thread(partial(get_import, import_id=import_id, user_key=visitor.user_key))
    except BadInput:
        raise Problem(404, "not-found", _NONE) from None
    files = [_fields(ImportFile, each) for each in detail.files]
    reasons = [_fields(QuarantineReason, each) for each in detail.quarantine]
    return _json({**_fields(Import, detail.summary), "files": files, "quarantine": reasons})


@router.post(
    "",
    operation_id="importArchive",
    status_code=202,
    response_model=Import,
    responses=UPLOAD_ANSWERS,
    openapi_extra={"requestBody": UPLOAD_BODY},
    dependencies=[Depends(limited(Tier.SENSITIVE, "uploads"))],
    summary="Hand in an archive",
)
async def hand_in(
    request: Request, visitor: CurrentUser, site: TheSite, name: NameOf = "archive", time_zone: ZoneOf = None
) -> Response:
    """A file as the body: a ZIP as Spotify or ListenBrainz sends it, one of its JSON files, an export of Last.fm,
    Maloja or Koito, or a `.scrobbler.log`. It is looked at here, and imported soon after; the answer names the place to
    watch. The same content again is the same import."""
    taken = await receive_upload(request, site, visitor, partial(whole_body, name=name, time_zone=time_zone))
    summary = await _look(site, visitor, taken.import_id)
    return _json(_fields(Import, summary), status=202, headers={"location": f"/v1/me/imports/{taken.import_id}"})


@router.get(
    "/{import_id}/events",
    operation_id="watchImport",
    responses=EVENT_ANSWERS,
    response_class=Response,
    summary="Watch one import",
)
async def events(request: Request, visitor: CurrentUser, site: TheSite, import_id: ImportId) -> Response:
    """Server-sent events: `progress` with the import whenever it has changed, `done` with it at its end.

    The stream ends after `done`, or after ten minutes; a browser then opens it again by itself."""
    first = await _look(site, visitor, import_id)
    events = _events(request, site, visitor, first)
    return EventStream(events, streams=site.streams, user_id=visitor.user_id, headers=STREAM_HEADERS)


async def _events(request: Request, site: Site, visitor: Visitor, first: ImportSummary) -> AsyncIterator[bytes]:
    began = heard = time.monotonic()
    summary, sent, number = first, None, 0
    while time.monotonic() - began < _LONGEST_S:
        # One that waits for a person would wait for hours.
        is_done = summary.status not in _OPEN or summary.needs_confirmation
        if summary != sent or is_done:
            number, sent, heard = number + 1, summary, time.monotonic()
            yield event("done" if is_done else "progress", _fields(Import, summary), number=number)
        elif time.monotonic() - heard > _SIGN_OF_LIFE_S:
            heard = time.monotonic()
            yield b": still here\n\n"
        if is_done:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            # After a sign-out no more events are sent.
            if not await is_still_known(request, site, visitor):
                return
            summary = await _look(site, visitor, first.import_id)
        except (DatabaseGone, Problem):
            # The client comes back and then learns why.
            return


async def _look(site: Site, visitor: Visitor, import_id: int) -> ImportSummary:
    found = await site.pools.in_thread(partial(find_import, import_id=import_id, user_key=visitor.user_key))
    if found is None:
        raise Problem(404, "not-found", _NONE)
    return found


def _fields(model: type[Answer], row: object) -> dict[str, Any]:
    """What the contract names of a row. Its kinds were a closed list, for which 'unknown' came too late."""
    (fields,) = fields_of(model, [row])
    return fields | {"kind": "mixed"} if fields.get("kind") == "unknown" else fields


def _json(content: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_UTC_Z)
    return Response(body, status_code=status, media_type=JSON, headers=headers)
