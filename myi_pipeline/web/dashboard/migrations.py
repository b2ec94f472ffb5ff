"""Moving a playlist to another service in four steps that can be interrupted: choose, look up, review, move.

A form orders, decides or cancels; orders are carried out in the background, and this process calls no service. No
script is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput, Busy
from myi_pipeline.playlists.migration import orders, reviewing, views
from myi_pipeline.playlists.migration.orders import LONGEST_NAME, Order, UnknownPlaylist, WrongState
from myi_pipeline.playlists.migration.reviewing import SHOWS, ReviewEntry, Show
from myi_pipeline.playlists.migration.views import MigrationView, Progress, UnknownMigration
from myi_pipeline.providers.accounts import Provider
from myi_pipeline.web.dashboard.inputs import choice_of, form_of, id_in_path, missing, number_in_path, wrong
from myi_pipeline.web.dashboard.migration_entries import entry_of, facts_of_tracks, would_change
from myi_pipeline.web.dashboard.migration_keeping import kept_of, kept_rows
from myi_pipeline.web.dashboard.migration_stages import STEPS, Stage, find_progress, find_stage, plain_reason, stage_of
from myi_pipeline.web.dashboard.migration_texts import (
    plain_mistake,
    playlist_page,
)
from myi_pipeline.web.dashboard.pages import show
from myi_pipeline.web.dashboard.paging import place_of
from myi_pipeline.web.dashboard.playlists import accounts_of, origin_of
from myi_pipeline.web.dashboard.signed_in import MigrationsForm, Person
from myi_pipeline.web.reads import playlists as reads
from myi_pipeline.web.reads.cursors import FIRST_PAGE, MOST_INT
from myi_pipeline.web.reads.marts import Marts, MartsMissing, MartsOutdated
from myi_pipeline.web.reads.playlists import PlaylistRow
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.formats import counted
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()

_MIGRATIONS_A_PAGE, _ENTRIES_A_PAGE = 50, 20
# More playlists than anybody has, or would scroll through.
_MOST_LISTS = 1_000
_POSITION = re.compile(r"\d{1,9}\Z", re.ASCII)
_TO = re.compile(r"([1-9]\d{0,8})(?::([1-9]\d{0,8}))?\Z", re.ASCII)
# The result of a form, by the word in the address it redirects to.
_SAID = {
    "take": "That track is used.",
    "never": "It will never be used for this track again.",
    "unavailable": "It is left out, here and in later moves, until you undo that.",
    "leave_out": "It is left out this time.",
    "undo": "Your decision is undone.",
    "stopped": "Stopped.",
    "kept": "The playlist is kept in sync from now on.",
    "paused": "Paused.",
    "resumed": "Resumed.",
    "forgotten": "The playlist is no longer kept in sync; its entries stay.",
}
_TABS: Mapping[Show, str] = {"doubt": "To decide", "decided": "You decided", "found": "Found", "all": "All"}
_NOTHING: Mapping[Show, str] = {
    "doubt": "Nothing is left to decide.",
    "decided": "You have decided nothing here yet.",
    "found": "None of its tracks was found yet.",
    "all": "It has no entries.",
}


@router.get("/migrations")
async def migrations(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    place = place_of(request, site, person.user_id)
    before = int(place.after.keys[0]) if place.after.keys is not None else None
    asked = partial(views.list_migrations, user_id=person.user_id, before=before, limit=_MIGRATIONS_A_PAGE + 1)
    found = await site.pools.in_thread(asked)
    rows = found[:_MIGRATIONS_A_PAGE]
    now = datetime.now(UTC)
    values = {
        "synced": await kept_rows(site, person) if place.first is None else [],
        "said": _SAID.get(request.query_params.get("said", "")),
        "rows": [(each, stage_of(Progress(migration=each, confirmed=0, wanted=0, requests=0),
                                 zone=person.time_zone, now=now)) for each in rows],
        "first_page": place.first,
        "next_page": place.next([rows[-1].migration_id]) if len(found) > len(rows) else None,
    }  # fmt: skip
    return show(request, person, "migrations.html", values)


@router.get("/migrations/new")
async def choose(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """The first step; `playlist` is preselected if the person came from its page."""
    given = request.query_params.get("playlist", "")
    typed = {"playlist": str(id_in_path(given, what="playlist")) if given else ""}
    return await _choose_page(request, person, site, typed)


@router.post("/migrations")
async def begin(request: Request, person: MigrationsForm, site: TheSite) -> Response:
    site.limits.take(Tier.SENSITIVE, "migrations", str(person.user_id))
    form = await form_of(request)
    try:
        order = _order(form)
        made = await _place(request, site, person, order)
    except UnknownPlaylist:
        raise missing("You have no such playlist.") from None
    except BadInput as error:
        return await _choose_page(request, person, site, form, mistake=plain_mistake(error))
    return RedirectResponse(f"/migrations/{made.migration_id}", 303)


@router.get("/migrations/{migration_id}")
async def migration(request: Request, person: Person, site: TheSite, migration_id: str) -> HTMLResponse:
    """Progress while it is worked on, the review, and the result.

    `show` selects entries, from after position `after`.
    """
    number = number_in_path(migration_id)
    after = request.query_params.get("after", "")
    chosen = choice_of(request, "show", SHOWS)
    return await _migration_page(
        request, person, site, number, chosen=chosen, after=_position(after) if after else -1,
        said=_SAID.get(request.query_params.get("said", "")),
    )  # fmt: skip


@router.post("/migrations/{migration_id}/decisions")
async def decide(request: Request, person: MigrationsForm, site: TheSite, migration_id: str) -> Response:
    """What an entry is: `take` or `never` a URI, the `address` of another track, or a `deed`."""
    number, form = number_in_path(migration_id), await form_of(request)
    await find_progress(site, person, number)
    position = _position(form.get("position", ""))
    chosen = next((each for each in SHOWS if each == form.get("show")), None)
    after = _position(form["after"]) if form.get("after") else -1
    try:
        word = await _decide(site, person, number, position, form)
    except (BadInput, Busy) as error:
        return await _migration_page(
            request, person, site, number, chosen=chosen, after=after, mistake=plain_mistake(error), typed=form,
            status=409 if isinstance(error, WrongState | Busy) else 422,
        )  # fmt: skip
    goes_to = f"entry-{position + 1}"
    if chosen in (None, "doubt"):
        # Go on to the next one.
        following = await _entries(site, person, number, "doubt", after=position, limit=1)
        goes_to = f"entry-{following[0].position + 1}" if following else "counts"
    query = f"said={word}" + (f"&show={chosen}" if chosen else "") + (f"&after={after}" if after >= 0 else "")
    return RedirectResponse(f"/migrations/{number}?{query}#{goes_to}", 303)


@router.post("/migrations/{migration_id}/apply")
async def apply(request: Request, person: MigrationsForm, site: TheSite, migration_id: str) -> Response:
    number = number_in_path(migration_id)
    asked = partial(orders.order_apply, migration_id=number, **_by(request, site, person))
    return await _ordered(request, person, site, number, asked)


@router.post("/migrations/{migration_id}/cancel")
async def cancel(request: Request, person: MigrationsForm, site: TheSite, migration_id: str) -> Response:
    """What is written stays."""
    number = number_in_path(migration_id)
    asked = partial(orders.order_cancel, migration_id=number, **_by(request, site, person))
    return await _ordered(request, person, site, number, asked)


@router.post("/migrations/{migration_id}/again")
async def plan_again(request: Request, person: MigrationsForm, site: TheSite, migration_id: str) -> Response:
    """Orders a new migration of the same playlist to the same place; this one does not change."""
    number = number_in_path(migration_id)
    site.limits.take(Tier.SENSITIVE, "migrations", str(person.user_id))
    view = (await find_progress(site, person, number)).migration
    order = Order(
        playlist_id=view.source_playlist_id, account_id=view.target_account_id, into=view.target_playlist,
        name=None if view.target_playlist else view.target_name,
        is_equal=view.is_equal and view.target_playlist is not None,
    )  # fmt: skip
    try:
        made = await _place(request, site, person, order)
    except BadInput as error:
        return await _migration_page(request, person, site, number, mistake=plain_mistake(error), status=409)
    return RedirectResponse(f"/migrations/{made.migration_id}", 303)


async def _place(request: Request, site: Site, person: Visitor, order: Order) -> MigrationView:
    asked = partial(orders.order_migration, order=order, **_by(request, site, person))
    return await site.pools.in_thread(asked)


def _by(request: Request, site: Site, person: Visitor) -> dict[str, Any]:
    """The person, time and address of an order."""
    address = client_address(request, site.settings.trusted_networks)
    return {"user_id": person.user_id, "now": datetime.now(UTC), "address": address}


def _order(form: Mapping[str, str]) -> Order:
    """Raises BadInput, and Problem 404 for an invalid playlist id."""
    if not form.get("playlist"):
        raise BadInput("choose a playlist")
    found = _TO.match(form.get("to", ""))
    if found is None:
        raise BadInput("choose where to move it")
    into = int(found[2]) if found[2] else None
    return Order(
        playlist_id=id_in_path(form["playlist"], what="playlist"),
        account_id=int(found[1]),
        name=form.get("name") if into is None else None,
        into_playlist_id=into,
        is_equal=into is not None and form.get("how") == "equal",
    )


async def _ordered(
    request: Request, person: Visitor, site: Site, number: int, asked: partial[MigrationView]
) -> Response:
    try:
        await site.pools.in_thread(asked)
    except UnknownMigration:
        raise missing("You have no such migration.") from None
    except BadInput as error:
        return await _migration_page(request, person, site, number, mistake=plain_mistake(error), status=409)
    return RedirectResponse(f"/migrations/{number}", 303)


async def _decide(site: Site, person: Visitor, number: int, position: int, form: Mapping[str, str]) -> str:
    """Returns the word for what was done. Raises BadInput, Busy."""
    about: dict[str, Any] = {
        "user_id": person.user_id,
        "migration_id": number,
        "position": position,
        "now": datetime.now(UTC),
    }
    deed = form.get("deed")
    if deed == "undo":
        await site.pools.in_thread(partial(orders.decide, **about, word="take_back", uri=None))
        return "undo"
    if deed == "leave_out":
        await site.pools.in_thread(partial(orders.decide, **about, word="leave_out", uri=None))
        return "leave_out"
    if deed == "unavailable":
        await site.pools.in_thread(partial(orders.decide, **about, word="unavailable", uri=None))
        return "unavailable"
    if form.get("never"):
        await site.pools.in_thread(partial(orders.decide, **about, word="never", uri=form["never"]))
        return "never"
    uri = form.get("take") or form.get("address")
    if not uri:
        raise BadInput("choose a track, or paste its address")
    await site.pools.in_thread(partial(orders.decide, **about, word="is", uri=uri))
    return "take"


async def _choose_page(
    request: Request, person: Visitor, site: Site, typed: Mapping[str, str], *, mistake: str | None = None
) -> HTMLResponse:
    targets = await site.pools.in_thread(reviewing.list_targets, user_id=person.user_id)
    linked = await accounts_of(site, person.user_id)
    lists = await _lists(site, person)
    usable = [each for each in targets if each.is_usable]
    values = {
        "playlists": [(each, origin_of(each, linked)) for each in lists if each.items],
        "accounts": [
            (
                account.account_id,
                account.title,
                [
                    each
                    for each in lists
                    if each.account_id == account.account_id and each.state == "readable" and not each.is_liked_songs
                ],
            )
            for account in usable
        ],
        "unusable": [each.title for each in targets if not each.is_usable],
        "typed": {"playlist": "", "to": "", "name": "", "how": "", **typed},
        "mistake": mistake,
        "steps": STEPS,
        "longest_name": LONGEST_NAME,
    }
    answer = show(request, person, "migration_new.html", values, path="/migrations/new")
    answer.status_code = 200 if mistake is None else 422
    return answer


async def _lists(site: Site, person: Visitor) -> list[PlaylistRow]:
    """The person's playlists, by name."""

    async def read(marts: Marts) -> list[PlaylistRow]:
        return await reads.playlists(marts, after=FIRST_PAGE, limit=_MOST_LISTS)

    try:
        found = await site.pools.read(person.user_id, read)
    except (MartsMissing, MartsOutdated):
        return []
    return sorted(found, key=lambda each: (each.state != "readable", each.name.casefold()))


