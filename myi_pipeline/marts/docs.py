"""The description of the marts as one page: every model, its columns, its SQL, and what it is made of.

dbt makes the page; here it is closed to the world, so that it asks no address for anything, whatever the version of dbt
put into it. It is replaced as a whole or not at all.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from myi_pipeline.errors import Permanent
from myi_pipeline.marts.dbt_runner import DbtRunner

# Tests and hooks are listed without being compiled.
_COMMAND = ("docs", "generate", "--static", "--select", "resource_type:model", "resource_type:source")
# dbt's page draws with scripts and styles of its own, all within it; browsers refuse it everything else.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data:;"
    " font-src data:; base-uri 'none'; form-action 'none'"
)
_CHARSET = '<meta charset="utf-8">'
# dbt's page brings a tracker: a script from a content network, which reports to two more hosts. It sleeps while the
# project's send_anonymous_usage_stats is false; here it goes.
_FOREIGN = re.compile(
    r"(?:https?:)?//[a-z0-9.-]*(?:cloudfront\.net|getdbt\.com)(?:/[^\s\"'\\()<>]*)?|fishtownanalytics\.[a-z.-]+"
)
# A template that dbt forgot to fill in: browsers would ask for it.
_BROKEN_ICON = re.compile(r'<link rel="(?:shortcut icon|canonical)"[^>]*>')


def build_docs(dbt: DbtRunner, *, environment: Mapping[str, str], page: Path) -> None:
    """Write the page. Asks the database for columns and sizes, changes nothing in it. Raises Permanent, Transient.

    `environment` is dbt_environment's; dbt leaves its files in the target folder that it names.
    """
    # Models name the run that builds them; none is built here.
    result = dbt.invoke(_COMMAND, environment={**environment, "MYI_MART_RUN_ID": "0"})
    made = Path(environment["DBT_TARGET_PATH"]) / "static_index.html"
    if not result.success or not made.is_file():
        raise Permanent(f"dbt could not describe the marts: {result.first_error() or 'no page was made'}")
    text = closed(made.read_text(encoding="utf-8"))
    made.unlink()
    page.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = page.with_name(f"{page.name}.{secrets.token_hex(4)}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, page)
    finally:
        beside.unlink(missing_ok=True)


def closed(text: str) -> str:
    """The same page, which neither loads nor reports anything. Raises Permanent when it is not as expected."""
    if text.count(_CHARSET) != 1 or text.index(_CHARSET) > text.index("<script"):
        raise Permanent("dbt's page has changed: it cannot be kept from asking other addresses")
    text = _FOREIGN.sub("about:blank", _BROKEN_ICON.sub("", text))
    return text.replace(_CHARSET, f'{_CHARSET}<meta http-equiv="Content-Security-Policy" content="{_POLICY}">', 1)


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
            """Requests are not logged: who reads the page is private."""

    return ThreadingHTTPServer((LOOPBACK, port), Handler)


if __name__ == "__main__":
    # It may have been started by a process that ignores it, and that passes on.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    docs_server(Path(sys.argv[1]), int(sys.argv[2])).serve_forever()
