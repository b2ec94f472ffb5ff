"""Progress of a migration as server-sent events."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from fastapi import APIRouter, Request, Response

from myi_pipeline.playlists.migration import views
from myi_pipeline.playlists.migration.views import Progress
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.migration_asking import NONE, MigrationId, as_problems
from myi_pipeline.web.api.migration_models import MigrationProgress, progress_of
from myi_pipeline.web.api.routes.reading import problems
from myi_pipeline.web.following import event_schema, follow
from myi_pipeline.web.security.identity import CurrentUser
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.streams import MEDIA_TYPE, STREAM_HEADERS, EventStream

router = APIRouter(route_class=ContractRoute, prefix="/v1/me/migrations", tags=["migrations"])

EVENT_SCHEMA = event_schema(MigrationProgress.model_json_schema(mode="serialization"))


@router.get(
    "/{migration_id}/events",
    operation_id="watchMigration",
    responses={
        200: {"description": "A stream of events.", "content": {MEDIA_TYPE: {"schema": EVENT_SCHEMA}}},
        **problems(401, 422, 429, 503, _404=NONE),
    },
    response_class=Response,
    summary="Watch one migration",
)
async def events(request: Request, visitor: CurrentUser, site: TheSite, migration_id: MigrationId) -> Response:
    """Server-sent events with the migration: `progress` whenever it changes, `done` when nothing is left to do.

    It is then planned, done, incomplete, cancelled or failed. The stream ends after `done` or after ten minutes;
    browsers then reconnect by themselves."""
    with as_problems():
        first = await _look(site, visitor, migration_id)
    found = follow(
        request, site, visitor, first, look=partial(_look, site, visitor, migration_id),
        tell=lambda each: (progress_of(each, datetime.now(UTC)), not each.migration.is_under_way),
    )  # fmt: skip
    return EventStream(found, streams=site.streams, user_id=visitor.user_id, headers=STREAM_HEADERS)


async def _look(site: Site, visitor: Visitor, migration_id: int) -> Progress:
    return await site.pools.in_thread(views.get_progress, user_id=visitor.user_id, migration_id=migration_id)
