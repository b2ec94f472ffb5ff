"""What a connection may cost, over real sockets: heads, bodies and readers have limits, and nobody is kept out."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from myi_pipeline.web.connection_limits import ConnectionLimits
from myi_pipeline.web.lingering_close import LingerLimits
from tests.conftest import free_port
from tests.integration.api.conftest import serving

GET = b"GET / HTTP/1.1\r\nhost: a\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
# Short, so that a test waits a moment only; all is in proportion to what is served with.
QUICK = ConnectionLimits(
    head_s=0.4, window_s=0.4, head_bytes=4_096, body_bytes=1_000, linger=LingerLimits(seconds=0.8, quiet_s=0.4)
)


async def _answer(request: Request) -> Response:
    body = await request.body()
    names = " ".join(sorted(request.headers))
    return PlainTextResponse(f"{len(body)} bytes, {names}")


async def _large(_: Request) -> Response:
    return Response(b"x" * 50_000_000)


async def _refuse(request: Request) -> Response:
    """As whatever judges a request by its head does; or after a first piece of the body."""
    if request.query_params:
        async for _ in request.stream():
            break
    return PlainTextResponse("not now", status_code=429)


APP = Starlette(
    routes=[
        Route("/", _answer, methods=["GET", "POST"]),
        Route("/large", _large),
        Route("/refused", _refuse, methods=["POST"]),
    ]
)


@contextmanager
def served(limits: ConnectionLimits = QUICK) -> Iterator[int]:
    port = free_port()
    with serving(APP, port, limits=limits):
        yield port


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as port:
        yield port


def connect(port: int, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(address, 0))


def rest_of_one(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65_536)
    except ConnectionError:
        return b""


def rest(connection: socket.socket) -> bytes:
    """All that still comes, until the other side closes; what is lost with the connection is nothing."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def say(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    with connect(port) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
        except ConnectionError:
            pass
        return rest(connection)


