"""Moving playlists to another service: ordering, reviewing, deciding, applying, following progress.

Nothing here calls a service: an order is a row, which `myi up` carries out. Browsers and access tokens with the scope
`playlists:write` may do all of this. Another user's migration is answered with 404.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import psycopg
from fastapi import APIRouter, Query, Request, Response

from myi_pipeline.playlists.migration import orders, views
from myi_pipeline.playlists.migration.moving import Preview
from myi_pipeline.playlists.migration.views import Progress
from myi_pipeline.web.answers import CSV, accept_json, accept_list, json_answer, link, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.migration_asking import (
    BODY,
    MARKED,
    NONE,
    WRITE,
    MigrationId,
    address_of,
    as_problems,
    asked,
    taken,
)
from myi_pipeline.web.api.migration_models import (
    MatchDecisionWish,
    MigrationDocument,
    MigrationItems,
    MigrationList,
    MigrationPreview,
    MigrationReport,
    MigrationWish,
    progress_of,
)
from myi_pipeline.web.api.parameters import PageOf
from myi_pipeline.web.api.routes.reading import open_cursor, problems, responses
from myi_pipeline.web.idempotency import REPLAYED_HEADER, IdempotencyKey
from myi_pipeline.web.problems import wrong_value
from myi_pipeline.web.security.identity import CurrentUser, PlaylistMover
from myi_pipeline.web.shown.contract import fields_of
from myi_pipeline.web.shown.migration_reports import MigrationFacts, ReportRow, facts_of, report_row
from myi_pipeline.web.site import Site, TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me/migrations", tags=["migrations"])


@router.post(
    "",
    operation_id="orderMigration",
    status_code=202,
    response_model=MigrationFacts,
    responses={
        **taken("Ordered; follow its progress at Location."),
        **problems(401, 422, 429, 503, _404="You have no such playlist or account.", **BODY, **WRITE),
    },
    openapi_extra=MARKED,
    summary="Move a playlist to another service",
)
async def order(
    wish: MigrationWish, request: Request, mover: PlaylistMover, site: TheSite, idempotency_key: IdempotencyKey = None
) -> Response:
    """It is planned first: each track is looked up at the service. Nothing is written until you apply it."""
    wanted = orders.Order(
        playlist_id=wish.playlist_id, account_id=wish.account_id, name=wish.name, into=wish.into,
        into_playlist_id=wish.into_playlist_id, is_equal=wish.is_equal,
    )  # fmt: skip
    call = partial(orders.order_migration, order=wanted, address=address_of(request, site))
    return await asked(request, site, mover, idempotency_key, call, status=202)


@router.get(
    "",
    operation_id="listMigrations",
    response_model=MigrationList,
    responses=responses(is_list=True, tagged=False),
    summary="Your migrations, newest first",
)
async def my_migrations(request: Request, visitor: CurrentUser, site: TheSite, page: PageOf) -> Response:
    purpose = f"{visitor.user_id} {request.scope['path']}"
    before = int(open_cursor(site.cursors, purpose, page.cursor)[0]) if page.cursor is not None else None
    media_type = accept_list(request)
    found = await site.pools.in_thread(
        views.list_migrations, user_id=visitor.user_id, before=before, limit=page.limit + 1
    )
    now = datetime.now(UTC)
    rows = [facts_of(each, now) for each in found[: page.limit]]
    key = [found[page.limit - 1].migration_id] if len(found) > page.limit else None
    return _page(request, site, media_type, rows, list(MigrationFacts.model_fields), purpose=purpose, key=key)


@router.get(
    "/{migration_id}",
    operation_id="getMigration",
    response_model=MigrationDocument,
    responses=responses(tagged=False, _404=NONE),
    summary="One migration",
)
async def my_migration(request: Request, visitor: CurrentUser, site: TheSite, migration_id: MigrationId) -> Response:
    """Its progress and, while it is planned, what applying it would write."""
    accept_json(request)
    with as_problems():
        progress, preview = await site.pools.in_thread(_read_one, user_id=visitor.user_id, migration_id=migration_id)
    told = None
    if preview is not None:
        told = fields_of(
            MigrationPreview, [SimpleNamespace(**vars(preview) | {"impossible": preview.impossible or None})]
        )[0]
    return json_answer({**progress_of(progress, datetime.now(UTC)), "preview": told})


def _read_one(
    connection: psycopg.Connection[Any], *, user_id: int, migration_id: int
) -> tuple[Progress, Preview | None]:
    progress = views.get_progress(connection, user_id=user_id, migration_id=migration_id)
    if progress.migration.state != "planned":
        return progress, None
    return progress, views.preview(connection, user_id=user_id, migration_id=migration_id)


@router.get(
    "/{migration_id}/items",
    operation_id="listMigrationItems",
    response_model=MigrationItems,
    responses=responses(is_list=True, tagged=False, _404=NONE),
    summary="The entries of a migration, with their candidates",
)
async def my_items(
    request: Request,
    visitor: CurrentUser,
    site: TheSite,
    migration_id: MigrationId,
    page: PageOf,
    only: Annotated[
        Literal["all", "in_doubt"],
        Query(description="`in_doubt`: entries that are neither matched nor decided, or that the service refused."),
    ] = "all",
) -> Response:
    purpose = f"{visitor.user_id} {request.scope['path']} {only}"
    after = int(open_cursor(site.cursors, purpose, page.cursor)[0]) if page.cursor is not None else -1
    media_type = accept_list(request)
    with as_problems():
        found = await site.pools.in_thread(
            views.list_items, user_id=visitor.user_id, migration_id=migration_id, in_doubt=only == "in_doubt",
            after=after, limit=page.limit + 1,
        )  # fmt: skip
    shown = found[: page.limit]
    rows = [{**report_row(each), "candidates": each.candidates} for each in shown]
    key = [shown[-1].position] if len(found) > page.limit else None
    return _page(request, site, media_type, rows, list(ReportRow.model_fields), purpose=purpose, key=key)


@router.get(
    "/{migration_id}/report",
    operation_id="getMigrationReport",
    response_model=MigrationReport,
    responses={
        200: {"description": "All of it.", "content": {CSV: {"schema": {"type": "string"}}}},
        **problems(401, 406, 422, 429, 503, _404=NONE),
    },
    summary="What became of every entry",
)
async def my_report(request: Request, visitor: CurrentUser, site: TheSite, migration_id: MigrationId) -> Response:
    """Which tracks were matched, and how, and which were not. With `text/csv`, a table of all entries."""
    media_type = accept_list(request)
    about: dict[str, Any] = {"user_id": visitor.user_id, "migration_id": migration_id}
    with as_problems():
        view = await site.pools.in_thread(views.get_migration, **about)
        found = await site.pools.in_thread(views.list_items, **about, with_candidates=False)
    beside = {"migration": facts_of(view, datetime.now(UTC)), "next": None}
    return untagged_list(media_type, [report_row(each) for each in found], list(ReportRow.model_fields), beside=beside)


@router.post(
    "/{migration_id}/decisions",
    operation_id="decideMigrationItem",
    response_model=MigrationFacts,
    responses={
        200: {"description": "Decided.", "headers": REPLAYED_HEADER},
        **problems(401, 422, 429, 503, _404=NONE, **BODY, **WRITE),
    },
    openapi_extra=MARKED,
    summary="Decide about one entry",
)
async def decide(
    wish: MatchDecisionWish,
    request: Request,
    mover: PlaylistMover,
    site: TheSite,
    migration_id: MigrationId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Possible before and after it is applied; later decisions take effect when it is applied again."""
    if (wish.decision in ("is", "never")) != (wish.uri is not None):
        told = "`is` and `never` need the URI of a track; the others take none."
        raise wrong_value("body.uri", told.rstrip("."), detail=told)
    call = partial(
        orders.decide, migration_id=migration_id, position=wish.position, word=wish.decision, uri=wish.uri
    )  # fmt: skip
    return await asked(request, site, mover, idempotency_key, call, status=200)


