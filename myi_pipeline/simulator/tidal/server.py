"""The simulated TIDAL on a loopback port, in a thread of this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from myi_pipeline.simulator.live.failing import Broken
from myi_pipeline.simulator.live.server import listening_on, served_in_a_thread, url_of
from myi_pipeline.simulator.services.accounts import ServiceFault
from myi_pipeline.simulator.services.oauth import Grant, OAuthServer, agree
from myi_pipeline.simulator.tidal import reads, writes
from myi_pipeline.simulator.tidal.documents import MEDIA_TYPE, ApiError, answer
from myi_pipeline.simulator.tidal.world import TidalAccount, TidalWorld, Write

SCOPES = frozenset(
    {
        "user.read", "playlists.read", "playlists.write", "collection.read", "collection.write", "search.read",
        "search.write", "playback", "recommendations.read", "entitlements.read",
    }
)  # fmt: skip

_Work = Callable[[Grant, Any], tuple[int, dict[str, Any]]]


@dataclass(frozen=True)
class SimulatedTidal:
    """The service while it runs. No address ends in a slash."""

    url: str
    world: TidalWorld = field(repr=False)
    sign_in: OAuthServer = field(repr=False)

    @property
    def api_url(self) -> str:
        return f"{self.url}/v2"

    @property
    def login_url(self) -> str:
        return self.url

    @property
    def auth_url(self) -> str:
        return self.url

    def visit(self, authorize_url: str, account: TidalAccount, **decision: Any) -> str:
        """Opens the address as this account; returns where it is redirected to. See `oauth.agree`."""
        return agree(authorize_url, account.username, **decision)


class _App:
    """Handles every request: first faults, limits and tokens, then the work."""

    def __init__(self, world: TidalWorld, sign_in: OAuthServer) -> None:
        self.world = world
        self.sign_in = sign_in
        self.idempotency = writes.Idempotency(world)

    async def read(self, request: Request, work: Callable[[Grant], dict[str, Any]]) -> Response:
        fault = self.world.note("GET", _path(request))
        if fault is not None:
            return _failed(fault)
        try:
            return answer(work(self._admit(request)))
        except ApiError as error:
            return error.response()

    async def write(self, request: Request, work: _Work) -> Response:
        """A fault that `is_lost` takes effect after the write was carried out and its answer stored."""
        fault = self.world.note(request.method, _path(request))
        body = await request.body()
        if fault is not None and not fault.is_lost:
            self._record(request, body, 0 if fault.is_reset else fault.status)
            return _failed(fault)
        made = await self._written(request, body, work)
        return Broken() if fault is not None else made

    async def _written(self, request: Request, body: bytes, work: _Work) -> Response:
        key = request.headers.get("idempotency-key")
        account = begun = None
        try:
            grant = self._admit(request)
            if body and request.headers.get("content-type", "").partition(";")[0] != MEDIA_TYPE:
                raise ApiError(415, "Unsupported media type")
            if key is not None:
                account = grant.account or ""
                kept = self.idempotency.begin(account, key, f"{request.method} {request.url.path}\n".encode() + body)
                if kept is not None:
                    self._record(request, body, kept.status or 0, is_replay=True)
                    return Response(kept.body, kept.status or 200, media_type=MEDIA_TYPE)
                begun = key
            if self.world.delay_s:
                await asyncio.sleep(self.world.delay_s)
            status, document = work(grant, writes.read_body(body))
            made = json.dumps(document).encode()
        except ApiError as error:
            if begun is not None and account is not None:
                self.idempotency.drop(account, begun)
            self._record(request, body, error.status)
            return error.response()
        if begun is not None and account is not None:
            self.idempotency.complete(account, begun, status, made)
        self._record(request, body, status, was_done=True)
        return Response(made, status, media_type=MEDIA_TYPE)

    def _record(
        self, request: Request, body: bytes, status: int, *, was_done: bool = False, is_replay: bool = False
    ) -> None:
        self.world.writes.append(
            Write(
                method=request.method,
                path=_path(request),
                key=request.headers.get("idempotency-key"),
                body=body,
                status=status,
                was_done=was_done,
                is_replay=is_replay,
            )
        )

    def _admit(self, request: Request) -> Grant:
        if self.world.is_too_often():
            headers = {"Retry_After": "30"} if self.world.tells_retry_after else {}
            raise ApiError(429, "Too many requests", None, **headers)
        grant = self.sign_in.holder(request.headers.get("authorization", ""))
        if grant is None:
            raise ApiError(401, "Missing or invalid authorization token")
        return grant


def _failed(fault: ServiceFault) -> Response:
    if fault.is_reset or fault.is_lost:
        return Broken()
    if fault.body is None:
        page = "<!doctype html><title>TIDAL</title><h1>Sorry</h1>"
        return Response(page, fault.status, dict(fault.headers), "text/html")
    return Response(fault.body, fault.status, dict(fault.headers), MEDIA_TYPE)


def _path(request: Request) -> str:
    return request.url.path.removeprefix("/v2")


def _routes(world: TidalWorld, sign_in: OAuthServer) -> list[Route]:
    app = _App(world, sign_in)

    async def users(request: Request) -> Response:
        return await app.read(request, lambda grant: reads.me(world, grant, request.path_params["named"]))

    async def playlists(request: Request) -> Response:
        if request.method == "POST":
            return await app.write(request, lambda grant, sent: writes.create(world, grant, sent))
        return await app.read(request, lambda grant: reads.playlists(world, grant, request.query_params))

    async def playlist(request: Request) -> Response:
        named = request.path_params["named"]
        if request.method == "PATCH":
            return await app.write(request, lambda grant, sent: writes.change(world, grant, named, sent))
        if request.method == "DELETE":
            return await app.write(request, lambda grant, _: writes.delete(world, grant, named))
        return await app.read(request, lambda grant: reads.one_playlist(world, grant, named, request.query_params))

    async def items(request: Request) -> Response:
        named = request.path_params["named"]
        work = {"POST": writes.add, "PATCH": writes.move, "DELETE": writes.remove}.get(request.method)
        if work is not None:
            return await app.write(request, lambda grant, sent: work(world, grant, named, sent))
        return await app.read(request, lambda grant: reads.items(world, grant, named, request.query_params))

    async def liked(request: Request) -> Response:
        work = {"POST": writes.like, "DELETE": writes.unlike}.get(request.method)
        if work is not None:
            return await app.write(request, lambda grant, sent: work(world, grant, sent))
        return await app.read(request, lambda grant: reads.liked(world, grant, request.query_params))

    async def collection(request: Request) -> Response:
        return await app.read(request, lambda grant: reads.collection(world, grant))

    async def tracks(request: Request) -> Response:
        return await app.read(request, lambda _: reads.tracks(world, request.query_params))

    async def search(request: Request) -> Response:
        return await app.read(request, lambda grant: reads.search(world, grant, request.query_params))

    return [
        Route("/v2/users/{named}", users),
        Route("/v2/playlists", playlists, methods=["GET", "POST"]),
        Route("/v2/playlists/{named}", playlist, methods=["GET", "PATCH", "DELETE"]),
        Route("/v2/playlists/{named}/relationships/items", items, methods=["GET", "POST", "PATCH", "DELETE"]),
        Route("/v2/userCollectionTracks/me", collection),
        Route("/v2/userCollectionTracks/me/relationships/items", liked, methods=["GET", "POST", "DELETE"]),
        Route("/v2/tracks", tracks),
        Route("/v2/searchResults", search),
        *sign_in.routes(authorize="/authorize", token="/v1/oauth2/token", revoke="/v1/oauth2/revoke"),
    ]


@contextmanager
def running_tidal(
    *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), port: int = 0
) -> Iterator[SimulatedTidal]:
    """Runs the service for the duration of the block. Raises SimulatorFailed."""
    world = TidalWorld(clock)
    sign_in = OAuthServer(clock, accounts=lambda: list(world.accounts), scopes=SCOPES)
    app = Starlette(routes=_routes(world, sign_in))
    with listening_on(port) as listening, served_in_a_thread(app, listening):
        yield SimulatedTidal(url_of(listening), world, sign_in)
