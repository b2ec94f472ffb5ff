"""The address on this machine to which Spotify redirects the browser.

It listens only on the loopback address and only while a sign-in is waiting; no request is logged; a request that is not
the answer changes nothing.
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
    """Listens; `wait` returns the redirected address once it arrives."""

    def __init__(self, found: queue.SimpleQueue[str]) -> None:
        self._found = found

    def wait(self, timeout_s: float) -> str:
        """Raises Transient if no answer arrives in time."""
        try:
            return self._found.get(timeout=timeout_s)
        except queue.Empty:
            raise Transient(f"nobody signed in within {timeout_s / 60:.0f} minutes; nothing was changed") from None


@contextmanager
def listening(
    redirect_uri: str,
    *,
    is_answer: Callable[[str], bool],
    service: str = "Spotify",
    setting: str = "MYI_SPOTIFY_REDIRECT_URI",
) -> Iterator[RedirectListener]:
    """Listens at `redirect_uri` for the duration of the context.

    `is_answer` tells whether an address is the awaited one. `setting` is the variable for choosing another port. Raises
    Permanent if the port is in use.
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
                self._answer(HTTPStatus.OK, f"MYI has {service}'s answer. You can close this page.")
                found.put(self.path)
            else:
                self._answer(HTTPStatus.BAD_REQUEST, "This is not the answer to the sign-in that MYI is waiting for.")

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
            """The address contains the code, so it is not logged."""

    server_type = _Server6 if parts.hostname == "::1" else _Server
    try:
        server = server_type((parts.hostname or "", parts.port or 0), Handler)
    except OSError as error:
        raise Permanent(
            f"port {parts.port} of {redirect_uri} cannot be used ({error.strerror}): end what uses it, sign in with"
            f" --no-browser, or set {setting} to another port (and register that)"
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
    # No other program may listen on the same port.
    allow_reuse_port = False

    def handle_error(self, *_: object) -> None:
        """A browser that hangs up is not an error."""


class _Server6(_Server):
    address_family = socket.AF_INET6
