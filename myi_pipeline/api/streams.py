"""Answers that stay open: how many a user may hold.

Belongs here: counting them, and the wire form of server-sent events. Invariant: an open stream holds no connection to
the database between two looks, and a user holds at most MOST_A_USER.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from myi_pipeline.api.problems import Problem

MEDIA_TYPE = "text/event-stream"
# A page or two in each of a few browsers.
MOST_A_USER = 6


class Streams:
    """The open streams of one process."""

    def __init__(self) -> None:
        self._open: Counter[int] = Counter()

    @contextmanager
    def held(self, user_id: int) -> Iterator[None]:
        self._open[user_id] += 1
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if self._open[user_id] <= 0:
                del self._open[user_id]

    def check(self, user_id: int) -> None:
        """Raises Problem 429."""
        if self._open[user_id] >= MOST_A_USER:
            raise Problem(
                429, "too-many-streams", "Too many streams are open; close one.", headers={"Retry-After": "5"}
            )


def event(name: str, content: object, *, number: int) -> bytes:
    """One event; JSON has no line break, so it is one line of data."""
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), number, orjson.dumps(content, option=orjson.OPT_UTC_Z))
