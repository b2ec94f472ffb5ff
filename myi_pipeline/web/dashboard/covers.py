"""Pictures of albums and artists, for the pages that show them.

What this user never played has no picture, whether this installation keeps one or not. Pictures come from this
installation alone, never from another machine.
"""

from __future__ import annotations

from typing import Annotated

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from starlette.requests import Request

from myi_pipeline.web.answers import is_known, known_tags
from myi_pipeline.web.dashboard.inputs import id_in_path, missing
from myi_pipeline.web.dashboard.signed_in import person_within
from myi_pipeline.web.reads.database import Marts, load_sql
from myi_pipeline.web.reads.music import picture_of
from myi_pipeline.web.reads.top import Entity
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

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
    """The digest comes from the marts, which show this user's plays alone; the bytes then by that digest."""
    id = id_in_path(text, what=entity)

    async def read(marts: Marts) -> str | None:
        return await picture_of(marts, entity, id)

    try:
        digest = await site.pools.read(person.user_id, read)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        digest = None
    if digest is None:
        raise missing("There is no picture.")
    headers = {**_KEPT, "etag": f'"{digest}"'}
    if is_known(headers["etag"], known_tags(request)):
        return Response(status_code=304, headers=headers)
    kept = await site.pools.ask_access(load_sql("access/picture"), {"digest": bytes.fromhex(digest)})
    if kept is None:
        raise missing("There is no picture.")
    media_type, content = kept
    return Response(bytes(content), media_type=media_type, headers=headers)
