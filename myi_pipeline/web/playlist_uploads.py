"""Uploaded playlist files, for the API and for pages: read in a thread within a time limit, and their refusals."""

from __future__ import annotations

import asyncio
from functools import partial

from myi_pipeline.errors import BadInput
from myi_pipeline.playlists.file_inbox import MOST_BYTES, InboxFull, name_of_file, read_upload
from myi_pipeline.playlists.files import Reading
from myi_pipeline.web.problems import Problem, sentence
from myi_pipeline.web.security.visitors import Visitor
from myi_pipeline.web.site import Site
from myi_pipeline.web.uploads import FORM_BYTES

# The largest file that is accepted takes some seconds; this includes waiting for earlier uploads.
LONGEST_READ_S = 30.0
LARGER_BODIES = {
    ("POST", "/v1/me/playlist-files"): MOST_BYTES,
    ("POST", "/playlist-files"): MOST_BYTES + FORM_BYTES,
}


async def read_in_time(site: Site, visitor: Visitor, *, name: str, content: bytes) -> tuple[str, tuple[Reading, ...]]:
    """The file's name, and what is in it. Only while a place for uploads is held. Raises BadInput and Problem 504."""
    file_name = name_of_file(name)
    if not content:
        raise BadInput("the request contains no file, or an empty one", place=file_name, rule="a playlist file")
    try:
        async with asyncio.timeout(LONGEST_READ_S):
            read = partial(read_upload, content, name=file_name)
            return file_name, await site.uploads.work(visitor.user_id, read)
    except TimeoutError:
        raise Problem(504, "took-too-long", "Reading this file took too long; split it.") from None


def told(error: BadInput) -> str:
    """What is wrong with a file, as a sentence. A file's name at its beginning stays as it is."""
    text = str(error)
    if not error.place or not text.startswith(error.place):
        return sentence(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def wrong_file(error: BadInput) -> Problem:
    """The problem with a file: its message names the file and the place in it, and the rule stands beside."""
    fields = [
        {"place": error.place or "body", "message": f"expected: {error.rule}" if error.rule else "cannot be read"}
    ]
    return Problem(422, "invalid-request", told(error), errors=fields)


def inbox_full(error: InboxFull) -> Problem:
    return Problem(409, "too-much-waiting", sentence(str(error)))
