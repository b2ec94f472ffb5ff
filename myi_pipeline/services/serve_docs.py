"""The description of the marts over HTTP. Run as `python -m myi_pipeline.services.serve_docs PAGE PORT`.

Belongs here: one file on loopback, read anew for each request. Not here: making it (build_docs). Invariant: nothing but
that file is served, and only under the names of this machine, so that no foreign page reads it through a name of its
own.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LOOPBACK = "127.0.0.1"
_NOT_BUILT = b"The description of the marts is not built yet: run `myi docs build`.\n"


def docs_server(page: Path, port: int) -> ThreadingHTTPServer:
    """A server that listens already. Raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "myi", ""
        # A browser that opens a connection and says nothing holds a thread.
        timeout = 30

        def do_GET(self) -> None:
            name = self.headers.get("Host", "").rpartition(":")[0]
            if name not in (LOOPBACK, "localhost") or self.path.partition("?")[0] not in ("/", "/index.html"):
                self._answer(404, b"There is one page here: /\n", "text/plain")
                return
            try:
                self._answer(200, page.read_bytes(), "text/html")
            except OSError:
                self._answer(404, _NOT_BUILT, "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("X-Frame-Options", "DENY")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-cache")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Who reads it is nobody's business."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


if __name__ == "__main__":
    docs_server(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
