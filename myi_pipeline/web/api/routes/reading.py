"""What all reading routes share: the responses they document, and the step from a request to an answer.

If the client sends If-None-Match, the version is read first; an unchanged answer (304) reads no other mart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request, Response

from myi_pipeline.web.answers import CSV, Reply, agree, known_tags, link, newest_version
from myi_pipeline.web.api.parameters import Page
from myi_pipeline.web.problems import MEDIA_TYPE, Problem, ProblemDocument
from myi_pipeline.web.reads.cursors import After, BadCursor, Cursors, Key, Order
from myi_pipeline.web.reads.marts import Marts, Version
from myi_pipeline.web.reads.replica import need_version
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.site import Site

Fields = Mapping[str, object]
# Reads the fields of a document, or those next to its list.
Build = Callable[[Marts], Awaitable[Fields]]

_TAG = {"description": "Identifies this response; send it as If-None-Match.", "schema": {"type": "string"}}
_LINK = {"description": 'The next page (`rel="next"`) and the first.', "schema": {"type": "string"}}
_PROBLEM = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
_REFUSALS = {
    401: "Not signed in.",
    406: "Not available in any format that Accept allows.",
    422: "A value in the request is invalid.",
    429: "Too many requests; see Retry-After.",
    503: "The database does not answer, or figures are being rebuilt; see Retry-After.",
    504: "The request took too long.",
}


def problems(*statuses: int, **more: str) -> dict[int | str, dict[str, Any]]:
    """The problem responses with these statuses for the contract; `more` adds others as `_404="..."`."""
    said = {status: _REFUSALS[status] for status in statuses} | {int(key[1:]): text for key, text in more.items()}
    return {
        status: {"description": text, "content": {MEDIA_TYPE: {"schema": _PROBLEM}}, "model": None}
        for status, text in sorted(said.items())
    }


def responses(
    *, is_list: bool = False, is_table: bool = False, tagged: bool = True, **more: str
) -> dict[int | str, dict[str, Any]]:
    """The responses of a reading route besides its document: pages of a list or a whole table;

    `more` as for problems().
    """
    good: dict[str, Any] = {"description": "One page." if is_list else "The answer.", "headers": {}}
    if tagged:
        good["headers"]["ETag"] = _TAG
    if is_list:
        good["headers"]["Link"] = _LINK
    if is_list or is_table:
        good["content"] = {CSV: {"schema": {"type": "string"}, "example": "first,second\r\n1,2\r\n"}}
    if not tagged:
        return {200: good, **problems(401, 406, 422, 429, 503, **more)}
    unchanged = {"description": "Nothing has changed since the response that If-None-Match names."}
    return {200: good, 304: unchanged, **problems(401, 406, 422, 429, 503, 504, **more)}


@dataclass(frozen=True)
class Listing:
    """A list: how to read a page, the order of its pages, and the model of an item.

    `settled` holds query values that the next page must not compute again, such as the date that "today" meant. Times
    are shown in `zone`, or in UTC if it is None.
    """

    read: Callable[[Marts, After, int], Awaitable[Sequence[object]]]
    order: Order
    item: type[Answer]
    settled: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo | None = None


async def _nothing(_: Marts) -> Fields:
    return {}


async def serve_list(
    request: Request,
    visitor: Visitor,
    site: Site,
    listing: Listing,
    *,
    page: Page,
    varies_by: Sequence[object] = (),
    beside: Build = _nothing,
) -> Response:
    """Answers with one page or 304. `beside` reads further fields of the document; `varies_by` as in agree()."""
    purpose = _purpose(request, visitor.user_id, listing)
    after = After()
    if page.cursor is not None:
        *keys, seen = open_cursor(site.cursors, purpose, page.cursor, user_id=visitor.user_id)
        after = After(keys, int(seen))

    def form(version: Version) -> Reply:
        return agree(
            request, user_id=visitor.user_id, version=version, varies_by=varies_by, may_be_csv=True
        )  # fmt: skip

    async def read(marts: Marts) -> tuple[Sequence[object], Fields]:
        return await listing.read(marts, after, page.limit + 1), await beside(marts)

    reply, version, found = await _read(request, visitor, site, form, read)
    if found is None:
        return reply.not_modified()
    rows, more = found
    cursor = None
    if len(rows) > page.limit:
        rows = rows[: page.limit]
        keys = [*listing.order.keys_of(rows[-1]), after.seen + len(rows)]
        cursor = site.cursors.seal(purpose, keys, user_id=visitor.user_id)
    links = [] if page.cursor is None else [link(request, "first", cursor=None)]
    if cursor is not None:
        links.append(link(request, "next", **listing.settled, cursor=cursor))
    headers = {"link": ", ".join(links)} if links else {}
    items = fields_of(listing.item, rows)
    if listing.zone is not None:
        items = [_in_zone(item, listing.zone) for item in items]
    if reply.media_type == CSV:
        return reply.table(items, list(listing.item.model_fields), headers=headers)
    return reply.document({**more, "version": version.number, "data": items, "next": cursor}, headers=headers)


async def serve_document(
    request: Request,
    visitor: Visitor,
    site: Site,
    build: Build,
    *,
    varies_by: Sequence[object] = (),
    table_of: type[Answer] | None = None,
) -> Response:
    """Answers with the document whose fields `build` reads, or 304; `varies_by` as in agree().

    With `table_of`, its `data` (a list of these) is also available as a table."""
    may_be_csv = table_of is not None

    def form(version: Version) -> Reply:
        return agree(request, user_id=visitor.user_id, version=version, varies_by=varies_by, may_be_csv=may_be_csv)

    reply, version, found = await _read(request, visitor, site, form, build)
    if found is None:
        return reply.not_modified()
    if table_of is None:
        return reply.document({**found, "version": version.number})
    if reply.media_type == CSV:
        return reply.table(found["data"], list(table_of.model_fields))
    return reply.document({**found, "version": version.number, "next": None})


async def _read(
    request: Request,
    visitor: Visitor,
    site: Site,
    form: Callable[[Version], Reply],
    build: Callable[[Marts], Awaitable[Any]],
) -> tuple[Reply, Version, Any]:
    """What `build` reads, or None if the client has it already."""

    async def read(marts: Marts) -> tuple[Reply, Version, Any]:
        if "if-none-match" in request.headers:
            version = await marts.version()
            reply = form(version)
            return reply, version, None if reply.is_known else await build(marts)
        found = await build(marts)
        version = await marts.version()
        return form(version), version, found

    # A replica that is behind what the client has would call older figures new.
    need_version(visitor.user_id, newest_version(known_tags(request)))
    return await site.pools.read(visitor.user_id, read)


def open_cursor(cursors: Cursors, purpose: str, cursor: str, *, user_id: int | None = None) -> tuple[Key, ...]:
    """The position sealed in the cursor of this list. Raises Problem 422."""
    try:
        return cursors.open(purpose, cursor, user_id=user_id)
    except BadCursor as error:
        fields = [{"place": "query.cursor", "message": str(error)}]
        raise Problem(422, "invalid-cursor", f"The request was refused: {error}.", errors=fields) from None


def _purpose(request: Request, user_id: int, listing: Listing) -> str:
    query = {**request.query_params, **listing.settled}
    filters = sorted((name, value) for name, value in query.items() if name not in ("cursor", "limit", "time_zone"))
    return f"{user_id} {request.scope['path']} {filters}"


def _in_zone(item: dict[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    return {name: value.astimezone(zone) if isinstance(value, datetime) else value for name, value in item.items()}
