"""Playlists kept in sync with one at another service: saving, repeating, pausing, forgetting.

A run is an order that `myi up` carries out; it results in an ordinary migration. Another user's is answered with 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

import orjson
import psycopg
from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from myi_pipeline.people.kept_answers import KeptAnswer
from myi_pipeline.playlists.migration import saved
from myi_pipeline.playlists.migration.saved import SavedView
from myi_pipeline.web.answers import accept_json, accept_list, json_answer, untagged_list
from myi_pipeline.web.api.contract_route import ContractRoute
from myi_pipeline.web.api.migration_asking import BODY, MARKED, NONE, WRITE, address_of, as_problems, asked, taken
from myi_pipeline.web.api.migration_models import Number
from myi_pipeline.web.api.models import AT, Count
from myi_pipeline.web.api.parameters import Id
from myi_pipeline.web.api.routes.reading import problems, responses
from myi_pipeline.web.idempotency import REPLAYED_HEADER, IdempotencyKey, repeatable
from myi_pipeline.web.security.identity import CurrentUser, PlaylistMover
from myi_pipeline.web.shown.contract import Answer, fields_of
from myi_pipeline.web.shown.migration_reports import MigrationFacts
from myi_pipeline.web.site import TheSite

router = APIRouter(route_class=ContractRoute, prefix="/v1/me/saved-migrations", tags=["migrations"])

_NO_SAVED = "You have no saved migration with this id."
SavedId = Annotated[Id, Path(description="Its id in the list of saved migrations.")]


class SavedFacts(Answer):
    renamed: ClassVar[Mapping[str, str]] = {
        "id": "saved_id", "account_id": "target_account_id", "last_migration_id": "last_id"
    }  # fmt: skip

    id: int = Field(examples=[2])
    saved_id: int = Field(description="The same as `id`.", examples=[2])
    source_playlist_id: int = Field(description="The id of the playlist that is moved.", examples=[12])
    source_name: str = Field(examples=["Sunday morning"])
    account_id: int = Field(description="The linked account it is moved to.", examples=[2])
    provider: str = Field(description="The service of that account.", examples=["tidal"])
    account_name: str | None = Field(examples=["ana"])
    target_playlist: str = Field(
        description="The service's id of the target playlist.",
        examples=["6d6b4bd0-2c3d-4c2e-9f58-6c3f0d9b1a22"],
    )
    target_name: str = Field(examples=["Sunday morning"])
    is_equal: bool = Field(
        description="Whether the target is made equal each time; otherwise entries are only added.", examples=[False]
    )
    is_daily: bool = Field(
        description="Whether it runs automatically, once a day if the source has changed.", examples=[True]
    )
    state: str = Field(
        description="idle; running; waiting: for its account; paused: by you or automatically. More states may be"
        " added.",
        examples=["idle"],
    )
    waits_for: str | None = Field(
        description="Why nothing is happening.",
        examples=["the login of TIDAL account ana has ended: it continues once the account is linked again"],
    )
    next_at: datetime | None = Field(
        description="When the source is next checked for changes; null if only you start it.", examples=AT
    )
    created_at: datetime = Field(examples=AT)
    looked_at: datetime = Field(
        description="When it was last checked; after it is resumed, at least a day earlier.", examples=AT
    )
    paused_at: datetime | None = Field(examples=AT)
    last_migration_id: int | None = Field(description="Its last run, or the migration it was saved from.", examples=[7])
    last_state: str | None = Field(description="The state of that migration.", examples=["done"])
    in_doubt: Count = Field(description="Entries of that migration that await your decision.")


class SavedList(Answer):
    next: None = Field(description="Always null: `data` is the whole list.", examples=[None])
    data: list[SavedFacts] = Field(description="In the order in which they were saved.")


class SaveWish(BaseModel):
    """An applied migration to keep in sync."""

    model_config = ConfigDict(extra="forbid")

    migration_id: Number = Field(description="Its id in the list of migrations.")
    is_daily: Annotated[bool, Field(strict=True)] = Field(
        default=True, description="Whether it runs automatically, once a day if the source has changed."
    )


@router.get(
    "",
    operation_id="listSavedMigrations",
    response_model=SavedList,
    responses=responses(is_table=True, tagged=False),
    summary="Playlists that you keep in sync",
)
async def my_saved(request: Request, visitor: CurrentUser, site: TheSite) -> Response:
    media_type = accept_list(request)
    found = await site.pools.in_thread(saved.list_saved, user_id=visitor.user_id)
    now = datetime.now(UTC)
    rows = [_facts(each, now) for each in found]
    return untagged_list(media_type, rows, list(SavedFacts.model_fields), beside={"next": None})


@router.get(
    "/{saved_id}",
    operation_id="getSavedMigration",
    response_model=SavedFacts,
    responses=responses(tagged=False, _404=_NO_SAVED),
    summary="A playlist that you keep in sync",
)
async def my_saved_one(request: Request, visitor: CurrentUser, site: TheSite, saved_id: SavedId) -> Response:
    accept_json(request)
    with as_problems():
        found = await site.pools.in_thread(saved.get_saved, user_id=visitor.user_id, saved_id=saved_id)
    return json_answer(_facts(found, datetime.now(UTC)))


@router.post(
    "",
    operation_id="saveMigration",
    status_code=201,
    response_model=SavedFacts,
    responses={
        201: {
            "description": "Saved; Location is its address.",
            "headers": {"Location": {"description": "Its address.", "schema": {"type": "string"}}, **REPLAYED_HEADER},
        },
        **problems(401, 422, 429, 503, _404=NONE, **BODY, **WRITE),
    },
    openapi_extra=MARKED,
    summary="Keep a playlist in sync",
)
async def save(
    wish: SaveWish, request: Request, mover: PlaylistMover, site: TheSite, idempotency_key: IdempotencyKey = None
) -> Response:
    """For an applied migration: what is added to the source is added to the target, too.

    Saving it again resumes it, with the new value of `is_daily`.
    """
    now = datetime.now(UTC)

    def work(connection: psycopg.Connection[Any]) -> KeptAnswer:
        made = saved.save(
            connection, user_id=mover.user_id, migration_id=wish.migration_id, is_daily=wish.is_daily, now=now,
            address=address_of(request, site),
        )  # fmt: skip
        body = orjson.dumps(_facts(made, now), option=orjson.OPT_UTC_Z).decode()
        return KeptAnswer(status=201, body=body, location=f"/v1/me/saved-migrations/{made.saved_id}")

    with as_problems():
        return await repeatable(request, site, mover, idempotency_key, work)


@router.post(
    "/{saved_id}/repeat",
    operation_id="repeatMigration",
    status_code=202,
    response_model=MigrationFacts,
    responses={
        **taken("A run is ordered; follow its progress at Location."),
        **problems(401, 422, 429, 503, _404=_NO_SAVED, **WRITE),
    },
    openapi_extra=MARKED,
    summary="Run it now",
)
async def repeat(
    request: Request, mover: PlaylistMover, site: TheSite, saved_id: SavedId, idempotency_key: IdempotencyKey = None
) -> Response:
    """The target is read and what it lacks is written, whether or not the source has changed."""
    call = partial(saved.repeat, saved_id=saved_id, address=address_of(request, site))
    return await asked(request, site, mover, idempotency_key, call, status=202)


@router.post(
    "/{saved_id}/pause",
    operation_id="pauseSavedMigration",
    response_model=SavedFacts,
    responses=responses(tagged=False, _403=WRITE["_403"], _404=_NO_SAVED),
    openapi_extra=MARKED,
    summary="Pause automatic runs",
)
async def pause(request: Request, mover: PlaylistMover, site: TheSite, saved_id: SavedId) -> Response:
    accept_json(request)
    now = datetime.now(UTC)
    with as_problems():
        found = await site.pools.in_thread(saved.pause, user_id=mover.user_id, saved_id=saved_id, now=now)
    return json_answer(_facts(found, now))


@router.post(
    "/{saved_id}/resume",
    operation_id="resumeSavedMigration",
    response_model=SavedFacts,
    responses=responses(tagged=False, _403=WRITE["_403"], _404=_NO_SAVED),
    openapi_extra=MARKED,
    summary="Resume what was paused",
)
async def resume(request: Request, mover: PlaylistMover, site: TheSite, saved_id: SavedId) -> Response:
    """It is checked next, and runs if its last run failed or the source has changed."""
    accept_json(request)
    now = datetime.now(UTC)
    with as_problems():
        found = await site.pools.in_thread(saved.resume, user_id=mover.user_id, saved_id=saved_id, now=now)
    return json_answer(_facts(found, now))


@router.delete(
    "/{saved_id}",
    operation_id="forgetSavedMigration",
    status_code=204,
    responses={
        204: {"description": "It is no longer kept in sync."},
        **problems(401, 422, 429, 503, _403=WRITE["_403"], _404=_NO_SAVED),
    },
    response_class=Response,
    openapi_extra=MARKED,
    summary="Stop keeping it in sync",
)
async def forget(request: Request, mover: PlaylistMover, site: TheSite, saved_id: SavedId) -> Response:
    """Its runs stay, and so do the entries of the playlist."""
    with as_problems():
        await site.pools.in_thread(
            saved.forget, user_id=mover.user_id, saved_id=saved_id, address=address_of(request, site)
        )
    return Response(status_code=204)


def _facts(view: SavedView, now: datetime) -> dict[str, Any]:
    shown = SimpleNamespace(**vars(view), state=view.state, next_at=view.next_at, waits_for=view.waits_for(now))
    (found,) = fields_of(SavedFacts, [shown])
    return found
