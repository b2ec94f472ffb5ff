"""The address on this machine to which Spotify sends the browser back.

It listens on the loopback address alone and only while a sign-in waits; nothing it is asked is logged; a request that
is not the answer changes nothing.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from myi_pipeline.errors import BadInput, Permanent, Transient

_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>MYI</title>'
    '<body style="font-family:sans-serif;margin:4em"><p>{text}</p></body></html>'
)


def is_loopback(redirect_uri: str) -> bool:
    """Whether this machine itself can listen at the address."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1") and parts.port is not None


class RedirectListener:
    """Listens; `wait` gives the redirected address once it came."""

    def __init__(self, found: queue.SimpleQueue[str]) -> None:
        self._found = found

    def wait(self, timeout_s: float) -> str:
        """Raises Transient when no answer came in time."""
        try:
            return self._found.get(timeout=timeout_s)
        except queue.Empty:
            raise Transient(f"no one signed in within {timeout_s / 60:.0f} minutes; nothing was changed") from None


@contextmanager
def listening(redirect_uri: str, *, is_answer: Callable[[str], bool]) -> Iterator[RedirectListener]:
    """Listen at `redirect_uri` while the context lasts. `is_answer` says whether an address is what is waited for.

    Raises Permanent when the port is taken.
    """
    if not is_loopback(redirect_uri):
        raise BadInput(f"this machine cannot listen at {redirect_uri}", rule="http://127.0.0.1:PORT/...")
    parts = urlsplit(redirect_uri)
    found: queue.SimpleQueue[str] = queue.SimpleQueue()
    path = parts.path or "/"

    class Handler(BaseHTTPRequestHandler):
        timeout = 10
        server_version, sys_version = "myi", ""

        def do_GET(self) -> None:
            if urlsplit(self.path).path != path:
                self._answer(HTTPStatus.NOT_FOUND, "There is nothing here.")
            elif is_answer(self.path):
                self._answer(HTTPStatus.OK, "MYI has Spotify's answer. You can close this page.")
                found.put(self.path)
            else:
                self._answer(HTTPStatus.BAD_REQUEST, "This is not the answer to the sign-in that MYI waits for.")

        def _answer(self, status: HTTPStatus, text: str) -> None:
            page = _PAGE.format(text=text).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """The address holds the code."""

    server_type = _Server6 if parts.hostname == "::1" else _Server
    try:
        server = server_type((parts.hostname or "", parts.port or 0), Handler)
    except OSError as error:
        raise Permanent(
            f"port {parts.port} of {redirect_uri} cannot be used ({error.strerror}): end what uses it, sign in with"
            " --no-browser, or set MYI_SPOTIFY_REDIRECT_URI to another port (and register that)"
        ) from None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield RedirectListener(found)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Another program may not listen on the same port beside this one.
    allow_reuse_port = False

    def handle_error(self, *_: object) -> None:
        """A browser that hangs up is no event."""


class _Server6(_Server):
    address_family = socket.AF_INET6
