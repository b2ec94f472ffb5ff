"""Exporting playlists as files, importing them, making playlists from former versions or from what was played most, and
removing those that are no service's.

The forms are on the pages of playlists and top lists (templates/parts/keep_*.html); the results are listed here or
among the playlists.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.file_inbox import InboxFull, accept_file
from myi_pipeline.playlists.files import FORMATS, WRITABLE
from myi_pipeline.playlists.kept import list_versions
from myi_pipeline.playlists.own_lists import restore
from myi_pipeline.playlists.removing import ListOfService, remove_list
from myi_pipeline.web.dashboard.inputs import day_in_form, form_of, id_in_path, missing, wrong
from myi_pipeline.web.dashboard.pages import show
from myi_pipeline.web.dashboard.playlists import show_list
from myi_pipeline.web.dashboard.signed_in import Person, PlaylistsForm
from myi_pipeline.web.playlist_files import (
    LINK_LASTS_S,
    export_playlist,
    export_playlists,
    in_export_place,
    kept_exports,
)
from myi_pipeline.web.playlist_uploads import inbox_full, read_in_time, told
from myi_pipeline.web.problems import Problem, sentence
from myi_pipeline.web.reads.played_lists import MOST_TRACKS, PlayedDays, PlayedList
from myi_pipeline.web.reads.spans import Period, moment, today_in
from myi_pipeline.web.reads.top import BYS, Listed
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.made_playlists import list_of_plays
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.uploads import small_file

router = APIRouter()

# The formats that forms offer; the most widely supported first.
OFFERED = tuple((key, FORMATS[key].label) for key in WRITABLE)
_LIMITED = [Depends(limited(Tier.SENSITIVE, "exports"))]
_EXPORTS = "/playlists/exports"


@router.get(_EXPORTS)
async def exports(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """Files to download, each by a link that is valid for an hour."""
    values = {
        "exports": await kept_exports(site, person),
        "is_made": request.query_params.get("done") == "made",
        "days": site.settings.artifacts_days,
        "link_minutes": LINK_LASTS_S // 60,
        "formats": OFFERED,
    }
    return show(request, person, "playlist_files.html", values)


@router.post(_EXPORTS, dependencies=_LIMITED)
async def export_all(request: Request, person: PlaylistsForm, site: TheSite) -> Response:
    work = export_playlists(site, person, format_key=_format(await form_of(request)), address=_address(request, site))
    await in_export_place(site, person, work)
    return RedirectResponse(f"{_EXPORTS}?done=made", 303)


@router.post("/playlists", dependencies=_LIMITED)
async def make_from_plays(request: Request, person: PlaylistsForm, site: TheSite) -> Response:
    """Makes a playlist of the songs of a top list as its page shows them."""
    form = await form_of(request)
    today = today_in(person.time_zone)
    ranked = next((each for each in BYS if each == form.get("ranked", BYS[0])), None)
    by = form.get("by", Listed.RECORDING.value)
    limit = form.get("limit", "50")
    if ranked is None or by not in tuple(Listed) or not limit.isascii() or not limit.isdigit() or len(limit) > 6:
        raise wrong("This form is not from this site.")
    if not 1 <= int(limit) <= MOST_TRACKS:
        raise wrong(f"Such a playlist has 1 to {MOST_TRACKS} tracks.")
    wanted = PlayedList(days=_days(form, today), limit=int(limit), by=ranked, counted_by=Listed(by))
    try:
        make = await list_of_plays(site, person, wanted, name=form.get("name"), today=today)
        await site.pools.in_thread(make)
    except BadInput as error:
        raise _refusal(error) from None
    return RedirectResponse("/playlists?done=made", 303)


@router.post("/playlist-files", dependencies=_LIMITED)
async def import_file(request: Request, person: PlaylistsForm, site: TheSite) -> Response:
    """Imports playlists from a file. What is wrong with it, or was not understood, is shown above the list."""
    try:
        with site.uploads.held(person.user_id):
            given, content = await small_file(request, field="file")
            name, readings = await read_in_time(site, person, name=given, content=content)
            await site.pools.in_thread(accept_file, user_id=person.user_id, name=name, content=content)
    except InboxFull as error:
        raise inbox_full(error) from None
    except BadInput as error:
        trouble = f"{told(error)} Expected: {error.rule}." if error.rule else told(error)
        answer = await show_list(request, person, site, trouble=trouble, path="/playlists")
        answer.status_code = 422
        return answer
    if any(reading.warnings for reading in readings):
        return await show_list(request, person, site, taken=readings, path="/playlists")
    return RedirectResponse("/playlists?done=imported", 303)


@router.post("/playlists/{playlist_id}/exports", dependencies=_LIMITED)
async def export_one(playlist_id: str, request: Request, person: PlaylistsForm, site: TheSite) -> Response:
    number = await _number_of(playlist_id, person, site)
    format_key = _format(await form_of(request))
    try:
        work = export_playlist(
            site, person, playlist_id=number, version_no=None, format_key=format_key, address=_address(request, site)
        )
        await in_export_place(site, person, work)
    except BadInput as error:
        raise _refusal(error) from None
    return RedirectResponse(f"{_EXPORTS}?done=made", 303)


@router.post("/playlists/{playlist_id}/restorations", dependencies=_LIMITED)
async def restore_list(playlist_id: str, request: Request, person: PlaylistsForm, site: TheSite) -> Response:
    """Makes a playlist of the entries at the end of a day, or of those removed since then."""
    number = await _number_of(playlist_id, person, site)
    form = await form_of(request)
    only_removed = form.get("what") == "removed"
    day = day_in_form(form["day"], "day") if form.get("day") else None
    if day is None and not only_removed:
        raise wrong("Choose a day.")
    try:
        await site.pools.in_thread(
            restore, user_id=person.user_id, playlist_id=number,
            before=moment(day, person.zones, is_end=True) if day is not None else None,
            only_removed=only_removed, now=datetime.now(UTC),
        )  # fmt: skip
    except BadInput as error:
        raise _refusal(error) from None
    return RedirectResponse("/playlists?done=made", 303)


@router.post("/playlists/{playlist_id}/remove", dependencies=_LIMITED)
async def remove(playlist_id: str, request: Request, person: PlaylistsForm, site: TheSite) -> Response:
    """Marks a playlist from a file, or one made here, as gone."""
    number = id_in_path(playlist_id, what="playlist")
    try:
        await site.pools.in_thread(
            remove_list, user_id=person.user_id, playlist_id=number, now=datetime.now(UTC),
            address=_address(request, site),
        )  # fmt: skip
    except ListOfService as error:
        raise Problem(409, "list-of-a-service", sentence(str(error))) from None
    except BadInput as error:
        raise _refusal(error) from None
    return RedirectResponse("/playlists?done=removed", 303)


async def _number_of(playlist_id: str, person: Visitor, site: Site) -> int:
    """Raises Problem 404 for a playlist that is not this person's, whatever the form contains."""
    number = id_in_path(playlist_id, what="playlist")
    try:
        await site.pools.in_thread(list_versions, user_id=person.user_id, playlist_id=number)
    except BadInput as error:
        raise _refusal(error) from None
    return number


def _address(request: Request, site: Site) -> str:
    return client_address(request, site.settings.trusted_networks)


def _format(form: dict[str, str]) -> str:
    wanted = form.get("format", "")
    if wanted not in WRITABLE:
        raise wrong(f"The format must be one of {', '.join(WRITABLE)}.")
    return wanted


def _days(form: dict[str, str], today: date) -> PlayedDays:
    """The days, as in the addresses of top lists."""
    first, last = (day_in_form(form[name], name) if form.get(name) else None for name in ("from", "to"))
    try:
        if first is not None or last is not None:
            return PlayedDays.between(first, last, today=today)
        at = day_in_form(form["date"], "date") if form.get("date") else today
        return PlayedDays.of(Period(form.get("period", "all")), at)
    except ValueError:
        raise wrong("This form is not from this site.") from None


def _refusal(error: BadInput) -> Problem:
    if error.place == "playlist":
        return missing("You have no such playlist.")
    return wrong(sentence(str(error)))
