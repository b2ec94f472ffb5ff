"""A page of a list, for people: the same keys and the same sealed cursors as the API's lists.

Belongs here: from a cursor to rows and the next cursor. Not here: statements. Invariant: a cursor opens only for the
person, page and filters that it was made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from myi_pipeline.api.cursors import Key
from myi_pipeline.api.database import Snapshot
from myi_pipeline.api.listing import Order, Row, fetch, open_cursor
from myi_pipeline.api.page_queries import cursor_of
from myi_pipeline.api.site import Site


@dataclass(frozen=True)
class Place:
    """Where in a list a request stands: `filters` are the values of its query that narrow the list."""

    site: Site
    user_id: int
    path: str
    filters: Mapping[str, str]
    keys: tuple[Key, ...] | None

    @property
    def first(self) -> str | None:
        """The address of the first page, None on that page."""
        return self.address() if self.keys is not None else None

    def next(self, keys: list[Key]) -> str:
        """The address of the page that begins after these keys."""
        return self.address(cursor=self.site.cursors.seal(_purpose(self.user_id, self.path, self.filters), keys))

    def address(self, **more: str) -> str:
        query = urlencode({**{name: value for name, value in self.filters.items() if value}, **more})
        return f"{self.path}?{query}" if query else self.path


@dataclass(frozen=True)
class ListPage:
    """`next` is the address of the next page, None on the last."""

    rows: list[Row]
    first: str | None
    next: str | None


def place_of(request: Request, site: Site, user_id: int, **filters: str) -> Place:
    """Raises Problem 422 when the cursor is not this list's."""
    cursor, path = cursor_of(request), request.url.path
    keys = open_cursor(site.cursors, _purpose(user_id, path, filters), cursor) if cursor is not None else None
    return Place(site, user_id, path, filters, keys)


async def list_page(
    marts: Snapshot, sql: str, order: Order, *, place: Place, limit: int, values: Mapping[str, Any]
) -> ListPage:
    """One page of a statement that takes `limit` and `after_<key>`."""
    rows = await fetch(marts, sql, {**values, **order.values(place.keys), "limit": limit + 1})
    following = place.next(order.keys_of(rows[limit - 1])) if len(rows) > limit else None
    return ListPage(rows[:limit], place.first, following)


def _purpose(user_id: int, path: str, filters: Mapping[str, str]) -> str:
    return f"{user_id} {path} {sorted(filters.items())}"
