"""Pictures of albums, artists and playlists, as pages show them and as the API gives them.

What this user never played, and what is no list of theirs, has no picture, whether this installation keeps one or not.
Pictures come from this installation alone, never from another machine.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from myi_pipeline.postgres.connections import Connection
from myi_pipeline.postgres.user_scope import as_user
from myi_pipeline.web.answers import is_known, known_tags
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.marts import Marts, MartsMissing
from myi_pipeline.web.reads.music import picture_of
from myi_pipeline.web.reads.sql_files import load_sql
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
    return await _serve(request, site, digest)


async def serve_picture_of_list(request: Request, site: Site, *, user_id: int, playlist_id: int) -> Response:
    """The picture that a service gives a playlist of this user's. Raises Problem 404."""
    found = await pictures_of_lists(site, user_id)
    return await _serve(request, site, found.get(playlist_id))


async def pictures_of_lists(site: Site, user_id: int) -> dict[int, str]:
    """The digests of those that are kept, by playlist."""

    def read(connection: Connection) -> dict[int, str]:
        with as_user(connection, user_id):
            rows = connection.execute("select playlist_id, encode(digest, 'hex') from ops.pictures_of_playlists()")
            return dict(rows.fetchall())

    return await site.pools.in_thread(read)


async def _serve(request: Request, site: Site, digest: str | None) -> Response:
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
