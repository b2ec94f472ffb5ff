"""What the Web API says of tracks, albums and artists, one by one or, to old apps, in batches.

Belongs here: ids that exist, that have moved, that are gone. Not here: who may ask, spelling.
"""

from __future__ import annotations

from starlette.responses import Response

from myi_pipeline.simulator.live.asked import JSON, Asked, BadParameter
from myi_pipeline.simulator.live.documents import dump
from myi_pipeline.simulator.live.failing import error

_ID_LENGTH = 22
_BATCHES = {"tracks": 50, "albums": 20, "artists": 50}


def _found(asked: Asked, kind: str, identifier: str) -> bytes | None:
    world, documents, dialect = asked.state.world, asked.state.documents, asked.app.dialect
    if len(identifier) != _ID_LENGTH or not identifier.isascii() or not identifier.isalnum():
        raise BadParameter("Invalid base62 id")
    if kind == "tracks":
        track = world.by_track_id.get(identifier)
        return None if track is None or track.is_gone or track.is_local else documents.track(track, dialect)
    if kind == "albums":
        number = world.by_album_id.get(identifier)
        return None if number is None else dump(documents.album(world.albums[number], dialect))
    artist = world.by_artist_id.get(identifier)
    return None if artist is None else dump(documents.artist(artist, dialect))


def _one(asked: Asked, kind: str) -> Response:
    found = _found(asked, kind, asked.request.path_params["id"])
    return error(404, "Resource not found") if found is None else Response(found, media_type=JSON)


def track(asked: Asked) -> Response:
    return _one(asked, "tracks")


def album(asked: Asked) -> Response:
    return _one(asked, "albums")


def artist(asked: Asked) -> Response:
    return _one(asked, "artists")


def batch(asked: Asked) -> Response:
    kind = asked.request.url.path.rsplit("/", 1)[1]
    if asked.app.dialect == "new":
        return error(403, "Forbidden")
    identifiers = [each for each in asked.request.query_params.get("ids", "").split(",") if each]
    if not identifiers:
        raise BadParameter("Missing required field: ids")
    if len(identifiers) > _BATCHES[kind]:
        raise BadParameter("Too many ids requested")
    found = [_found(asked, kind, each) or b"null" for each in identifiers]
    return Response(b'{"%b":[%b]}' % (kind.encode(), b",".join(found)), media_type=JSON)
