"""Live updates of the overview: what is playing and the latest plays, as server-sent events.

A stream does not call Spotify: it leaves a wish for what is playing, like the API, and plays arrive with the marts'
next version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.requests import Request

from myi_pipeline.web.dashboard.pages import page
from myi_pipeline.web.dashboard.signed_in import Person
from myi_pipeline.web.reads.cursors import FIRST_PAGE
from myi_pipeline.web.reads.marts import Marts, MartsMissing, MartsOutdated
from myi_pipeline.web.reads.plays import PlayRow, plays
from myi_pipeline.web.reads.replica import need_version
from myi_pipeline.web.reads.servers import DatabaseGone
from myi_pipeline.web.security.identity import is_still_known
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.shown.now_playing import ask_now_playing
from myi_pipeline.web.site import Site, TheSite
from myi_pipeline.web.streams import STREAM_HEADERS, EventStream, event

router = APIRouter()

LAST_PLAYS = 5
_LOOK_EVERY_S, _LOOK_AT_PLAYERS_EVERY_S = 3.0, 9.0
# Proxies close a connection that is silent for a minute; browsers reopen a stream that ended.
_SIGN_OF_LIFE_S, _LONGEST_S = 15.0, 600.0


async def last_plays(marts: Marts) -> Sequence[PlayRow]:
    """The person's newest plays."""
    return await plays(marts, after=FIRST_PAGE, limit=LAST_PLAYS)


@router.get("/live")
async def live(request: Request, person: Person, site: TheSite) -> Response:
    """Sends `now`, as in `/v1/me/now-playing`, and `plays` as markup, each whenever it changes."""
    events = _events(request, site, person)
    return EventStream(events, streams=site.streams, user_id=person.user_id, headers=STREAM_HEADERS)


async def _events(request: Request, site: Site, person: Visitor) -> AsyncIterator[bytes]:
    began = heard = time.monotonic()
    number, version, ask_at = 0, None, 0.0
    told: tuple[object, ...] = ()
    while time.monotonic() - began < _LONGEST_S:
        try:
            # After a sign-out no more events are sent.
            if not await is_still_known(request, site, person):
                return
            if time.monotonic() >= ask_at:
                playing = await ask_now_playing(site.pools, person.user_id)
                # A scrobbler may report something before asking Spotify again is worthwhile.
                ask_at = time.monotonic() + min(playing.ask_again_s, _LOOK_AT_PLAYERS_EVERY_S)
                if (playing.read_at, playing.state, playing.reason) != told:
                    told = (playing.read_at, playing.state, playing.reason)
                    number, heard = number + 1, time.monotonic()
                    yield event("now", playing.model_dump(), number=number)
            newest, rows = await _newer_plays(site, person, version)
            if newest != version:
                number, heard, version = number + 1, time.monotonic(), newest
                markup = page("parts/last_plays.html", plays=rows, zone=person.zones).body
                yield event("plays", {"markup": bytes(markup).decode()}, number=number)
        except DatabaseGone:
            # The browser reconnects.
            return
        if time.monotonic() - heard > _SIGN_OF_LIFE_S:
            heard = time.monotonic()
            yield b": still here\n\n"
        await asyncio.sleep(_LOOK_EVERY_S)


async def _newer_plays(site: Site, person: Visitor, known: int | None) -> tuple[int | None, Sequence[PlayRow]]:
    """The version of the marts, and the last plays unless that version is known."""

    async def read(marts: Marts) -> tuple[int | None, Sequence[PlayRow]]:
        number = (await marts.version()).number
        return number, await last_plays(marts) if number is not None and number != known else ()

    if known is not None:
        # What was shown is not taken back by whoever serves this look.
        need_version(person.user_id, known)
    try:
        return await site.pools.read(person.user_id, read)
    except (MartsMissing, MartsOutdated):
        return None, ()
