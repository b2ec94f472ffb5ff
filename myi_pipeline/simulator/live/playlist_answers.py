"""The Web API's answers about playlists and liked songs, and changes to them.

A write is answered only with the new snapshot id; there is no way to ask later whether it was carried out.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from myi_pipeline.simulator.live.answers import JSON, Asked, BadParameter
from myi_pipeline.simulator.live.documents import dump
from myi_pipeline.simulator.live.failing import error
from myi_pipeline.simulator.live.playlists import LivePlaylist, ScriptedEntry, entry_of, uri_of

READ_PRIVATE, READ_COLLABORATIVE = "playlist-read-private", "playlist-read-collaborative"
WRITE_PRIVATE, WRITE_PUBLIC = "playlist-modify-private", "playlist-modify-public"
_MOST_IN_A_WRITE = 100


def mine(asked: Asked) -> Response:
    limit, offset = asked.number("limit", 20, 1, 50), asked.number("offset", 0, 0, 100_000)
    found = [
        each
        for each in asked.state.playlists.of(asked.listener.spec.key)
        if (not each.spec.collaborative or READ_COLLABORATIVE in asked.scopes)
        and asked.state.playlists.is_listed(each, asked.state.clock.now())
    ]
    pieces = [
        b"null" if each.spec.is_listed_as_null else dump(_head(asked, _as_read(asked, each), is_whole=False))
        for each in found[offset : offset + limit]
    ]
    return _page(asked, "/me/playlists", pieces, limit=limit, offset=offset, total=len(found))


def head(asked: Asked) -> Response:
    found = _found(asked)
    return (
        error(404, "Resource not found")
        if found is None
        else _document(200, _head(asked, _as_read(asked, found), is_whole=True))
    )


def items(asked: Asked) -> Response:
    found = _found(asked)
    if found is None:
        return error(404, "Resource not found")
    if not found.may_read(asked.listener.spec.key):
        return error(403, "Forbidden")
    limit = asked.number("limit", 20, 1, 100 if asked.app.dialect == "old" else 50)
    offset = asked.number("offset", 0, 0, 100_000)
    types = set(asked.request.query_params.get("additional_types", "track").split(","))
    book = asked.state.playlists
    entries = _as_read(asked, found).entries
    page = entries[offset : offset + limit]
    pieces = [book.entry(each, dialect=asked.app.dialect, types=types) for each in page]
    path = f"/playlists/{found.spec.id}/items"
    answer = _page(asked, path, pieces, limit=limit, offset=offset, total=len(entries))
    if offset + limit < len(entries):
        book.page_was_read(found)
    return answer


def liked(asked: Asked) -> Response:
    limit, offset = asked.number("limit", 20, 1, 50), asked.number("offset", 0, 0, 100_000)
    book = asked.state.playlists
    found = book.liked_by(asked.listener.spec.key)
    page = found.entries[offset : offset + limit]
    pieces = [book.liked_entry(each, dialect=asked.app.dialect) for each in page]
    answer = _page(asked, "/me/tracks", pieces, limit=limit, offset=offset, total=len(found.entries))
    if offset + limit < len(found.entries):
        book.page_was_read(found)
    return answer


def create(asked: Asked) -> Response:
    body, book = _body(asked), asked.state.playlists
    name, public, collaborative = body.get("name"), body.get("public", True), body.get("collaborative", False)
    if not isinstance(name, str) or not name:
        raise BadParameter("Missing required field: name")
    if collaborative and public:
        raise BadParameter("Collaborative playlists can only be private")
    if refusal := _lacks_scope(asked, is_public=public):
        return refusal
    owner = asked.listener.spec.key
    if sum(each.spec.owner == owner for each in book.lists.values()) >= book.most_lists:
        return error(403, "You have reached the maximum number of playlists")
    made = book.create(
        owner, name=name, description=body.get("description"), public=public, collaborative=collaborative,
        now=asked.state.clock.now(),
    )  # fmt: skip
    return _document(201, _head(asked, book.lists[made], is_whole=True))


def add(asked: Asked) -> Response:
    found, refusal = _to_write(asked)
    if found is None:
        return refusal
    body = _body(asked)
    new = _entries(asked, body.get("uris"))
    if len(found.entries) + len(new) > asked.state.playlists.most_items:
        return error(403, "Playlist size limit reached")
    position = body.get("position", len(found.entries))
    if not isinstance(position, int) or not 0 <= position <= len(found.entries):
        raise BadParameter("Index out of bounds")
    found.entries[position:position] = new
    return _document(201, {"snapshot_id": found.changed()})


def change(asked: Asked) -> Response:
    """Replaces all entries, or moves a block."""
    found, refusal = _to_write(asked)
    if found is None:
        return refusal
    body = _body(asked)
    if ("uris" in body) == ("range_start" in body):
        raise BadParameter("Either uris or range_start and insert_before")
    if "uris" in body:
        found.entries = _entries(asked, body["uris"])
        return _document(200, {"snapshot_id": found.changed()})
    start, before, length = (_whole(body, name) for name in ("range_start", "insert_before", "range_length"))
    if not (start >= 0 and length >= 1 and start + length <= len(found.entries) and 0 <= before <= len(found.entries)):
        raise BadParameter("Index out of bounds")
    if body.get("snapshot_id", found.snapshot_id) != found.snapshot_id:
        raise BadParameter("Invalid snapshot id")
    if not start <= before <= start + length:
        block = found.entries[start : start + length]
        rest = found.entries[:start] + found.entries[start + length :]
        place = before if before < start else before - length
        found.entries = rest[:place] + block + rest[place:]
        found.changed()
    return _document(200, {"snapshot_id": found.snapshot_id})


def remove(asked: Asked) -> Response:
    """Removes every entry with these URIs: one of two equal ones cannot be selected."""
    found, refusal = _to_write(asked)
    if found is None:
        return refusal
    body = _body(asked)
    named = body.get("items")
    if not isinstance(named, list) or not 1 <= len(named) <= _MOST_IN_A_WRITE:
        raise BadParameter("Invalid items")
    if body.get("snapshot_id", found.snapshot_id) != found.snapshot_id:
        raise BadParameter("Invalid snapshot id")
    uris = {each.get("uri") for each in named if isinstance(each, dict)}
    kept = [each for each in found.entries if uri_of(each, asked.state.world) not in uris]
    if len(kept) < len(found.entries):
        found.entries = kept
        found.changed()
    return _document(200, {"snapshot_id": found.snapshot_id})


def only_in_dialect(asked: Asked) -> Response:
    """The old path of items, which new apps may not use."""
    return items(asked) if asked.app.dialect == "old" else error(403, "Forbidden")


def only_in_new_dialect(asked: Asked) -> Response:
    return items(asked) if asked.app.dialect == "new" else error(404, "Service not found")


def _found(asked: Asked) -> LivePlaylist | None:
    identifier = asked.request.path_params["id"]
    if not identifier.isascii() or not identifier.isalnum():
        raise BadParameter("Invalid base62 id")
    found = asked.state.playlists.lists.get(identifier)
    return found if found is not None and found.is_seen_by(asked.listener.spec.key) else None


def _as_read(asked: Asked, playlist: LivePlaylist) -> LivePlaylist:
    return asked.state.playlists.as_read(playlist, asked.state.clock.now())


def _head(asked: Asked, playlist: LivePlaylist, *, is_whole: bool) -> dict[str, Any]:
    book, listener = asked.state.playlists, asked.listener.spec.key
    return book.head(playlist, listener=listener, dialect=asked.app.dialect, is_whole=is_whole)


def _to_write(asked: Asked) -> tuple[LivePlaylist | None, Response]:
    found = _found(asked)
    if found is None:
        return None, error(404, "Resource not found")
    if not found.may_read(asked.listener.spec.key):
        return None, error(403, "You cannot change a playlist that you do not own")
    refusal = _lacks_scope(asked, is_public=found.spec.public is True)
    if refusal is not None:
        return None, refusal
    asked.state.playlists.is_changing(found, asked.state.clock.now())
    return found, Response()


def _lacks_scope(asked: Asked, *, is_public: bool) -> Response | None:
    needed = WRITE_PUBLIC if is_public else WRITE_PRIVATE
    return error(403, "Insufficient client scope") if needed not in asked.scopes else None


def _entries(asked: Asked, uris: object) -> list[ScriptedEntry]:
    if not isinstance(uris, list) or len(uris) > _MOST_IN_A_WRITE or not all(isinstance(each, str) for each in uris):
        raise BadParameter("Invalid uris: at most 100")
    now, by = asked.state.clock.now(), asked.listener.spec.key
    made = [entry_of(uri, asked.state.world, added_at=now, added_by=by) for uri in uris]
    if any(each is None for each in made):
        raise BadParameter("Invalid track uri")
    return [each for each in made if each is not None]


def _whole(body: dict[str, Any], name: str) -> int:
    value = body.get(name, 1 if name == "range_length" else None)
    if not isinstance(value, int):
        raise BadParameter(f"Invalid {name}")
    return value


def _body(asked: Asked) -> dict[str, Any]:
    try:
        found = json.loads(asked.body or b"{}")
    except ValueError:
        raise BadParameter("Error parsing JSON.") from None
    if not isinstance(found, dict):
        raise BadParameter("Error parsing JSON.")
    return found


def _document(status: int, document: object) -> Response:
    return Response(dump(document), status, media_type=JSON)


def _page(asked: Asked, path: str, pieces: list[bytes], *, limit: int, offset: int, total: int) -> Response:
    href = f"{asked.state.documents.api_url}{path}"

    def page(start: int) -> str:
        return f"{href}?{urlencode({'offset': start, 'limit': limit})}"

    tail = {
        "href": page(offset),
        "limit": limit,
        "next": page(offset + limit) if offset + limit < total else None,
        "offset": offset,
        "previous": page(max(0, offset - limit)) if offset else None,
        "total": total,
    }
    return Response(b'{"items":[%b],%b' % (b",".join(pieces), dump(tail)[1:]), media_type=JSON)