def is_served(port: int, address: str = "127.0.0.1") -> bool:
    with connect(port, address) as connection:
        connection.sendall(GET + b"connection: close\r\n\r\n")
        return b" 200 OK" in rest(connection)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ((GET, b"x: " + b"a" * 5_000), b"431"),  # a value that does not end
        ((GET, *(b"x%d: y\r\n" % n for n in range(1_000))), b"431"),  # many that do
        ((GET + b"x: " + b"a" * 5_000 + b"\r\n\r\n",), b"431"),  # whole, in one piece
        ((b"GET /" + b"a" * 5_000,), b"4"),
        ((b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",), b"414"),
        ((b"\r\n" * 5_000,), b"431"),
        # Behind a body: fields that nobody waits for, whole and without an end.
        ((POST + b"transfer-encoding: chunked\r\n\r\n0\r\n", *(b"x%d: y\r\n" % n for n in range(1_000))), b"4"),
        ((POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx: ", b"a" * 5_000), b"4"),
    ],
    ids=["value", "many", "at_once", "path", "whole_path", "blank", "trailers", "trailer"],
)
def test_a_head_that_is_too_long_is_refused_as_soon_as_it_is(port: int, sent: tuple[bytes, ...], status: bytes) -> None:
    assert say(port, *sent).startswith(b"HTTP/1.1 " + status)
    assert is_served(port)


def test_a_trailer_changes_nothing_that_was_judged(port: int) -> None:
    said = say(port, POST + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nevil: y\r\n\r\n")
    assert b"1 bytes" in said
    assert b"evil" not in said


@pytest.mark.parametrize(
    "hosts", [b"host: a\r\nhost: b\r\n", b"host: a\r\nhost: a\r\n", b"Host: a\r\nHOST: b\r\n", b""]
)
def test_a_request_under_two_names_or_none_is_refused(port: int, hosts: bytes) -> None:
    assert say(port, b"GET / HTTP/1.1\r\n" + hosts + b"\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_host_in_the_target_is_the_one_of_the_header(port: int) -> None:
    def status(target: bytes, host: bytes) -> bytes:
        return say(port, b"GET " + target + b" HTTP/1.1\r\nconnection: close\r\nhost: " + host + b"\r\n\r\n")[9:12]

    assert status(b"http://A:80/?y", b"a:80") == status(b"http://a/", b"A") == b"200"
    for target in (b"http://b/", b"http://b?x", b"HTTPS://b", b"http://a:81/", b"http://a@b/", b"http://b\\a/"):
        assert status(target, b"a") == b"400", target


def test_whoever_says_nothing_or_says_it_slowly_loses_the_connection(port: int) -> None:
    """A head a byte at a time; a head after a served request; a body that drips; nothing at all."""
    served_before = GET + b"\r\n"
    with ExitStack() as stack:
        silent, slow, again, body, upload = (stack.enter_context(connect(port)) for _ in range(5))
        slow.sendall(GET)
        again.sendall(served_before)
        assert b" 200 OK" in again.recv(65_536)
        again.sendall(b"GET")
        body.sendall(POST + b"content-length: 100\r\n\r\n")
        upload.sendall(POST + b"content-length: 100000\r\n\r\n" + b"a" * 500)
        for connection in (slow, again, body):
            with pytest.raises(ConnectionError):  # noqa: PT012 - one of them, at some time
                for _ in range(60):
                    connection.sendall(b"a")
                    time.sleep(0.1)
        assert rest(silent) == b""
        assert rest(upload).startswith(b"HTTP/1.1 408 ")
    assert is_served(port)


def test_a_body_that_comes_steadily_may_take_its_time(port: int) -> None:
    # Three times what is asked for in a window, so that a busy machine does not make it a slow one.
    pieces = [POST + b"connection: close\r\ncontent-length: 9000\r\n\r\n", *[b"a" * 900] * 10]
    assert b"9000 bytes" in say(port, *pieces, pause_s=0.12)


def test_whoever_takes_no_answer_loses_the_connection(port: int) -> None:
    with connect(port) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        time.sleep(1.5)
        assert len(rest(connection)) < 50_000_000


def test_idle_connections_keep_nobody_out() -> None:
    """More than are taken, from one address and from many; requests that are under way stay."""
    limits = ConnectionLimits(per_address=20, total=60)
    with served(limits) as port, ExitStack() as stack:
        busy = stack.enter_context(connect(port, "127.0.0.9"))
        busy.sendall(POST + b"content-length: 2\r\n\r\na")
        idle = []
        for number in range(200):
            connection = connect(port, f"127.0.0.{number % 8 + 1}")
            idle.append(stack.enter_context(connection))
        assert is_served(port)
        assert is_served(port, "127.0.0.77")
        busy.sendall(b"b")
        assert b"2 bytes" in busy.recv(65_536)


def test_a_visitor_who_has_just_come_is_not_closed_for_a_crowd_that_keeps_coming() -> None:
    """Whoever had many connections that were served once, and opened idle ones from many addresses, closed the new
    connections of everybody who takes a tenth of a second to send the first request: those were the first to go."""
    with served(ConnectionLimits(per_address=20, total=60)) as port, ExitStack() as stack:
        for number in range(60):
            crowd = stack.enter_context(connect(port, f"127.0.1.{number % 4 + 1}"))
            crowd.sendall(GET + b"\r\n")
            crowd.recv(65_536)
        visitor = stack.enter_context(connect(port))
        for number in range(120):
            stack.enter_context(connect(port, f"127.0.2.{number % 30 + 1}"))
        visitor.sendall(GET + b"\r\n")
        assert rest_of_one(visitor).startswith(b"HTTP/1.1 200 ")


def test_one_address_may_not_take_all_the_places_with_requests_that_are_under_way() -> None:
    limits = ConnectionLimits(per_address=5, total=60)
    with served(limits) as port, ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(connect(port)).sendall(POST + b"content-length: 2\r\n\r\na")
        time.sleep(0.2)
        with connect(port) as one_more:
            assert rest(one_more).startswith(b"HTTP/1.1 429 ")
        assert is_served(port, "127.0.0.2")


def test_a_trusted_proxy_has_no_limit_of_its_own() -> None:
    limits = ConnectionLimits(per_address=2, uncapped=(ip_network("127.0.0.3"),))
    with served(limits) as port, ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(connect(port, "127.0.0.3")).sendall(POST + b"content-length: 2\r\n\r\na")
        assert is_served(port, "127.0.0.3")


UPLOAD = b"POST /refused%b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"


@pytest.mark.parametrize("after", [b"", b"?first=piece"], ids=["head", "piece"])
def test_whoever_sends_a_large_body_gets_the_refusal_and_no_reset(after: bytes) -> None:
    """The connection was closed while bytes were still coming: a reset took the answer away, most times."""
    piece = b"a" * 1_000_000
    with served(ConnectionLimits()) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(20):
            with connect(port) as connection:
                connection.sendall(UPLOAD % (after, 20 * len(piece)))
                for _ in range(20):
                    connection.sendall(piece)
                said = rest(connection)
            assert said.startswith(b"HTTP/1.1 429 ")
            assert b"connection: close\r\n" in said
            assert said.endswith(b"not now")
        for _ in range(20):
            url = "/refused" + after.decode()
            assert client.post(url, content=piece * 20).status_code == 429
            # Without a length.
            assert client.post(url, content=(piece for _ in range(20))).status_code == 429
        # A body that was read whole ends no connection.
        assert client.post("/", content=piece).headers.get("connection") is None


def test_a_refusal_of_the_connection_arrives_as_well() -> None:
    with served(ConnectionLimits(per_address=1)) as port, connect(port) as busy:
        busy.sendall(POST + b"content-length: 2\r\n\r\na")
        for _ in range(20):
            with connect(port) as one_more:
                one_more.sendall(UPLOAD % (b"", 20_000_000))
                for _ in range(20):
                    one_more.sendall(b"a" * 1_000_000)
                assert rest(one_more).startswith(b"HTTP/1.1 429 ")


@pytest.mark.parametrize(
    "linger",
    [LingerLimits(seconds=0.5), LingerLimits(bytes=3_000_000), LingerLimits(connections=0)],
    ids=["seconds", "bytes", "connections"],
)
def test_whoever_goes_on_sending_after_the_refusal_is_cut_off(linger: LingerLimits) -> None:
    with served(ConnectionLimits(linger=linger)) as port, connect(port) as connection:
        connection.sendall(UPLOAD % (b"", 10**12))
        began, sent = time.monotonic(), 0
        with pytest.raises(ConnectionError):  # noqa: PT012 - one of them, at some time
            while time.monotonic() - began < 20:
                sent += connection.send(b"a" * 100_000)
        assert time.monotonic() - began < 5
        assert is_served(port)


def test_whoever_says_nothing_after_the_refusal_is_cut_off_sooner() -> None:
    linger = LingerLimits(seconds=60, quiet_s=0.3)
    with served(ConnectionLimits(linger=linger)) as port, connect(port) as connection:
        connection.sendall(UPLOAD % (b"", 10**6))
        assert rest(connection).startswith(b"HTTP/1.1 429 ")
        time.sleep(0.6)
        with pytest.raises(ConnectionError):  # noqa: PT012 - the first byte may still be taken
            for _ in range(10):
                connection.sendall(b"a")
                time.sleep(0.05)


def test_the_server_ends_at_once_although_somebody_still_sends() -> None:
    with ExitStack() as stack:
        with served(ConnectionLimits()) as port:
            connection = stack.enter_context(connect(port))
            connection.sendall(UPLOAD % (b"", 10**6))
            assert rest(connection).startswith(b"HTTP/1.1 429 ")
            began = time.monotonic()
        assert time.monotonic() - began < 3
