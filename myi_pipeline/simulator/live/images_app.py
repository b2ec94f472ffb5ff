"""The picture host under /image: a small PNG for every name of a made-up album's or artist's picture.

Equal names give equal bytes, different names different ones. Requests with credentials (a token, a cookie) are refused
with 400, so that no program comes to rely on sending them.
"""

from __future__ import annotations

import re
import struct
import zlib
from functools import lru_cache
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live import failing
from myi_pipeline.simulator.live.state import SimulatorState

ROUTE = "/image/{name}"
# As in `documents`: a kind, the size in four digits, and an identifier.
_NAME = re.compile(r"ab67616d0000(\d{4})[0-9a-f]{24}\Z", re.ASCII)
_SIZES = (640, 300, 64)
# A picture is a mirrored grid of five by five cells in three colours.
_CELLS = 5
_PERSONAL = ("authorization", "cookie")


def routes(state: SimulatorState) -> list[Route]:
    """The route of the picture host."""

    async def image(request: Request) -> Response:
        fault = state.faults.strike(path=request.url.path, listener=None, client_id=None)
        answer = failing.instead(fault) if fault else None
        if answer is None:
            answer = _answer(request)
            if fault:
                answer = failing.spoil(fault, answer)
        status = 0 if failing.is_broken(answer) else answer.status_code
        state.count(client_id="", listener="", route=ROUTE, status=status)
        return answer

    return [Route(ROUTE, image, methods=["GET"])]


def _answer(request: Request) -> Response:
    if any(name in request.headers for name in _PERSONAL):
        return Response("The host of pictures takes no credentials.", 400, media_type="text/plain")
    name = request.path_params["name"]
    found = _NAME.match(name)
    if found is None or int(found[1]) not in _SIZES:
        return Response(status_code=404)
    return Response(draw(name, int(found[1])), media_type="image/png")


@lru_cache(maxsize=1_000)
def draw(name: str, size: int) -> bytes:
    """A PNG of size by size pixels with a palette."""
    seed = sha256(name.encode()).digest()
    palette = seed[:9]
    columns = [each * _CELLS // size for each in range(size)]
    # Each line begins with its filter type: 0, none.
    lines = [
        b"\0" + bytes(seed[9 + row * 3 + min(column, _CELLS - 1 - column)] % 3 for column in columns)
        for row in range(_CELLS)
    ]
    pixels = b"".join(lines[each * _CELLS // size] for each in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 3, 0, 0, 0)
    # Includes the name, so that pictures differ in their bytes even if they look the same.
    said = b"Title\0" + name.encode()
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"tEXt", said), (b"IDAT", zlib.compress(pixels)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