@router.post(
    "/{migration_id}/apply",
    operation_id="applyMigration",
    status_code=202,
    response_model=MigrationFacts,
    responses={
        **taken("It will be written; follow its progress at Location."),
        **problems(401, 422, 429, 503, _404=NONE, **WRITE),
    },
    openapi_extra=MARKED,
    summary="Write a planned migration",
)
async def apply(
    request: Request,
    mover: PlaylistMover,
    site: TheSite,
    migration_id: MigrationId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """An incomplete one, too: only what is left is written."""
    call = partial(orders.order_apply, migration_id=migration_id, address=address_of(request, site))
    return await asked(request, site, mover, idempotency_key, call, status=202)


@router.post(
    "/{migration_id}/cancel",
    operation_id="cancelMigration",
    status_code=202,
    response_model=MigrationFacts,
    responses={
        **taken("Nothing more is written, except for the request in flight."),
        **problems(401, 422, 429, 503, _404=NONE, **WRITE),
    },
    openapi_extra=MARKED,
    summary="Cancel a migration",
)
async def cancel(
    request: Request,
    mover: PlaylistMover,
    site: TheSite,
    migration_id: MigrationId,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """What has been written stays."""
    call = partial(orders.order_cancel, migration_id=migration_id, address=address_of(request, site))
    return await asked(request, site, mover, idempotency_key, call, status=202)


def _page(
    request: Request,
    site: Site,
    media_type: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    purpose: str,
    key: Sequence[int] | None,
) -> Response:
    """`key` is that of the last row if there are more."""
    cursor = site.cursors.seal(purpose, list(key)) if key is not None else None
    links = {"link": link(request, "next", cursor=cursor)} if cursor is not None else {}
    return untagged_list(media_type, rows, columns, headers=links, beside={"next": cursor})
