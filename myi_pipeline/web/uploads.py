"""An archive on its way from a request's body to the place of uploads, a folder or an object store.

Invariant: an upload passes in pieces and is never whole in memory.
"""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fastapi.concurrency import contextmanager_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from myi_pipeline.archives.uploads.incoming import Incoming, OverQuota, incoming
from myi_pipeline.archives.uploads.receive import (
    TakenUpload,
    find_import_of,
    judge_upload,
    place_upload,
    take_upload,
)
from myi_pipeline.web.problems import Problem, no_room
from myi_pipeline.web.security.visitors import Visitor

if TYPE_CHECKING:
    from myi_pipeline.web.site import Site

_PIECE_BYTES = 1024 * 1024
# What a form adds around a file: a boundary and a few headers.
FORM_BYTES = 64 * 1024
# At most this many at once: an upload that takes long to check leaves other processors alone.
_WORKERS = 2
MOST_A_USER = 2
# Between bytes of an upload: even a phone in a tunnel sends something within a minute.
LONGEST_SILENCE_S = 60.0
# The longest name of a zone has 32 characters.
_LONGEST_FIELD = 100


@dataclass(frozen=True, slots=True)
class Sent:
    """What a request says of its file: its name, and where the player was of a log that does not say it."""

    name: str
    time_zone: str | None = None


Receive = Callable[[Request, Incoming], Awaitable[Sent]]
T = TypeVar("T")


class UploadWorkers:
    """Where the uploads of one process are looked into: by two threads, and for each user by one of them at a time.

    Unpacking and hashing leave Python's lock to the others; and no connection to the database is held meanwhile.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="uploads")
        self._open: Counter[int] = Counter()
        self._turns: dict[int, asyncio.Lock] = {}

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def held(self, user_id: int) -> Iterator[None]:
        """A place for one upload. Raises Problem 429."""
        # Nothing may be awaited between the question and the count: many requests ask at once.
        if self._open[user_id] >= MOST_A_USER:
            raise Problem(
                429,
                "too-many-uploads",
                f"{MOST_A_USER} of your uploads are under way; wait for one to end.",
                headers={"Retry-After": "10", "Connection": "close"},
            )
        self._open[user_id] += 1
        self._turns.setdefault(user_id, asyncio.Lock())
        try:
            yield
        finally:
            self._open[user_id] -= 1
            if self._open[user_id] <= 0:
                del self._open[user_id], self._turns[user_id]

    async def work(self, user_id: int, work: Callable[[], T]) -> T:
        """Do it in one of the threads, when it is this user's turn. Only while a place is held."""
        async with self._turns[user_id]:
            return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)


async def receive_upload(request: Request, site: Site, visitor: Visitor, receive: Receive) -> TakenUpload:
    """Store an upload: `receive` writes its bytes to the file and returns its name and zone.

    Raises Problem and BadInput.
    """
    user_id, user_key = visitor.user_id, visitor.user_key
    with site.uploads.held(user_id):
        try:
            place = incoming(site.settings, user_key=user_key, most_bytes=_most_bytes(request))
            # In a thread: a disk takes its time, an object store more.
            async with contextmanager_in_threadpool(place) as upload:
                sent = await receive(request, upload)
                if upload.size == 0:
                    raise Problem(422, "invalid-request", "The request contains no file: send the archive as it is.")
                judge = partial(
                    judge_upload,
                    upload,
                    settings=site.settings,
                    name=sent.name,
                    time_zone=sent.time_zone or visitor.time_zone,
                )
                judged = await site.uploads.work(user_id, judge)
                known = await site.pools.in_thread(find_import_of, judged=judged, user_id=user_id)
                if known is not None:
                    return known
                placed = await site.uploads.work(user_id, partial(place_upload, judged, user_key=user_key))
                return await site.pools.in_thread(take_upload, judged=judged, placed=placed, user_id=user_id)
        except OverQuota as error:
            raise Problem(413, "over-quota", str(error), headers={"Connection": "close"}) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise no_room() from error
            raise


def _most_bytes(request: Request) -> int:
    """What the request says that it will send; a form adds some hundred bytes to its file."""
    declared = request.headers.get("content-length", "0")
    return int(declared) if declared.isdigit() else 0


async def whole_body(request: Request, upload: Incoming, *, name: str, time_zone: str | None) -> Sent:
    """The body is the file."""
    async for piece in _pieces(_chunks(request)):
        await run_in_threadpool(upload.write, piece)
    return Sent(name, time_zone)


async def form_file(request: Request, upload: Incoming, *, field: str) -> Sent:
    """The body is a browser's form, with one file in `field`, and perhaps a field `time_zone`."""
    form = _form_of(request, field)
    async for piece in _pieces(form.contents(_chunks(request))):
        await run_in_threadpool(upload.write, piece)
    if not form.is_whole:
        raise _no_form()
    return Sent(form.file_name, form.time_zone)


async def small_file(request: Request, *, field: str) -> tuple[str, bytes]:
    """The name and content of the one file in a browser's form, whose body is small enough for the memory."""
    form, content = _form_of(request, field), bytearray()
    async for chunk in form.contents(_chunks(request)):
        content += chunk
    if not form.is_whole:
        raise _no_form()
    return form.file_name, bytes(content)


def _form_of(request: Request, field: str) -> _Form:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise _no_form()
    try:
        return _Form(options[b"boundary"], field.encode())
    except FormParserError:
        raise _no_form() from None


class _Form:
    """The parts of a form as they come by: the bytes of one file pass, a zone is kept, everything else is dropped."""

    def __init__(self, boundary: bytes, field: bytes) -> None:
        self.file_name = "archive"
        self.is_whole = False
        self._field = field
        self._passed = bytearray()
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._is_file = self._was_file = self._is_zone = False
        self._zone = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    @property
    def time_zone(self) -> str | None:
        """What the form says in its field of that name; None if that is nothing."""
        return self._zone.decode("utf-8", "replace").strip() or None

    async def contents(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The file's bytes. Raises Problem when this is no form."""
        async for chunk in chunks:
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise _no_form() from None
            yield bytes(self._passed)
            self._passed.clear()

    def _begin(self) -> None:
        self._disposition = b""

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._is_zone = options.get(b"name") == b"time_zone"
        self._is_file = options.get(b"name") == self._field and b"filename" in options
        if self._is_file and self._was_file:
            raise Problem(422, "invalid-request", "Hand in one file at a time.")
        if self._is_file:
            self._was_file = True
            self.file_name = options[b"filename"].decode("utf-8", "replace") or self.file_name

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._passed += data[start:end]
        elif self._is_zone and len(self._zone) < _LONGEST_FIELD:
            self._zone += data[start : min(end, start + _LONGEST_FIELD)]

    def _end(self) -> None:
        self.is_whole = True


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(LONGEST_SILENCE_S):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Problem(
                408, "too-slow", "The upload stalled; send it again.", headers={"Connection": "close"}
            ) from None
        except ClientDisconnect:
            raise Problem(400, "broke-off", "The upload was interrupted.") from None
        yield chunk


async def _pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """In larger pieces: each is written by a thread, because writing waits for a disk."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _no_form() -> Problem:
    return Problem(422, "invalid-request", "This is not this site's upload form, or not all of it.")
