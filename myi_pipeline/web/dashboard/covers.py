"""Pictures of albums and artists, for the pages that show them.

Belongs here: who may look at one, and how long a browser may keep it. Not here: fetching them (services/keep_pictures).
Invariants: what this user never played has no picture, whether the house keeps one or not; nothing but the bytes of a
JPEG, PNG or WebP leaves here, and they never come from another machine.
"""

from __future__ import annotations

from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from starlette.requests import Request

from myi_pipeline.api.exchange import Asked
from myi_pipeline.api.page_addresses import id_in_path, missing
from myi_pipeline.api.page_reads import Entity
from myi_pipeline.api.routes.pages.reader import person_within
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.security.rate_limits import Tier
from myi_pipeline.api.site import Site, TheSite
from myi_pipeline.api.sql_files import load_sql

router = APIRouter()

# A page of a top list has fifty of them: pictures are counted apart from pages, and leniently.
Looking = Annotated[Visitor, Depends(person_within(Tier.LENIENT, "covers"))]

# Its address changes with the picture, so this is how long a browser shows it to whoever else uses that browser's
# sign-in; Vary keeps it from another sign-in.
_KEPT = {"cache-control": "private, max-age=86400", "vary": "Cookie"}


@router.get("/albums/{album_id}/cover")
async def album_cover(request: Request, person: Looking, site: TheSite, album_id: str) -> Response:
    return await _show(request, person, site, "album", album_id)


@router.get("/artists/{artist_id}/cover")
async def artist_cover(request: Request, person: Looking, site: TheSite, artist_id: str) -> Response:
    return await _show(request, person, site, "artist", artist_id)


async def _show(request: Request, person: Visitor, site: Site, entity: Entity, text: str) -> Response:
    """First what the marts tell this user, as the role that sees one user's plays; the bytes then by their digest."""
    asked = Asked(load_sql("pages/cover"), {"entity": entity, "id": id_in_path(text, what=entity)})
    try:
        found = (await site.pools.read(person.user_id, [asked])).rows[0]
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        found = []
    if not found or found[0]["picture"] is None:
        raise missing("There is no picture.")
    digest = str(found[0]["picture"])
    headers = {**_KEPT, "etag": f'"{digest}"'}
    if _is_known(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    kept = await site.pools.ask_access(load_sql("access/picture"), {"digest": bytes.fromhex(digest)})
    if kept is None:
        raise missing("There is no picture.")
    media_type, content = kept
    return Response(bytes(content), media_type=media_type, headers=headers)


def _is_known(shown: str, tag: str) -> bool:
    tags = {each.strip().removeprefix("W/") for each in shown.split(",")}
    return tag in tags or tags == {"*"}
