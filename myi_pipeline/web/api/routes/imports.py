"""Imports: uploading an archive and following its progress.

Invariant: no answer reveals another user's import, not even that it exists.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from myi_pipeline.archives.list_imports import ImportSummary, find_import, get_import, list_imports
from myi_pipeline.catalogue.sources import EXPORTERS
from myi_pipeline.errors import BadInput
from myi_pipeline.web.answers import accept_json, accept_list, json_answer, link, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.import_models import Import, ImportDetail, ImportFile, ImportList, QuarantineReason
from myi_pipeline.web.api.parameters import Id, PageOf
from myi_pipeline.web.api.routes.reading import open_cursor, problems, responses
from myi_pipeline.web.following import event_schema, follow
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.streams import MEDIA_TYPE, STREAM_HEADERS, EventStream
from myi_pipeline.web.uploads import receive_upload, whole_body

router = APIRouter(route_class=ContractRoute, prefix="/v1/me/imports", tags=["imports"])

ImportId = Annotated[Id, Path(description="The import's id.")]
_OPEN = ("pending", "running")
_NONE = "You have no such import."

NameOf = Annotated[
    str,
    Query(description="Name of the file, for display only.", max_length=200),
]
ZoneOf = Annotated[
    str | None,
    Query(
        description="The player's time zone, for logs that do not state it; defaults to yours.",
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
        "description": "Accepted; follow its progress at Location.",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
    **problems(
        401,
        422,
        429,
        503,
        _403="Tokens are read-only; other sites may not upload.",
        _408="Nothing was received for a minute.",
        _413="Larger than MYI_API_MAX_UPLOAD_BYTES, or over MYI_UPLOADS_QUOTA_BYTES together with your waiting"
        " uploads.",
        _507="There is not enough disk space.",
    ),
}
EVENT_SCHEMA = event_schema({"$ref": f"#/components/schemas/{Import.__name__}"})
EVENT_ANSWERS = {
    200: {"description": "A stream of events.", "content": {MEDIA_TYPE: {"schema": EVENT_SCHEMA}}},
    **problems(401, 422, 429, 503, _404=_NONE),
}


@router.get(
    "",
    operation_id="listImports",
    response_model=ImportList,
    responses=responses(is_list=True, tagged=False),
    summary="Your imports, newest first",
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
    """With the accounting of every file and the reasons why rows were refused."""
    accept_json(request)
    try:
        detail = await site.pools.in_thread(partial(get_import, import_id=import_id, user_key=visitor.user_key))
    except BadInput:
        raise Problem(404, "not-found", _NONE) from None
    files = [_fields(ImportFile, each) for each in detail.files]
    reasons = [_fields(QuarantineReason, each) for each in detail.quarantine]
    return json_answer({**_fields(Import, detail.summary), "files": files, "quarantine": reasons})


@router.post(
    "",
    operation_id="importArchive",
    status_code=202,
    response_model=Import,
    responses=UPLOAD_ANSWERS,
    openapi_extra={"requestBody": UPLOAD_BODY},
    dependencies=[Depends(limited(Tier.SENSITIVE, "uploads"))],
    summary="Upload an archive",
    description=f"""The request body is the file.

Accepted are a ZIP from Spotify or ListenBrainz or one of its JSON files, an export of {EXPORTERS}, and a
`.scrobbler.log`. It is checked at once and imported soon after; follow its progress at Location. Uploading the same
content again returns the same import.""",
)
async def hand_in(
    request: Request, visitor: CurrentUser, site: TheSite, name: NameOf = "archive", time_zone: ZoneOf = None
) -> Response:
    taken = await receive_upload(request, site, visitor, partial(whole_body, name=name, time_zone=time_zone))
    summary = await _look(site, visitor, taken.import_id)
    return json_answer(_fields(Import, summary), status=202, headers={"location": f"/v1/me/imports/{taken.import_id}"})


@router.get(
    "/{import_id}/events",
    operation_id="watchImport",
    responses=EVENT_ANSWERS,
    response_class=Response,
    summary="Watch one import",
)
async def events(request: Request, visitor: CurrentUser, site: TheSite, import_id: ImportId) -> Response:
    """Server-sent events with the import: `progress` whenever it changes, `done` at the end.

    The stream ends after `done` or after ten minutes; browsers then reconnect by themselves."""
    first = await _look(site, visitor, import_id)
    events = follow(
        request, site, visitor, first, look=partial(_look, site, visitor, import_id),
        # An import that needs confirmation may wait for hours.
        tell=lambda each: (_fields(Import, each), each.status not in _OPEN or each.needs_confirmation),
    )  # fmt: skip
    return EventStream(events, streams=site.streams, user_id=visitor.user_id, headers=STREAM_HEADERS)


async def _look(site: Site, visitor: Visitor, import_id: int) -> ImportSummary:
    found = await site.pools.in_thread(partial(find_import, import_id=import_id, user_key=visitor.user_key))
    if found is None:
        raise Problem(404, "not-found", _NONE)
    return found


def _fields(model: type[Answer], row: object) -> dict[str, Any]:
    """A row's contract fields.

    `kind` was published as a closed enum before 'unknown' existed, so 'unknown' is sent as 'mixed'.
    """
    (fields,) = fields_of(model, [row])
    return fields | {"kind": "mixed"} if fields.get("kind") == "unknown" else fields
