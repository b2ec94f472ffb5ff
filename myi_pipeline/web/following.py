"""Something that is looked at again and again for whoever follows it, as server-sent events until it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request

from myi_pipeline.errors import BadInput
from myi_pipeline.web.answers import JSON
from myi_pipeline.web.problems import Problem
from myi_pipeline.web.reads.servers import DatabaseGone
from myi_pipeline.web.security.identity import is_still_known
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site
from myi_pipeline.web.streams import event

_LOOK_EVERY_S = 1.0
# Proxies close what is silent for a minute; a browser opens a stream that ended again by itself.
_SIGN_OF_LIFE_S, _LONGEST_S = 15.0, 600.0

T = TypeVar("T")


async def follow(
    request: Request,
    site: Site,
    visitor: Visitor,
    first: T,
    *,
    look: Callable[[], Awaitable[T]],
    tell: Callable[[T], tuple[object, bool]],
    names: tuple[str, str] = ("progress", "done"),
) -> AsyncIterator[bytes]:
    """`tell` gives what is sent whenever it has changed, and whether it is over; `names` are the events' of both."""
    began = heard = time.monotonic()
    found, sent, number = first, None, 0
    while time.monotonic() - began < _LONGEST_S:
        told, is_over = tell(found)
        if told != sent or is_over:
            number, sent, heard = number + 1, told, time.monotonic()
            yield event(names[is_over], told, number=number)
        elif time.monotonic() - heard > _SIGN_OF_LIFE_S:
            heard = time.monotonic()
            yield b": still here\n\n"
        if is_over:
            return
        await asyncio.sleep(_LOOK_EVERY_S)
        try:
            # After a sign-out no more events are sent.
            if not await is_still_known(request, site, visitor):
                return
            found = await look()
        except (DatabaseGone, Problem, BadInput):
            # Whoever follows comes back, and then learns why.
            return


def event_schema(content: dict[str, Any]) -> dict[str, Any]:
    """The contract of such a stream whose events hold `content`, a JSON schema."""
    return {
        "type": "object",
        "properties": {
            "event": {"type": "string", "enum": ["progress", "done"]},
            "id": {"type": "string", "pattern": "^[0-9]+$"},
            "data": {"type": "string", "contentMediaType": JSON, "contentSchema": content},
        },
        "required": ["event", "id", "data"],
    }
