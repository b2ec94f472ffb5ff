"""An archive on its way from a request's body to the uploads folder.

Belongs here: a body as it is, and a browser's upload form. Not here: judging what arrived (services/take_upload).
Invariant: an upload goes to disk in pieces and is never whole in memory, nor in a temporary folder.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from myi_pipeline.api.problems import Problem
from myi_pipeline.api.security.known_visitors import Visitor
from myi_pipeline.api.site import Site
from myi_pipeline.services.take_upload import Incoming, TakenUpload, incoming, take_upload

_PIECE_BYTES = 1024 * 1024
# What a form adds around a file: a boundary and a few headers.
FORM_BYTES = 64 * 1024
Receive = Callable[[Request, Incoming], Awaitable[str]]


async def receive_upload(request: Request, site: Site, visitor: Visitor, receive: Receive) -> TakenUpload:
    """Take what `receive` writes into the file, under the name that it returns. Raises Problem and BadInput."""
    try:
        with incoming(site.settings, user_key=visitor.user_key) as upload:
            name = await receive(request, upload)
            if upload.file.tell() == 0:
                raise Problem(422, "invalid-request", "There is no file in this: send the archive as it is.")
            take = partial(take_upload, upload=upload, settings=site.settings, name=name)
            return await site.pools.in_thread(take, user_id=visitor.user_id, user_key=visitor.user_key)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Problem(507, "no-room", "There is no room left for uploads on this machine.") from error
        raise


async def whole_body(request: Request, upload: Incoming, *, name: str) -> str:
    """The body is the file."""
    async for piece in _pieces(_chunks(request)):
        await run_in_threadpool(upload.file.write, piece)
    return name


async def form_file(request: Request, upload: Incoming, *, field: str) -> str:
    """The body is a browser's form, with one file in `field`; returns the name that it has there."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise _no_form()
    try:
        form = _Form(options[b"boundary"], field.encode())
    except FormParserError:
        raise _no_form() from None
    async for piece in _pieces(form.contents(_chunks(request))):
        await run_in_threadpool(upload.file.write, piece)
    if not form.is_whole:
        raise _no_form()
    return form.file_name


class _Form:
    """The parts of a form as they come by: the bytes of one file pass, everything else is dropped."""

    def __init__(self, boundary: bytes, field: bytes) -> None:
        self.file_name = "archive"
        self.is_whole = False
        self._field = field
        self._passed = bytearray()
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._is_file = self._was_file = False
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
        self._is_file = options.get(b"name") == self._field and b"filename" in options
        if self._is_file and self._was_file:
            raise Problem(422, "invalid-request", "Hand in one archive at a time.")
        if self._is_file:
            self._was_file = True
            self.file_name = options[b"filename"].decode("utf-8", "replace") or self.file_name

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._passed += data[start:end]

    def _end(self) -> None:
        self.is_whole = True


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise Problem(400, "broke-off", "The upload broke off.") from None


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
    return Problem(422, "invalid-request", "This is not the form of the page for imports, or not all of it.")
