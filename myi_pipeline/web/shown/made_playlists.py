"""Playlists that are made of what was played most, for the API and for pages: read as one role, kept as another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from functools import partial

from myi_pipeline.playlists.own_lists import MadeList, keep_contents
from myi_pipeline.postgres.connections import Connection
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.played_lists import ListedTrackRow, PlayedList, tracks_for_list
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site


async def list_of_plays(
    site: Site, visitor: Visitor, wanted: PlayedList, *, name: str | None, today: date
) -> Callable[[Connection], MadeList]:
    """What keeps the list. It raises BadInput when nothing was heard that fits."""

    async def read(marts: Marts) -> list[ListedTrackRow]:
        return await tracks_for_list(marts, wanted, today=today, zone=visitor.zones)

    tracks = await site.pools.read(visitor.user_id, read)
    return partial(
        keep_contents, user_id=visitor.user_id, name=name or wanted.name, description=wanted.description,
        content_ids=[track.track_id for track in tracks], now=datetime.now(UTC),
    )  # fmt: skip
