"""Share reports: choosing the content with a preview, the list, changing and stopping.

The preview shows the same snapshot that would be stored, with the same template part as the public page. No script is
needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import cast

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import BadInput, Gone
from myi_pipeline.sharing import shares as kept
from myi_pipeline.sharing.rules import KINDS, LONGEST_TITLE, PARTS, Kind, Part, is_share_id, usual_expiry
from myi_pipeline.sharing.shares import Share, ShareWish
from myi_pipeline.sharing.snapshots import MOST_ROWS, Snapshot
from myi_pipeline.web.dashboard.inputs import day_in_form, form_of, missing, wrong
from myi_pipeline.web.dashboard.pages import show, show_marts
from myi_pipeline.web.dashboard.periods import NAMES
from myi_pipeline.web.dashboard.signed_in import Person, SharesForm
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, moment, today_in
from myi_pipeline.web.reads.top import BYS
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.rate_limits import Tier, limited
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.formats import last_day
from myi_pipeline.web.shown.snapshots import WHATS, Chosen, take_snapshot, usual_title
from myi_pipeline.web.shown.spans import Span
from myi_pipeline.web.site import Site, TheSite

router = APIRouter()
# Names of the parts for people, in the order in which they are shown.
PART_NAMES: Mapping[Part, str] = {
    "figures": "times and counts",
    "artists": "top artists",
    "tracks": "top tracks",
    "albums": "top albums",
    "over_time": "day by day or month by month",
    "clock": "around the clock",
}
# The cards of a story by name.
CARD_NAMES = {
    "hours": "hours", "artists": "artists", "tracks": "tracks", "obsession": "obsession", "busiest": "busiest day",
    "streak": "streak", "discoveries": "discoveries", "clock": "around the clock", "comparison": "comparison",
}  # fmt: skip
DONE = {
    "changed": "The report has been changed.",
    "revoked": "The report is no longer shared, and its content is deleted.",
}
# The days and the kind: the fields that choosing parts keeps.
_KEPT = ("kind", "date", "period", "from", "to", "what", "ranked")
_LIMITED = [Depends(limited(Tier.SENSITIVE, "shares"))]


@dataclass(frozen=True)
class Mistake:
    """What is wrong in the form of one report, and what was typed there."""

    share_id: str
    text: str
    typed: Mapping[str, str]


@router.get("/shares")
async def my_shares(request: Request, person: Person, site: TheSite) -> HTMLResponse:
    done = DONE.get(request.query_params.get("done", ""))
    return await _list_page(request, person, site, done=done, made=request.query_params.get("made"))


@router.get("/shares/new")
async def new_share(request: Request, person: Person, site: TheSite) -> Response:
    """The preview of what the address selects; without a `kind`, the choices."""
    fields = {name: value.strip() for name, value in request.query_params.items() if value.strip()}
    today = today_in(person.time_zone)
    if "kind" not in fields:
        values = {"today": today, "whats": WHATS, "periods": [(each.value, name) for each, name in NAMES.items()]}
        return show(request, person, "share_what.html", values)
    return await _new_page(request, person, site, _chosen(fields, today), fields)


@router.post("/shares", dependencies=_LIMITED)
async def make(request: Request, person: SharesForm, site: TheSite) -> Response:
    fields = await form_of(request)
    chosen = _chosen(fields, today_in(person.time_zone))
    now = datetime.now(UTC)

    async def read(marts: Marts) -> Snapshot:
        return await take_snapshot(marts, chosen, person)

    snapshot = await site.pools.read(person.user_id, read)
    try:
        made = await site.pools.in_thread(
            kept.make_share,
            user_id=person.user_id,
            snapshot=snapshot,
            wish=_wish(fields, person, site, now, title=usual_title(chosen, person)),
            now=now,
            address=_address(request, site),
        )
    except BadInput as error:
        return await _new_page(request, person, site, chosen, fields, mistake=str(error))
    return RedirectResponse(f"/shares?made={made.share_id}", 303)


@router.post("/shares/{share_id}/change")
async def change(share_id: str, request: Request, person: SharesForm, site: TheSite) -> Response:
    fields, now = await form_of(request), datetime.now(UTC)
    try:
        before = await site.pools.in_thread(kept.get_share, user_id=person.user_id, share_id=_id(share_id), now=now)
        wish = _wish(fields, person, site, now, title=fields.get("title", ""), before=before)
        await site.pools.in_thread(
            kept.change_share, user_id=person.user_id, share_id=share_id, wish=wish, now=now,
            address=_address(request, site),
        )  # fmt: skip
    except Gone:
        raise missing("You have no such report.") from None
    except BadInput as error:
        return await _list_page(request, person, site, mistake=Mistake(share_id, str(error), fields))
    return RedirectResponse("/shares?done=changed", 303)


@router.post("/shares/{share_id}/revoke")
async def revoke(share_id: str, request: Request, person: SharesForm, site: TheSite) -> Response:
    found = await site.pools.in_thread(
        kept.revoke_share, user_id=person.user_id, share_id=_id(share_id), now=datetime.now(UTC),
        address=_address(request, site),
    )  # fmt: skip
    if not found:
        raise missing("You have no such report.")
    return RedirectResponse("/shares?done=revoked", 303)


async def _list_page(
    request: Request,
    person: Visitor,
    site: Site,
    *,
    done: str | None = None,
    made: str | None = None,
    mistake: Mistake | None = None,
) -> HTMLResponse:
    found: Sequence[Share] = await site.pools.in_thread(kept.list_shares, user_id=person.user_id, now=datetime.now(UTC))
    values = {
        "open": [each for each in found if each.state != "revoked"],
        "ended": [each for each in found if each.state == "revoked"],
        "made": next((each for each in found if each.share_id == made and each.state == "open"), None),
        "site_url": site.settings.site_url,
        "longest_title": LONGEST_TITLE,
        "done": done,
        "mistake": mistake,
    }
    answer = show(request, person, "shares.html", values, path="/shares")
    answer.status_code = 422 if mistake is not None else 200
    return answer


async def _new_page(
    request: Request,
    person: Visitor,
    site: Site,
    chosen: Chosen,
    fields: Mapping[str, str],
    *,
    mistake: str | None = None,
) -> HTMLResponse:
    async def build(marts: Marts) -> Mapping[str, object]:
        snapshot = await take_snapshot(marts, chosen, person)
        return {"snapshot": snapshot}

    now = datetime.now(UTC)
    usual_end = last_day(usual_expiry(days=site.settings.share_days, now=now), person.zones)
    answer = await show_marts(
        request, person, site, "share_new.html", build,
        chosen=chosen, choices=_choices(chosen), typed=fields, mistake=mistake, usual_end=usual_end,
        usual_title=usual_title(chosen, person), longest_title=LONGEST_TITLE,
        kept_fields=[(name, fields[name]) for name in _KEPT if fields.get(name)],
    )  # fmt: skip
    if mistake is not None:
        answer.status_code = 422
    return answer


def _choices(chosen: Chosen) -> list[tuple[str, str, bool]]:
    """The checkboxes: field name, label, whether it is checked."""
    if chosen.kind == "story":
        return [
            (f"card_{name}", words, chosen.cards is None or name in chosen.cards) for name, words in CARD_NAMES.items()
        ]
    parts: tuple[Part, ...] = ("figures",) if chosen.kind == "top" else PARTS
    return [(f"part_{part}", PART_NAMES[part], part in chosen.parts) for part in parts]


def _chosen(fields: Mapping[str, str], today: date) -> Chosen:
    """The choice made by the fields of an address or a form. Raises Problem 422."""
    kind, what, ranked = fields.get("kind", ""), fields.get("what", WHATS[0]), fields.get("ranked", BYS[0])
    if kind not in KINDS or what not in WHATS or ranked not in BYS:
        raise wrong("This cannot be shared: begin on the page “Share something”.")
    limit = fields.get("limit", "25")
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 2 and 1 <= int(limit) <= MOST_ROWS):
        raise wrong(f"A list has 1 to {MOST_ROWS} rows.")
    has_chosen = fields.get("chosen") == "yes"
    parts = {part for part in PARTS if fields.get(f"part_{part}")} if has_chosen else set(PARTS)
    cards = frozenset(name for name in CARD_NAMES if fields.get(f"card_{name}")) if has_chosen else None
    return Chosen(
        kind=cast(Kind, kind),
        span=_span(kind, fields, today),
        parts=frozenset(parts),
        cards=cards,
        with_name=bool(fields.get("with_name")),
        what=what,  # type: ignore[arg-type]
        ranked=ranked,  # type: ignore[arg-type]
        limit=int(limit),
    )


def _span(kind: str, fields: Mapping[str, str], today: date) -> Span:
    if "from" in fields or "to" in fields or kind == "range":
        if kind not in ("range", "top") or not (fields.get("from") and fields.get("to")):
            raise wrong("Give the first and the last day.")
        first, last = day_in_form(fields["from"], "from"), day_in_form(fields["to"], "to")
        if first > last:
            raise wrong("The first day must not be after the last.")
        return Span(None, first, last)
    at = day_in_form(fields["date"], "date") if fields.get("date") else today
    if kind == "top":
        allowed, usual = tuple(Period), Period.ALL.value
    elif kind == "story":
        allowed, usual = (Period.YEAR, Period.MONTH), Period.YEAR.value
    else:
        return Span.of(Period(kind), at)
    period = fields.get("period", usual)
    if period not in allowed:
        raise wrong("This cannot be shared: begin on the page “Share something”.")
    return Span.of(Period(period), at)


def _wish(
    fields: Mapping[str, str], person: Visitor, site: Site, now: datetime, *, title: str, before: Share | None = None
) -> ShareWish:
    """Raises Problem 422. An unchanged end stays the same to the second."""
    ends_on = fields.get("ends_on")
    expires_at: datetime | None = None
    if not fields.get("never"):
        if ends_on is None:
            expires_at = usual_expiry(days=site.settings.share_days, now=now)
        else:
            day = day_in_form(ends_on, "ends_on")
            was = before.expires_at if before is not None else None
            is_same = was is not None and last_day(was, person.zones) == day
            expires_at = was if is_same else moment(day + timedelta(days=1), person.zones)
    return ShareWish(
        title=fields.get("title") or title, expires_at=expires_at, is_indexed=bool(fields.get("is_indexed"))
    )


def _id(text: str) -> str:
    if not is_share_id(text):
        raise Problem(404, "not-found", "You have no such report.")
    return text


def _address(request: Request, site: Site) -> str:
    return client_address(request, site.settings.trusted_networks)
