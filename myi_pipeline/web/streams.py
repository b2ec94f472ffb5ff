"""Server-sent events: their wire format, and how many streams a user may hold open.

An open stream holds no connection to the database between two looks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from myi_pipeline.web.problems import Problem

MEDIA_TYPE = "text/event-stream"
# Some proxies would hold events back until there are enough of them.
STREAM_HEADERS = {"x-accel-buffering": "no"}
# A page or two in each of a few browsers.
MOST_A_USER = 6


class Streams:
    """The open streams of one process."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()

    @contextmanager
    def held(self, user_id: int) -> Iterator[None]:
        """Raises Problem 429."""
        # Nothing may be awaited between the question and the count: many requests ask at once.
        if self._open[user_id] >= MOST_A_USER:
            raise Problem(
                429, "too-many-streams", "Too many streams are open; close one.", headers={"Retry-After": "5"}
            )
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if self._open[user_id] <= 0:
                del self._open[user_id]


class EventStream(StreamingResponse):
    """Events of one user, who holds a place from before the first byte until the last, whichever side ends it.

    Raises Problem 429 instead of beginning.
    """

    def __init__(
        self, events: AsyncIterator[bytes], *, streams: Streams, user_id: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(events, media_type=MEDIA_TYPE, headers=headers)
        self._streams = streams
        self._user_id = user_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._streams.held(self._user_id):
            await super().__call__(scope, receive, send)


def event(name: str, content: object, *, number: int) -> bytes:
    """One event; JSON has no line break, so it is one line of data."""
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), number, orjson.dumps(content, option=orjson.OPT_UTC_Z))
