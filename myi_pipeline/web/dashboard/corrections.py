"""Hiding, deleting and correcting plays: previewing, making, listing and undoing corrections.

The page is reached from a play, a session, an artist or the list and shows the effect before anything is sent; the same
form narrows the selection. No script is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import tzinfo
from typing import cast

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.catalogue.sources import label_of
from myi_pipeline.errors import BadInput
from myi_pipeline.people import corrections as rules
from myi_pipeline.people.corrections import ACTIONS, KINDS, LONGEST_NOTE, Action, Correction, Described, Kind, Wish
from myi_pipeline.web.dashboard.inputs import (
    LONGEST_TEXT,
    day_in_form,
    form_of,
    missing,
    moment_in_form,
    number_in_path,
    text_of,
    wrong,
)
from myi_pipeline.web.dashboard.pages import show, show_marts
from myi_pipeline.web.dashboard.paging import place_of
from myi_pipeline.web.dashboard.signed_in import CorrectionsForm, Person
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.corrections import hidden_plays, reached_by
from myi_pipeline.web.reads.cursors import MOST_BIGINT, MOST_INT
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.music import entity_names
from myi_pipeline.web.reads.plays import PLAYS
from myi_pipeline.web.reads.search import search
from myi_pipeline.web.reads.spans import moment
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.formats import moment as shown
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()
Names = Mapping[tuple[str, int], str | None]

_PLAY = re.compile(r"-?\d{1,19}\Z", re.ASCII)
_NUMBER = re.compile(r"\d{1,10}\Z", re.ASCII)
# Of the form: a deletion that removes the sources' reports as well.
_FOR_GOOD = "for_good"
_HIDDEN_A_PAGE = 60
_TRACKS = 10
# The fields that select plays, as in addresses and forms.
_FIELDS = ("play", "at", "from", "to", "from_at", "until_at", "artist", "source", "kind")
DONE = {
    "made": "Done. The figures follow within a minute or two.",
    "undone": "Undone. The plays are back within a minute or two.",
    "no-rule": "That rule no longer applies. What it deleted comes back only if you upload an archive that contains it"
    " again.",
}


@router.get("/corrections")
async def corrections(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    """Corrections in force and undone, and links to make new ones."""
    done = DONE.get(request.query_params.get("done", ""))
    return await _list_page(request, person, site, done=done)


@router.get("/corrections/hidden")
async def hidden(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    place = place_of(request, site, person.user_id)

    async def build(marts: Marts) -> Mapping[str, object]:
        found = await hidden_plays(marts, after=place.after, limit=_HIDDEN_A_PAGE + 1)
        rows = found[:_HIDDEN_A_PAGE]
        following = place.next(PLAYS.keys_of(rows[-1])) if len(found) > len(rows) else None
        return {"plays": rows, "first_page": place.first, "next_page": following}

    return await show_marts(request, person, site, "hidden_plays.html", build)


@router.get("/corrections/new")
async def new_correction(request: Request, person: Person, site: TheSite) -> Response:
    """The preview.

    Fields: a play (`play`, `at`), days (`from`, `to`), moments (`from_at`, `until_at`), `artist`, `source`, `kind`; `q`
    looks for the track that was really played."""
    typed = {name: request.query_params.get(name, "").strip() for name in _FIELDS}
    if not any(typed.values()):
        return RedirectResponse("/corrections", 303)
    try:
        described = _described(typed, person)
        rules.check_described(described)
        await site.pools.in_thread(rules.check_source, described.source)
    except (BadInput, Problem) as error:
        return await _list_page(request, person, site, mistake=_said(error), typed=typed)
    return await _new_page(request, person, site, described, {**typed, "q": text_of(request, "q")})


@router.post("/corrections")
async def make_correction(request: Request, person: CorrectionsForm, site: TheSite) -> Response:
    form = await form_of(request)
    typed = {name: form.get(name, "") for name in _FIELDS}
    try:
        described = _described(typed, person)
        rules.check_described(described)
    except (BadInput, Problem) as error:
        return await _list_page(request, person, site, mistake=_said(error), typed=typed)
    try:
        wish = _wish(form, described)
        address = client_address(request, site.settings.trusted_networks)
        await site.pools.in_thread(rules.add_correction, user_id=person.user_id, wish=wish, address=address)
    except BadInput as error:
        return await _new_page(request, person, site, described, {**form, **typed}, mistake=str(error))
    return RedirectResponse("/corrections?done=made", 303)


@router.post("/corrections/{correction_id}/undo")
async def undo(correction_id: str, request: Request, person: CorrectionsForm, site: TheSite) -> Response:
    address = client_address(request, site.settings.trusted_networks)
    number = number_in_path(correction_id)
    known = await site.pools.in_thread(rules.list_corrections, user_id=person.user_id, correction_id=number)
    found = await site.pools.in_thread(
        rules.undo_correction, user_id=person.user_id, correction_id=number, address=address
    )
    if not found:
        raise missing("This correction no longer exists.")
    is_for_good = any(each.for_good_at is not None for each in known)
    return RedirectResponse(f"/corrections?done={'no-rule' if is_for_good else 'undone'}", 303)


def _said(error: BadInput | Problem) -> str:
    return error.detail if isinstance(error, Problem) else str(error)


async def _list_page(
    request: Request,
    person: Visitor,
    site: Site,
    *,
    done: str | None = None,
    mistake: str | None = None,
    typed: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """`mistake` stands in the form for new ones, which keeps what was typed."""
    found = await site.pools.in_thread(rules.list_corrections, user_id=person.user_id)

    async def read(marts: Marts) -> Mapping[tuple[str, int], str | None]:
        return await _names(marts, found)

    names = await site.pools.read(person.user_id, read)
    rows = [(each, deed_of(each, names), words_of(each, person.zones, names)) for each in found]
    values = {
        "held": [row for row in rows if row[0].undone_at is None],
        "undone": [row for row in rows if row[0].undone_at is not None],
        "sources": await site.pools.in_thread(rules.list_sources),
        "kinds": KINDS,
        "done": done,
        "mistake": mistake,
        "typed": typed or {},
    }
    answer = show(request, person, "corrections.html", values, path="/corrections")
    if mistake is not None:
        answer.status_code = 422
    return answer


async def _new_page(
    request: Request,
    person: Visitor,
    site: Site,
    described: Described,
    typed: Mapping[str, str],
    *,
    mistake: str | None = None,
) -> HTMLResponse:
    sources = await site.pools.in_thread(rules.list_sources)
    zone = person.zones

    async def build(marts: Marts) -> Mapping[str, object]:
        reached = await reached_by(marts, described)
        # Names are shown only for what this user has played.
        names = await _names(marts, [described]) if reached.plays else {}
        words = typed.get("q", "")
        tracks = await search(marts, words, kinds=("track",), limit=_TRACKS) if words else []
        return {"tracks": tracks, "reached": reached, "words": words_of(described, zone, names)}

    answer = await show_marts(
        request, person, site, "correction.html", build,
        described=described, typed=typed, mistake=mistake,
        longest_text=LONGEST_TEXT, kinds=KINDS, sources=sources, longest_note=LONGEST_NOTE,
        kept_fields=[(name, typed[name]) for name in _FIELDS if typed.get(name)],
    )  # fmt: skip
    if mistake is not None:
        answer.status_code = 422
    return answer


async def _names(marts: Marts, found: Iterable[Described]) -> Names:
    """Names of the artists and tracks that corrections refer to."""
    artists = {each.artist_id for each in found if each.artist_id is not None}
    tracks = {each.to_content_id for each in found if isinstance(each, Correction) and each.to_content_id is not None}
    return {
        **{("artist", id): (await entity_names(marts, "artist", id)).name for id in sorted(artists)},
        **{("track", id): (await entity_names(marts, "track", id)).name for id in sorted(tracks)},
    }


def words_of(correction: Described, zone: tzinfo, names: Names) -> str:
    """A description of the selected plays; days and times are in the person's zone."""
    parts = []
    if correction.event_at is not None:
        parts.append(f"the play of {shown(correction.event_at, zone)}")
    elif correction.kind is not None:
        parts.append(f"every {correction.kind}" if correction.kind != "unknown" else "plays of unknown content")
    else:
        parts.append("every play")
    if correction.artist_id is not None:
        parts.append(f"by {names.get(('artist', correction.artist_id)) or 'an unknown artist'}")
    if correction.source is not None:
        parts.append(f"from “{label_of(correction.source)}”")
    if correction.from_at is not None:
        parts.append(f"from {shown(correction.from_at, zone)} on")
    if correction.until_at is not None:
        parts.append(f"before {shown(correction.until_at, zone)}")
    return " ".join(parts)


