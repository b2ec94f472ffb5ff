"""Lists in pages: read one row more than is wanted, and seal where the next page begins.

Belongs here: keys, pages, and the one function that answers a list. Not here: what a list holds (routes, sql/marts).
Invariant: pages follow the order of an index by the keys of the last row seen; a row is on one page, whatever arrives
between two of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from myi_pipeline.api.answers import CSV, Reply, link
from myi_pipeline.api.cursors import BadCursor, Cursors, Key
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.exchange import Asked
from myi_pipeline.api.exchange import Row as Row
from myi_pipeline.api.problems import Problem

# The largest values of the columns' types: "from the top".
MOST_INT, MOST_BIGINT = 2**31 - 1, 2**63 - 1


@dataclass(frozen=True)
class Order:
    """The columns by which a list is ordered, each with the value that stands before the first row."""

    start: Mapping[str, int | date | datetime]

    def values(self, keys: Sequence[Key] | None) -> dict[str, Any]:
        """Parameters `after_<column>` of a statement."""
        if keys is None:
            return {f"after_{name}": value for name, value in self.start.items()}
        return {
            f"after_{name}": type(value).fromisoformat(str(key)) if isinstance(value, date) else int(key)
            for (name, value), key in zip(self.start.items(), keys, strict=True)
        }

    def keys_of(self, row: Mapping[str, Any]) -> list[Key]:
        return [
            row[name].isoformat() if isinstance(value, date) else int(row[name]) for name, value in self.start.items()
        ]


@dataclass(frozen=True)
class Page:
    """What a request says about its page."""

    limit: int
    cursor: str | None


@dataclass(frozen=True)
class Listing:
    """One list: its statement, order and item. `settled` are values of the query that the next page must not guess
    anew, such as the day that "today" was; `more` are further fields of the document."""

    sql: str
    order: Order
    item: type[BaseModel]
    values: Mapping[str, Any] = field(default_factory=dict)
    settled: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo | None = None
    is_ranked: bool = False


@dataclass(frozen=True)
class Turn:
    """Where a page begins: after the row with these keys, of so many rows seen."""

    purpose: str
    keys: Sequence[Key] | None
    seen: int


async def fetch(marts: Snapshot, sql: str, values: Mapping[str, Any]) -> list[Row]:
    """Rows of the user's marts; `user_id` is always among the values."""
    return await marts.fetch(sql, values)


def turn_of(request: Request, user_id: int, listing: Listing, page: Page, cursors: Cursors) -> Turn:
    """Raises Problem when the cursor is not this list's."""
    purpose = _purpose(request, user_id, listing)
    if page.cursor is None:
        return Turn(purpose, None, 0)
    *keys, last = open_cursor(cursors, purpose, page.cursor)
    return Turn(purpose, keys, int(last))


def asked_for(listing: Listing, turn: Turn, page: Page) -> Asked:
    return Asked(listing.sql, {**listing.values, **listing.order.values(turn.keys), "limit": page.limit + 1})


def answer_list(
    request: Request,
    listing: Listing,
    rows: list[Row],
    *,
    reply: Reply,
    page: Page,
    turn: Turn,
    cursors: Cursors,
    more: Mapping[str, object],
) -> Response:
    """One page as JSON or CSV, with Link headers. CSV has no place for `more`."""
    has_more = len(rows) > page.limit
    del rows[page.limit :]
    cursor = None
    if has_more:
        # The keys of the last row seen, and how many rows came before.
        cursor = cursors.seal(turn.purpose, [*listing.order.keys_of(rows[-1]), turn.seen + len(rows)])
    if listing.is_ranked:
        rows = [{"rank": rank, **row} for rank, row in enumerate(rows, start=turn.seen + 1)]
    if listing.zone is not None:
        rows = [_in_zone(row, listing.zone) for row in rows]
    links = [] if page.cursor is None else [link(request, "first", cursor=None)]
    if cursor is not None:
        links.append(link(request, "next", **listing.settled, cursor=cursor))
    headers = {"link": ", ".join(links)} if links else {}
    if reply.media_type == CSV:
        return reply.table(rows, list(listing.item.model_fields), headers=headers)
    return reply.document({**more, "data": rows, "next": cursor}, headers=headers)


def open_cursor(cursors: Cursors, purpose: str, cursor: str) -> tuple[Key, ...]:
    """What was sealed for this list. Raises Problem 422."""
    try:
        return cursors.open(purpose, cursor)
    except BadCursor as error:
        fields = [{"place": "query.cursor", "message": str(error)}]
        raise Problem(422, "invalid-cursor", f"The cursor cannot be used: {error}.", errors=fields) from None


def _purpose(request: Request, user_id: int, listing: Listing) -> str:
    query = {**request.query_params, **listing.settled}
    filters = sorted((name, value) for name, value in query.items() if name not in ("cursor", "limit", "time_zone"))
    return f"{user_id} {request.scope['path']} {filters}"


def _in_zone(row: Row, zone: ZoneInfo) -> Row:
    return {name: value.astimezone(zone) if isinstance(value, datetime) else value for name, value in row.items()}
