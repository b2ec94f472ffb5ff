"""Positions in the lists on pages: the same sealed cursors as in the API.

A cursor opens only for the person, page and filters it was made for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request

from myi_pipeline.web.dashboard.inputs import cursor_of, wrong
from myi_pipeline.web.reads.cursors import After, BadCursor, Key
from myi_pipeline.web.site import Site


@dataclass(frozen=True)
class Place:
    """A request's position in a list: `filters` are the query values that narrow the list."""

    site: Site
    user_id: int
    path: str
    filters: Mapping[str, str]
    after: After

    @property
    def first(self) -> str | None:
        """Address of the first page; None on that page."""
        return self.address() if self.after.keys is not None else None

    def next(self, keys: list[Key]) -> str:
        """Address of the page that begins after these keys."""
        purpose = _purpose(self.user_id, self.path, self.filters)
        return self.address(cursor=self.site.cursors.seal(purpose, keys, user_id=self.user_id))

    def address(self, **more: str) -> str:
        query = urlencode({**{name: value for name, value in self.filters.items() if value}, **more})
        return f"{self.path}?{query}" if query else self.path


def place_of(request: Request, site: Site, user_id: int, **filters: str) -> Place:
    """Raises Problem 422 if the cursor does not belong to this list."""
    cursor, path = cursor_of(request), request.url.path
    purpose = _purpose(user_id, path, filters)
    try:
        keys = site.cursors.open(purpose, cursor, user_id=user_id) if cursor is not None else None
    except BadCursor:
        raise wrong("This link is too old.") from None
    return Place(site, user_id, path, filters, After(keys))


def _purpose(user_id: int, path: str, filters: Mapping[str, str]) -> str:
    return f"{user_id} {path} {sorted(filters.items())}"
