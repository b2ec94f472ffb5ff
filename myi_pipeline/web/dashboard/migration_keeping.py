"""Playlists kept in sync: the list, and the forms to start, repeat, pause and stop syncing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.migration import saved
from myi_pipeline.playlists.migration.saved import SavedView, UnknownSaved
from myi_pipeline.playlists.migration.views import MigrationView, UnknownMigration
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.web.dashboard.inputs import missing, number_in_path
from myi_pipeline.web.dashboard.migration_stages import plain_reason, when
from myi_pipeline.web.dashboard.migration_texts import plain_mistake
from myi_pipeline.web.dashboard.signed_in import MigrationsForm
from myi_pipeline.web.problems import Problem, sentence
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()


@dataclass(frozen=True)
class Kept:
    """A description of a playlist that is kept in sync."""

    view: SavedView
    badge: str
    tone: str
    words: str
    is_paused: bool
    may_repeat: bool


async def kept_rows(site: Site, person: Visitor) -> list[Kept]:
    found = await site.pools.in_thread(saved.list_saved, user_id=person.user_id)
    now = datetime.now(UTC)
    return [kept_words(each, zone=person.time_zone, now=now) for each in found]


async def kept_of(site: Site, person: Visitor, view: MigrationView) -> Kept | None:
    """The saved migration that keeps this move's playlist in sync, or None."""
    place = view.source_playlist_id, view.target_account_id, view.target_playlist
    for each in await kept_rows(site, person):
        if (each.view.source_playlist_id, each.view.target_account_id, each.view.target_playlist) == place:
            return each
    return None


def kept_words(view: SavedView, *, zone: str, now: datetime) -> Kept:
    label = Provider(view.provider).label
    badge, tone, words = "In sync", "good", "Only when you start it."
    if view.next_at is not None:
        words = "Whenever your playlist has changed; I look " + (
            f"again {when(view.next_at, zone=zone, now=now)}." if view.next_at > now else "again soon."
        )
    if view.in_doubt:
        badge, tone = "Needs your decision", "warn"
    match view.state:
        case "paused":
            reason = plain_reason(view.pause_reason, label)
            badge, tone = "Paused", "warn"
            words = f"Paused automatically: {reason}." if reason else "Until you resume it."
        case "waiting":
            badge, tone = "Waiting", "warn"
            words = (
                f"Your {view.account_title} is paused here. It continues when the account is resumed."
                if view.account_obstacle == "paused"
                else f"The sign-in of your {view.account_title} has ended. It continues once you have signed in again."
            )
        case "running":
            badge, tone, words = "Running", "", "It is being brought up to date."
    return Kept(
        view, badge, tone, words, is_paused=view.paused_at is not None,
        may_repeat=view.state in ("idle", "paused") and view.account_obstacle is None,
    )  # fmt: skip


@router.post("/migrations/{migration_id}/keep")
async def keep(request: Request, person: MigrationsForm, site: TheSite, migration_id: str) -> Response:
    """Keep what this one has moved in sync, daily."""
    number = number_in_path(migration_id)
    asked = partial(saved.save, migration_id=number, is_daily=True, now=datetime.now(UTC))
    await _done(site, partial(asked, **_by(request, site, person)))
    return RedirectResponse(f"/migrations/{number}?said=kept", 303)


@router.post("/kept-playlists/{saved_id}/repeat")
async def repeat(request: Request, person: MigrationsForm, site: TheSite, saved_id: str) -> Response:
    site.limits.take(Tier.SENSITIVE, "migrations", str(person.user_id))
    asked = partial(saved.repeat, saved_id=number_in_path(saved_id), now=datetime.now(UTC))
    run: MigrationView = await _done(site, partial(asked, **_by(request, site, person)))
    return RedirectResponse(f"/migrations/{run.migration_id}", 303)


@router.post("/kept-playlists/{saved_id}/pause")
async def pause(person: MigrationsForm, site: TheSite, saved_id: str) -> Response:
    number = number_in_path(saved_id)
    await _done(site, partial(saved.pause, user_id=person.user_id, saved_id=number, now=datetime.now(UTC)))
    return RedirectResponse("/migrations?said=paused", 303)


@router.post("/kept-playlists/{saved_id}/resume")
async def resume(person: MigrationsForm, site: TheSite, saved_id: str) -> Response:
    number = number_in_path(saved_id)
    await _done(site, partial(saved.resume, user_id=person.user_id, saved_id=number, now=datetime.now(UTC)))
    return RedirectResponse("/migrations?said=resumed", 303)


@router.post("/kept-playlists/{saved_id}/forget")
async def forget(request: Request, person: MigrationsForm, site: TheSite, saved_id: str) -> Response:
    """Its runs stay, and so do the entries of the playlist."""
    asked = partial(saved.forget, saved_id=number_in_path(saved_id))
    await _done(site, partial(asked, **_by(request, site, person)))
    return RedirectResponse("/migrations?said=forgotten", 303)


async def _done(site: Site, asked: Callable[..., Any]) -> Any:
    """Raises Problem 404 for another user's, and 409 for what cannot be done now."""
    try:
        return await site.pools.in_thread(asked)
    except (UnknownSaved, UnknownMigration):
        raise missing("You have no such playlist in sync.") from None
    except BadInput as error:
        raise Problem(409, "wrong-state", sentence(plain_mistake(error))) from None


def _by(request: Request, site: Site, person: Visitor) -> dict[str, Any]:
    return {"user_id": person.user_id, "address": client_address(request, site.settings.trusted_networks)}
