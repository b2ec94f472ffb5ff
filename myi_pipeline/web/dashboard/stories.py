"""A year or a month as a story: cards, each a picture to download.

The page draws them in itself, and each is a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from starlette.requests import Request

from myi_pipeline.web.dashboard.card_pictures import drawn
from myi_pipeline.web.dashboard.inputs import missing, year_in_path
from myi_pipeline.web.dashboard.pages import picture, show_marts
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.marts import Marts
from myi_pipeline.web.reads.spans import Period, last_day_of, today_in
from myi_pipeline.web.security.rate_limits import Tier
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown import cards
from myi_pipeline.web.shown.stories import Asked, read_story
from myi_pipeline.web.site import TheSite

router = APIRouter()

_MONTH = re.compile(r"([1-9]\d{3})-(0[1-9]|1[0-2])\Z", re.ASCII)
_CARD = re.compile(r"[a-z]{1,20}\Z", re.ASCII)


def asked_year(text: str, today: date) -> Asked:
    """Raises Problem 404."""
    first = date(year_in_path(text), 1, 1)
    return Asked(Period.YEAR, first, max(first, min(last_day_of(Period.YEAR, first), today)))


def asked_month(text: str, today: date) -> Asked:
    """Raises Problem 404."""
    found = _MONTH.match(text)
    if found is None:
        raise missing("There is no such month.")
    first = date(year_in_path(found[1]), int(found[2]), 1)
    return Asked(Period.MONTH, first, max(first, min(last_day_of(Period.MONTH, first), today)))


@router.get("/year/{year}/story")
async def story_of_year(request: Request, person: Person, site: TheSite, year: str) -> HTMLResponse:
    return await _page(request, person, site, asked_year(year, today_in(person.time_zone)))


@router.get("/month/{month}/story")
async def story_of_month(request: Request, person: Person, site: TheSite, month: str) -> HTMLResponse:
    return await _page(request, person, site, asked_month(month, today_in(person.time_zone)))


@router.get("/year/{year}/story/{card}.{form}")
async def card_of_year(request: Request, person: Person, site: TheSite, year: str, card: str, form: str) -> Response:
    return await _picture(person, site, asked_year(year, today_in(person.time_zone)), card, form)


@router.get("/month/{month}/story/{card}.{form}")
async def card_of_month(request: Request, person: Person, site: TheSite, month: str, card: str, form: str) -> Response:
    return await _picture(person, site, asked_month(month, today_in(person.time_zone)), card, form)


async def _page(request: Request, person: Visitor, site: TheSite, asked: Asked) -> HTMLResponse:
    async def build(marts: Marts) -> Mapping[str, object]:
        return vars(await read_story(marts, asked, person))

    return await show_marts(request, person, site, "story.html", build, asked=asked, today=today_in(person.time_zone))


async def _picture(person: Visitor, site: TheSite, asked: Asked, name: str, form: str) -> Response:
    """One card as a file: an SVG or, for phones, which keep no SVG, a PNG."""

    async def read(marts: Marts) -> cards.Card:
        if (await marts.version()).number is not None and _CARD.match(name) and form in ("svg", "png"):
            found = await read_story(marts, asked, person)
            for card in found.cards:
                if card.name == name:
                    return card
        raise missing("There is no such picture.")

    if form == "png":
        site.limits.take(Tier.SENSITIVE, "card pictures", f"user {person.user_id}")
    card = await site.pools.read(person.user_id, read)
    file_name = f"{asked.label} {name}".lower().replace(" ", "-")
    if form == "svg":
        return picture(card, file_name)
    image = await drawn(card, site.drawing, width=cards.WIDTH, height=cards.HEIGHT)
    headers = {"content-disposition": f'attachment; filename="{file_name}.png"'}
    return Response(image, media_type="image/png", headers=headers)