async def _migration_page(
    request: Request,
    person: Visitor,
    site: Site,
    number: int,
    *,
    chosen: Show | None = None,
    after: int = -1,
    said: str | None = None,
    mistake: str | None = None,
    typed: Mapping[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    progress = await find_progress(site, person, number)
    view = progress.migration
    stage = await find_stage(site, person, progress)
    open_ones = view.ambiguous + view.missing + view.refused
    shown = chosen or ("doubt" if open_ones or stage.name == "review" else "all")
    is_planned = view.entries > 0 and stage.name != "planning"
    found = await _entries(site, person, number, shown, after=after, limit=_ENTRIES_A_PAGE + 1) if is_planned else ()
    rows = found[:_ENTRIES_A_PAGE]
    facts = await facts_of_tracks(site, person, rows)
    here = f"/migrations/{number}"
    kept = f"{here}?show={shown}"
    values = {
        "move": view,
        "service": Provider(view.provider).label,
        "stage": stage,
        "steps": STEPS,
        "route": _route(view),
        "said": said,
        "mistake": mistake,
        "typed": {"position": "", "address": "", **(typed or {})},
        "target_page": playlist_page(view.provider, view.target_playlist),
        "counts": _counts(view) if is_planned else [],
        "synced": await kept_of(site, person, view),
        "note": plain_reason(view.note, Provider(view.provider).label),
        "open_ones": open_ones,
        "would": await would_change(site, person, view) if stage.name == "review" else None,
        "left": _left(view, stage) if is_planned else [],
        "tabs": [(f"{here}?show={each}#entries", name, each == shown) for each, name in _TABS.items()]
        if is_planned
        else [],
        "shown": shown,
        "after": after,
        "entries": [entry_of(each, facts.get(each.content_id or 0)) for each in rows],
        "nothing_shown": _NOTHING[shown],
        "first_page": f"{kept}#entries" if after >= 0 else None,
        "next_page": f"{kept}&after={rows[-1].position}#entries" if len(found) > len(rows) else None,
    }
    answer = show(request, person, "migration.html", values, path=here)
    answer.status_code = status
    return answer


async def _entries(
    site: Site, person: Visitor, number: int, shown: Show, *, after: int, limit: int
) -> tuple[ReviewEntry, ...]:
    asked = partial(
        reviewing.list_entries, user_id=person.user_id, migration_id=number, show=shown, after=after, limit=limit
    )
    return await site.pools.in_thread(asked)


def _route(view: MigrationView) -> str:
    """Where it is moved to, as a sentence."""
    if view.is_equal:
        return f"“{view.target_name}” at your {view.account_title} is made equal to it."
    return f"To “{view.target_name}” at your {view.account_title}."


def _counts(view: MigrationView) -> list[tuple[str, int, str]]:
    """Figures of the entries that are not 0: name, value, note."""
    found = [
        ("Found", view.matched - view.refused, ""),
        ("In doubt", view.ambiguous, "you decide"),
        ("Not found", view.missing, ""),
        ("Left out", view.unavailable, ""),
        ("Not taken", view.refused, "when they were added"),
    ]
    return [each for each in found if each[1] or each[0] == "Found"]


def _left(view: MigrationView, stage: Stage) -> list[str]:
    """What is missing on the target and why, and what can be done about it."""
    label = Provider(view.provider).label
    told = []
    if stage.name != "review":
        if view.refused:
            told.append(f"{counted(view.refused, 'track')}: {label} offered it but did not accept it. Choose another.")
        if view.ambiguous:
            told.append(f"{counted(view.ambiguous, 'track')} in doubt. Choose the right one below, then move the rest.")
        if view.missing:
            told.append(
                f"{counted(view.missing, 'track')} not found at {label}. If you find it there, paste its address."
            )
        if view.unavailable:
            told.append(f"{counted(view.unavailable, 'track')} left out.")
    return told


def _position(text: str) -> int:
    if not _POSITION.match(text) or int(text) > MOST_INT:
        raise wrong("“position” must be a number.")
    return int(text)
