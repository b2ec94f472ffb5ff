"""Pictures of albums and artists, as pages show them and as the API gives them.

What this user never played has no picture, whether this installation keeps one or not. Pictures come from this
installation alone, never from another machine.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from myi_pipeline.web.answers import is_known, known_tags
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.database import Marts, MartsMissing, load_sql
from myi_pipeline.web.reads.music import picture_of
from myi_pipeline.web.reads.top import Entity
from myi_pipeline.web.site import Site

# How long a browser shows it to whoever else uses that browser's sign-in; Vary keeps it from another sign-in.
_KEPT = {"cache-control": "private, max-age=86400", "vary": "Cookie, Authorization"}


async def serve_picture(request: Request, site: Site, *, user_id: int, entity: Entity, id: int) -> Response:
    """The digest comes from the marts, which show this user's plays alone; the bytes then by that digest.

    Raises Problem 404.
    """

    async def read(marts: Marts) -> str | None:
        return await picture_of(marts, entity, id)

    try:
        digest = await site.pools.read(user_id, read)
    except MartsMissing:
        digest = None
    if digest is None:
        raise _none()
    headers = {**_KEPT, "etag": f'"{digest}"'}
    if is_known(headers["etag"], known_tags(request)):
        return Response(status_code=304, headers=headers)
    kept = await site.pools.ask_access(load_sql("access/picture"), {"digest": bytes.fromhex(digest)})
    if kept is None:
        raise _none()
    media_type, content = kept
    return Response(bytes(content), media_type=media_type, headers=headers)


def _none() -> Problem:
    return Problem(404, "not-found", "There is no picture.")