def deed_of(correction: Correction, names: Names) -> str:
    """A description of what is done with the plays."""
    if correction.for_good_at is not None:
        return "Deleted for good"
    if correction.action != "correct":
        return {"hide": "Hidden", "delete": "Deleted"}[correction.action]
    parts = []
    if correction.shift_s is not None:
        parts.append(f"moved by {shift_text(correction.shift_s)}")
    if correction.to_content_id is not None:
        parts.append(f"counted as “{names.get(('track', correction.to_content_id)) or 'another track'}”")
    words = " and ".join(parts)
    return f"{words[:1].upper()}{words[1:]}"


def shift_text(shift_s: int) -> str:
    """`+1:00` or `-0:00:30`, in hours, minutes and, if there are any, seconds."""
    hours, rest = divmod(abs(shift_s), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{'-' if shift_s < 0 else '+'}{hours}:{minutes:02}" + (f":{seconds:02}" if seconds else "")


def _wish(form: Mapping[str, str], described: Described) -> Wish:
    """Raises BadInput."""
    action = form.get("action", "")
    for_good = action == _FOR_GOOD
    if for_good:
        action = "delete"
    if action not in ACTIONS:
        raise BadInput("choose whether to hide, delete or correct")
    note, shift, content = form.get("note"), form.get("shift"), form.get("to_content")
    if content is not None and (not _NUMBER.match(content) or not 0 < int(content) <= MOST_INT):
        raise BadInput("choose the other track from the list")
    if action != "correct":
        shift = content = None
    return Wish(
        action=cast(Action, action),
        described=described,
        shift_s=rules.shift_of(shift) if shift is not None else None,
        to_content_id=int(content) if content is not None else None,
        note=note,
        for_good=for_good,
    )


def _described(typed: Mapping[str, str], person: Visitor) -> Described:
    """Raises Problem 422 for anything that no form of this site sends."""
    zone = person.zones
    first, last = (day_in_form(typed[name], name) if typed.get(name) else None for name in ("from", "to"))
    from_at, until_at, event_at = (
        moment_in_form(typed[name], name) if typed.get(name) else None for name in ("from_at", "until_at", "at")
    )
    if first is not None:
        from_at = moment(first, zone)
    if last is not None:
        until_at = moment(last, zone, is_end=True)
    kind = typed.get("kind") or None
    if kind is not None and kind not in KINDS:
        raise wrong(f"“kind” must be one of {', '.join(KINDS)}.")
    return Described(
        event_id=_number(typed, "play", _PLAY, MOST_BIGINT),
        event_at=event_at,
        from_at=from_at,
        until_at=until_at,
        artist_id=_number(typed, "artist", _NUMBER, MOST_INT),
        source=typed.get("source") or None,
        kind=cast(Kind | None, kind),
    )


def _number(typed: Mapping[str, str], name: str, pattern: re.Pattern[str], most: int) -> int | None:
    given = typed.get(name)
    if not given:
        return None
    if not pattern.match(given) or not -most - 1 <= int(given) <= most:
        raise wrong(f"“{name}” must be a number.")
    return int(given)
