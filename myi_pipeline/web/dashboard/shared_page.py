"""What a share link shows to anybody, and the picture of its link preview.

A visitor learns only what was chosen: not whose it is, nor which other links exist. A link that has ended says so in
the same way whatever the reason, and one that never existed takes the same path through the database.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import structlog
from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response
from starlette.requests import Request

from myi_pipeline.errors import Gone
from myi_pipeline.sharing import shares
from myi_pipeline.sharing.rules import is_share_id
from myi_pipeline.sharing.shares import OpenedShare
from myi_pipeline.sharing.snapshots import Snapshot, SnapshotUnreadable, cut, read_snapshot
from myi_pipeline.web.dashboard import pages
from myi_pipeline.web.dashboard.card_pictures import drawn
from myi_pipeline.web.security import cookies
from myi_pipeline.web.security.client_address import client_address
from myi_pipeline.web.security.identity import find_visitor
from myi_pipeline.web.security.rate_limits import Tier, limited_by_address
from myi_pipeline.web.shown.cards import preview_card
from myi_pipeline.web.shown.formats import counted, heard
from myi_pipeline.web.site import Site, TheSite

log = structlog.get_logger(__name__)

router = APIRouter()
# Programs that fetch a page to preview or index it are not visitors.
_PROGRAMS = re.compile(r"bot|crawl|spider|preview|facebookexternalhit|whatsapp|curl|wget|python|^$", re.IGNORECASE)
_LONGEST_AGENT, _LONGEST_LINE = 500, 70
_HEADERS = {
    # The page loads its style and its picture; it has no form and no script.
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
_NOT_LISTED = {"x-robots-tag": "noindex, nofollow"}
_ENDED = ("No longer shared", "What was shown here is no longer shared.")
_UNKNOWN = (
    "Nothing here",
    "There is nothing behind this link. It may be incomplete: ask the person who gave it to you.",
)
_UNREADABLE = ("Not available", "This report cannot be shown here now.")


@router.get("/s/{share_id}", dependencies=[Depends(limited_by_address(Tier.SENSITIVE, "shared pages"))])
async def shared(request: Request, site: TheSite, share_id: str) -> HTMLResponse:
    now = datetime.now(UTC)
    found = await _open(site, share_id, now)
    if isinstance(found, HTMLResponse):
        return found
    opened, snapshot = found
    await _count(request, site, share_id, now)
    values: dict[str, Any] = {
        "title": opened.title,
        "snapshot": snapshot,
        "is_indexed": opened.is_indexed,
        "summary": summary_of(snapshot),
        "address": f"{site.settings.site_url}/s/{share_id}",
    }
    answer = pages.page("shared.html", values)
    answer.headers.update(_HEADERS if opened.is_indexed else {**_HEADERS, **_NOT_LISTED})
    return answer


@router.get("/s/{share_id}/picture.png", dependencies=[Depends(limited_by_address(Tier.SENSITIVE, "shared pictures"))])
async def shared_picture(site: TheSite, share_id: str) -> Response:
    found = await _open(site, share_id, datetime.now(UTC))
    if isinstance(found, HTMLResponse):
        return found
    opened, snapshot = found
    card = preview_card(title=opened.title, above=_above(snapshot), lines=_lines(snapshot))
    content = await drawn(card, site.drawing)
    # Web pages of messengers embed it.
    headers = {"cross-origin-resource-policy": "cross-origin", **({} if opened.is_indexed else _NOT_LISTED)}
    return Response(content, media_type="image/png", headers=headers)


async def _open(site: Site, share_id: str, now: datetime) -> tuple[OpenedShare, Snapshot] | HTMLResponse:
    """The content of the link, or the page that says why there is none."""
    # Even an impossible link is looked up, so that the response time reveals nothing.
    try:
        opened = await site.pools.in_thread(shares.open_share, share_id=share_id[:64].replace("\0", ""), now=now)
    except Gone:
        return _quiet(410, _ENDED)
    if opened is None or not is_share_id(share_id):
        return _quiet(404, _UNKNOWN)
    try:
        return opened, read_snapshot(opened.snapshot)
    except SnapshotUnreadable as error:
        log.warning("share_unreadable", error=str(error))
        return _quiet(503, _UNREADABLE)


def _quiet(status: int, words: tuple[str, str]) -> HTMLResponse:
    title, detail = words
    answer = pages.page("shared_ended.html", {"title": title, "detail": detail}, status=status)
    answer.headers.update({**_HEADERS, **_NOT_LISTED})
    return answer


async def _count(request: Request, site: Site, share_id: str, now: datetime) -> None:
    agent = request.headers.get("user-agent", "")[:_LONGEST_AGENT]
    if request.method != "GET" or _PROGRAMS.search(agent):
        return
    visitor = await find_visitor(request, site) if cookies.read_session(request, site.settings) else None
    # Two people of one household may share an address and a browser version; signed-in ones can be distinguished.
    viewer = visitor.user_id if visitor is not None else None
    who = f"{client_address(request, site.settings.trusted_networks)} {agent}" if viewer is None else str(viewer)
    if site.visits.is_new(share_id, who, now=now):
        await site.pools.in_thread(shares.count_view, share_id=share_id, viewer_id=viewer)


def summary_of(snapshot: Snapshot) -> str:
    """One sentence, for link previews."""
    return ". ".join([_above(snapshot), *_lines(snapshot)]) + "."


def _above(snapshot: Snapshot) -> str:
    return f"{snapshot.owner}, {snapshot.label}" if snapshot.owner else snapshot.label


def _lines(snapshot: Snapshot) -> list[str]:
    """Up to four lines about its content."""
    lines = []
    if snapshot.figures is not None:
        lines.append(f"{heard(snapshot.figures.ms_played)} in {counted(snapshot.figures.plays, 'play')}")
    for each in snapshot.lists[: 3 if len(snapshot.lists) > 1 else 1]:
        if len(snapshot.lists) == 1:
            lines += [f"{row.rank}. {row.name or 'Unknown'}" for row in each.rows[:3]]
        elif each.rows:
            lines.append(f"Top {each.what[:-1]}: {each.rows[0].name or 'Unknown'}")
    lines += [cut(card.says, _LONGEST_LINE).rstrip(".") for card in snapshot.cards[:3]]
    return lines[:4]
