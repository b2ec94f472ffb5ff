"""Failures of requests: wrong bodies, slow bytes, broken connections.

A reset is a real one: the socket is closed without lingering, so the client gets ECONNRESET instead of an orderly end.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from myi_pipeline.simulator.live.documents import dump
from myi_pipeline.simulator.live.faults import Fault

TRANSPORT = "myi.transport"

_PAGE = b"<!doctype html><html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>"
_DRAWING = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
_USUAL_WORDS = {
    400: "Bad request",
    401: "Invalid access token",
    403: "Forbidden",
    404: "Resource not found",
    429: "API rate limit exceeded",
    500: "Server error",
    502: "Bad gateway.",
    503: "Service unavailable",
    504: "Gateway timeout",
}


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which also passes the transport to the application."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


def error(status: int, message: str, *, headers: dict[str, str] | None = None, reason: str | None = None) -> Response:
    """An error in the Web API's format."""
    body: dict[str, Any] = {"status": status, "message": message}
    if reason:
        body["reason"] = reason
    return Response(dump({"error": body}), status, headers, "application/json; charset=utf-8")


class Broken(Response):
    """The connection is reset before a byte is sent."""

    def __init__(self, pause_s: float = 0.0) -> None:
        super().__init__(status_code=500)
        self.pause_s = pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.pause_s:
            await asyncio.sleep(self.pause_s)
        transport = scope["extensions"][TRANSPORT]["transport"]
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await _until_gone(receive)


class TrickledHead(Response):
    """Endless headers, a byte at a time: each read succeeds, but the response never completes."""

    def __init__(self, pause_s: float) -> None:
        super().__init__(status_code=200)
        self.pause_s = pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = scope["extensions"][TRANSPORT]["transport"]
        for byte in b"HTTP/1.1 200 OK\r\nx-padding: " + b"x" * 2_000:
            if transport.is_closing():
                break
            transport.write(bytes((byte,)))
            await asyncio.sleep(self.pause_s)
        transport.close()
        await _until_gone(receive)


class Trickle(Response):
    """A body in pieces; with `stop_at`, the connection closes after this many bytes, before the body is complete."""

    def __init__(self, whole: Response, *, chunk: int, pause_s: float, stop_at: int | None = None) -> None:
        super().__init__(whole.body, whole.status_code, media_type=whole.media_type)
        self.raw_headers = whole.raw_headers
        self.chunk = chunk
        self.pause_s = pause_s
        self.stop_at = stop_at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = bytes(self.body)[: self.stop_at]
        for start in range(0, len(body), self.chunk):
            piece = body[start : start + self.chunk]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(self.pause_s)
        if self.stop_at is not None:
            scope["extensions"][TRANSPORT]["transport"].close()
            await _until_gone(receive)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def is_broken(answer: Response) -> bool:
    """Whether the client gets no complete answer."""
    return isinstance(answer, (Broken, TrickledHead)) or (isinstance(answer, Trickle) and answer.stop_at is not None)


async def _until_gone(receive: Receive) -> None:
    # uvicorn logs an error if the application returns before the disconnect.
    while (await receive())["type"] != "http.disconnect":
        pass


def instead(fault: Fault) -> Response | None:
    """What is sent instead of carrying out the request; None for faults that need the true answer."""
    if fault.kind == "status":
        headers = {"retry-after": str(fault.retry_after)} if fault.retry_after is not None else {}
        message = fault.message or _USUAL_WORDS.get(fault.status, "Error")
        if fault.path.startswith("/api/"):
            names = {400: "invalid_grant", 401: "invalid_client"}
            code = fault.code or names.get(fault.status, "server_error")
            body = {"error": code, "error_description": message}
            return Response(dump(body), fault.status, headers, "application/json")
        return error(fault.status, message, headers=headers)
    if fault.kind == "html":
        return Response(_PAGE, media_type="text/html; charset=utf-8")
    if fault.kind == "svg":
        return Response(_DRAWING, media_type="image/svg+xml")
    if fault.kind == "disguised":
        return Response(_PAGE, media_type="image/jpeg")
    if fault.kind == "huge":
        return Response(b"\xff\xd8\xff" + bytes(2_000_000) + b"\xff\xd9", media_type="image/jpeg")
    if fault.kind == "empty":
        return Response(b"", media_type="application/json; charset=utf-8")
    if fault.kind == "wrong_shape":
        return Response(dump({"items": "none", "message": fault.message}), media_type="application/json")
    if fault.kind == "document":
        return Response(dump(fault.document), media_type="application/json")
    if fault.kind == "slow_head":
        return TrickledHead(fault.pause_s)
    if fault.kind == "reset":
        return Broken()
    if fault.kind == "hang":
        return Broken(fault.pause_s)
    return None


def spoil(fault: Fault, whole: Response) -> Response:
    """The true answer, altered by a fault."""
    body = bytes(whole.body)
    if fault.kind == "lost":
        return Broken()
    if fault.kind == "slow":
        return Trickle(whole, chunk=fault.chunk, pause_s=fault.pause_s)
    if fault.kind == "cut":
        return Trickle(whole, chunk=1 << 16, pause_s=0.0, stop_at=len(body) // 2)
    if fault.kind == "truncated":
        return Response(body[: len(body) * 2 // 3], whole.status_code, media_type=whole.media_type)
    if fault.kind in _ITEMS:
        document = json.loads(body or b"{}")
        if isinstance(document, dict) and document.get("items"):
            document["items"] = _ITEMS[fault.kind](document["items"])
        return Response(dump(document), whole.status_code, media_type=whole.media_type)
    return whole


def _without_track(item: dict[str, Any]) -> dict[str, Any]:
    return {"track": None, "played_at": item.get("played_at")}


def _with_bad_item(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    middle = len(items) // 2
    return [_without_track(item) if place == middle else item for place, item in enumerate(items)]


def _with_other_types(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Optional fields with other types, as after three past changes of dialect."""
    for item in items:
        track, album = item["track"], item["track"].get("album") or {}
        track |= {"duration_ms": "n/a", "explicit": "unknown", "external_ids": {"isrc": None}, "disc_number": {}}
        track["artists"] = [None, *track.get("artists", [])]
        album |= {"total_tracks": "?", "release_date": 1989, "images": [{"url": None}]}
        track["album"] = album
        item["context"] = "spotify:playlist:37i9dQZF1DX0XUsuxWHRQd"
    return items


_ITEMS: Mapping[str, Callable[[list[dict[str, Any]]], list[Any]]] = {
    "bad_item": _with_bad_item,
    "bad_items": lambda items: [_without_track(item) for item in items],
    "no_items": lambda _: [],
    "filtered": lambda items: items[:43],
    "other_types": _with_other_types,
}
