"""Where in a list a page stands, for people: the same sealed cursors as the API's lists.

A cursor opens only for the person, page and filters that it was made for.
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
    """Where in a list a request stands: `filters` are the values of its query that narrow the list."""

    site: Site
    user_id: int
    path: str
    filters: Mapping[str, str]
    after: After

    @property
    def first(self) -> str | None:
        """The address of the first page, None on that page."""
        return self.address() if self.after.keys is not None else None

    def next(self, keys: list[Key]) -> str:
        """The address of the page that begins after these keys."""
        return self.address(cursor=self.site.cursors.seal(_purpose(self.user_id, self.path, self.filters), keys))

    def address(self, **more: str) -> str:
        query = urlencode({**{name: value for name, value in self.filters.items() if value}, **more})
        return f"{self.path}?{query}" if query else self.path


def place_of(request: Request, site: Site, user_id: int, **filters: str) -> Place:
    """Raises Problem 422 when the cursor is not this list's."""
    cursor, path = cursor_of(request), request.url.path
    try:
        keys = site.cursors.open(_purpose(user_id, path, filters), cursor) if cursor is not None else None
    except BadCursor as error:
        raise wrong(f"This page cannot be shown: {error}.") from None
    return Place(site, user_id, path, filters, After(keys))


def _purpose(user_id: int, path: str, filters: Mapping[str, str]) -> str:
    return f"{user_id} {path} {sorted(filters.items())}"
