"""What all reading routes have in common.

Belongs here: the responses that the contract names for each of them, today's date, the step from a request to an
answer. Not here: routes. Invariant: every reading route may answer 304, and the contract says what else it may answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from fastapi import Request, Response

from myi_pipeline.api.answers import CSV, agree
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listing import Listing, Page, answer_list
from myi_pipeline.api.parameters import zone_of
from myi_pipeline.api.problems import MEDIA_TYPE, ProblemDocument
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.site import Site

Build = Callable[[Snapshot], Awaitable[Mapping[str, object]]]

_TAG = {"description": "Names these bytes; send it as If-None-Match.", "schema": {"type": "string"}}
_LINK = {"description": 'The next page (`rel="next"`) and the first.', "schema": {"type": "string"}}
_PROBLEM = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
_REFUSALS = {
    401: "Nobody is signed in.",
    406: "This does not come as what Accept asks for.",
    422: "A value of the request cannot be.",
    429: "Too many requests; Retry-After says when to come again.",
    503: "The database does not answer; Retry-After says when to come again.",
    504: "It took longer than a request may take.",
}


def problems(*statuses: int, **more: str) -> dict[int | str, dict[str, Any]]:
    """The refusals of these statuses, as the contract describes them; `more` as `_404="..."`."""
    said = {status: _REFUSALS[status] for status in statuses} | {int(key[1:]): text for key, text in more.items()}
    return {
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}, "model": None}
        for status, text in sorted(said.items())
    }


def reads(*, is_list: bool = False, tagged: bool = True, **more: str) -> dict[int | str, dict[str, Any]]:
    """What a reading route may answer besides its document; `more` as for problems()."""
    good: dict[str, Any] = {"description": "The answer.", "headers": {"ETag": _TAG}}
    if is_list:
        good = {"description": "One page.", "headers": {"ETag": _TAG, "Link": _LINK}}
        good["content"] = {CSV: {"schema": {"type": "string"}, "example": "first,second\r\n1,2\r\n"}}
    if not tagged:
        return {200: {"description": "The answer."}, **problems(401, 406, 422, 429, 503, **more)}
    unchanged = {"description": "Nothing has changed since the answer that If-None-Match names."}
    return {200: good, 304: unchanged, **problems(401, 406, 422, 429, 503, 504, **more)}


def today_of(visitor: Visitor) -> date:
    return datetime.now(zone_of(visitor.time_zone)).date()


async def serve_list(
    request: Request,
    visitor: Visitor,
    site: Site,
    listing: Listing,
    *,
    page: Page,
    hangs_on: Sequence[object] = (),
    more: Build | None = None,
) -> Response:
    """One page, or 304; `more` reads further fields of the document, which CSV has no place for."""
    async with site.pools.read_as(visitor.user_id) as marts:
        reply = agree(request, user_id=visitor.user_id, version=marts.version, hangs_on=hangs_on, may_be_csv=True)
        if reply.is_known:
            return reply.not_modified()
        fields = await more(marts) if more is not None and reply.media_type != CSV else {}
        return await answer_list(request, marts, listing, reply=reply, page=page, cursors=site.cursors, more=fields)


async def serve_document(
    request: Request, visitor: Visitor, site: Site, build: Build, *, hangs_on: Sequence[object] = ()
) -> Response:
    """A document that `build` reads, or 304."""
    async with site.pools.read_as(visitor.user_id) as marts:
        reply = agree(request, user_id=visitor.user_id, version=marts.version, hangs_on=hangs_on)
        if reply.is_known:
            return reply.not_modified()
        return reply.document({**await build(marts), "version": marts.version})
