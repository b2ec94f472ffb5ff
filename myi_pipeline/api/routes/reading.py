"""What all reading routes have in common.

Belongs here: the responses that the contract names for each of them, today's date, the step from a request to an
answer. Not here: routes. Invariant: every reading route may answer 304, and the contract says what else it may answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from fastapi import Request, Response

from myi_pipeline.api.answers import CSV, Reply, agree
from myi_pipeline.api.database import Answered
from myi_pipeline.api.exchange import Asked, Row
from myi_pipeline.api.listing import Listing, Page, answer_list, asked_for, turn_of
from myi_pipeline.api.parameters import zone_of
from myi_pipeline.api.problems import MEDIA_TYPE, ProblemDocument
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.site import Site

# Makes a document, or the fields of one beside its list, of the rows of each statement.
Build = Callable[[Sequence[list[Row]]], Mapping[str, object]]
Agree = Callable[[int | None], Reply]

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
    beside: Sequence[Asked] = (),
    more: Build = lambda _: {},
) -> Response:
    """One page, or 304; `more` makes further fields of the document of what `beside` finds."""
    turn = turn_of(request, visitor.user_id, listing, page, site.cursors)

    def form(version: int | None) -> Reply:
        return agree(request, user_id=visitor.user_id, version=version, hangs_on=hangs_on, may_be_csv=True)

    asked = [asked_for(listing, turn, page), *beside]
    reply, found = await _read(request, visitor, site, asked, form)
    if found is None:
        return reply.not_modified()
    rows, *others = found.rows
    fields = {**more(others), "version": found.version}
    return answer_list(
        request, listing, rows, reply=reply, page=page, turn=turn, cursors=site.cursors, more=fields
    )  # fmt: skip


async def serve_document(
    request: Request,
    visitor: Visitor,
    site: Site,
    asked: Sequence[Asked],
    build: Callable[[Answered], Mapping[str, object]],
    *,
    hangs_on: Sequence[object] = (),
) -> Response:
    """A document that `build` makes of what the statements find, or 304."""

    def form(version: int | None) -> Reply:
        return agree(request, user_id=visitor.user_id, version=version, hangs_on=hangs_on)

    reply, found = await _read(request, visitor, site, asked, form)
    if found is None:
        return reply.not_modified()
    return reply.document({**build(found), "version": found.version})


async def _read(
    request: Request,
    visitor: Visitor,
    site: Site,
    asked: Sequence[Asked],
    form: Agree,
) -> tuple[Reply, Answered | None]:
    """What the statements find, or None when the client has it. Only who may have it is asked for the version first."""
    if "if-none-match" not in request.headers:
        found = await site.pools.read(visitor.user_id, asked)
        return form(found.version), found
    async with site.pools.read_as(visitor.user_id) as marts:
        reply = form(marts.version)
        if reply.is_known:
            return reply, None
        rows = [await marts.fetch(each.sql, each.values) for each in asked]
        return reply, Answered(marts.version, marts.refreshed_at, rows)
